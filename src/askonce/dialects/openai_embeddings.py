"""OpenAI's embeddings: no stream, nothing random.

Reference: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from askonce.dialects import chunks, embedding_parts, flaws
from askonce.dialects.contract import Batching, Dialect, Facts, Json
from askonce.dialects.wire import record, said, too_deep
from askonce.frames import Event
from askonce.model import Reason

NEUTRAL = frozenset(
    {
        "user",  # names the end user for abuse reports
    }
)


def _matches(path: str) -> bool:
    return path.endswith("/embeddings")


def _facts(path: str, body: Json) -> Facts:
    return Facts(model=chunks.model_of(path, body), samples=False)


def _flaw(answer: Json) -> Reason | None:
    if answer.get("error") or answer.get("object") == "error":
        return flaws.ERROR
    data = answer.get("data")
    if not isinstance(data, list) or too_deep(answer):
        return flaws.MALFORMED
    if not data:
        return flaws.EMPTY
    return None if all(map(_is_embedding, data)) else flaws.MALFORMED


def _is_embedding(entry: Any) -> bool:
    # A list of numbers (or, from some hosts, of such lists), or base64 text where that was asked.
    vector = record(entry).get("embedding")
    if isinstance(vector, list) and vector and all(isinstance(row, list) for row in vector):
        return all(map(_is_vector, vector))
    return said(vector) or _is_vector(vector)


def _is_vector(vector: Any) -> bool:
    return (
        isinstance(vector, list)
        and bool(vector)
        and all(type(number) in (int, float) for number in vector)
    )


def _whole(_stream: Sequence[Event]) -> Json | None:
    return None


def _events(_answer: Json, _facts: Facts) -> Iterable[Event]:
    return ()


EMBEDDINGS = Dialect(
    name="openai.embeddings",
    matches=_matches,
    facts=_facts,
    flaw=_flaw,
    whole=_whole,
    events=_events,
    neutral=NEUTRAL,
    usage=chunks.usage,
    batching=Batching(
        embedding_parts.parts,
        embedding_parts.gather,
        embedding_parts.divide,
        embedding_parts.join,
    ),
)
