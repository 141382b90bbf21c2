"""OpenAI's embeddings: no stream, nothing random.

Reference: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from askonce.dialects import chunks, embedding_parts, flaws
from askonce.dialects.contract import Batching, Dialect, Facts, Json
from askonce.dialects.wire import record, too_deep
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
    if answer.get("error"):
        return flaws.ERROR
    data = answer.get("data")
    if not isinstance(data, list) or too_deep(answer):
        return flaws.MALFORMED
    if not data:
        return flaws.EMPTY
    return None if all(map(_is_embedding, data)) else flaws.MALFORMED


def _is_embedding(entry: Any) -> bool:
    # A list of floats, or base64 text where that was asked for.
    vector = record(entry).get("embedding")
    return isinstance(vector, (list, str)) and bool(vector)


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
