"""OpenAI's older completions, which many hosts of open models still speak.

Reference: https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from askonce.dialects import chunks, flaws
from askonce.dialects.contract import Dialect, Facts, Json
from askonce.dialects.merge import extended, gather
from askonce.dialects.wire import items, number, said, text, too_deep
from askonce.frames import Event
from askonce.model import Reason

NEUTRAL = frozenset(
    {
        "stream",  # the same answer in pieces
        "stream_options",  # says only which pieces are shown
        "user",  # names the end user for abuse reports
    }
)


def _matches(path: str) -> bool:
    return path.endswith("/completions") and not path.endswith("/chat/completions")


def _facts(path: str, body: Json) -> Facts:
    return Facts(
        model=chunks.model_of(path, body),
        stream=body.get("stream") is True,
        usage_asked=chunks.usage_asked(body),
        temperature=number(body.get("temperature")),
    )


def _flaw(answer: Json) -> Reason | None:
    return chunks.first_flaw(answer, _choice_flaw) or (
        flaws.MALFORMED if too_deep(answer) else None
    )


def _choice_flaw(choice: Json) -> Reason | None:
    if not isinstance(choice.get("text"), str):
        return flaws.MALFORMED
    flaw = chunks.finish_flaw(choice.get("finish_reason"))
    return flaw or (None if said(choice["text"]) else flaws.EMPTY)


def _whole(stream: Sequence[Event]) -> Json | None:
    return chunks.whole(stream, "text_completion", _choice)


def _choice(pieces: list[Json]) -> Json:
    finish = chunks.finish_of(pieces)
    written = "".join(text(piece.get("text")) for piece in pieces)
    rest = gather(chunks.rest_of(pieces, "text"), extended)
    return {"text": written, "finish_reason": finish, **rest}


def _events(answer: Json, facts: Facts) -> Iterable[Event]:
    return chunks.told(answer, facts, "text_completion", _pieces(answer))


def _pieces(answer: Json) -> Iterator[Json]:
    for place, choice in enumerate(items(answer.get("choices"))):
        if isinstance(choice, dict):
            index, finish = choice.get("index", place), choice.get("finish_reason")
            yield {**choice, "index": index, "finish_reason": None}
            closing = {"index": index, "text": "", "finish_reason": finish}
            yield {**closing, "logprobs": None} if "logprobs" in choice else closing


COMPLETIONS = Dialect(
    name="openai.completions",
    matches=_matches,
    facts=_facts,
    flaw=_flaw,
    whole=_whole,
    events=_events,
    neutral=NEUTRAL,
    terminal=chunks.terminal,
    show=chunks.show,
    usage=chunks.usage,
    usage_on_request=True,
    ask_usage=chunks.ask_usage,
)
