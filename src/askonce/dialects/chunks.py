"""What OpenAI's chat completions and completions share: chunks, usage on request, `[DONE]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote

from askonce.dialects import flaws
from askonce.dialects.contract import Facts, Json
from askonce.dialects.merge import Unclear, gather, replaced
from askonce.dialects.wire import decode, decode_object, encode, items, record, text, tokens
from askonce.frames import Event
from askonce.model import Reason, Usage

DONE = Event("[DONE]")

# Members that every chunk repeats. The others of a whole answer are told once.
_REPEATED = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")

# `eos` is a natural stop as some gateways say it.
_GOOD = frozenset({"stop", "tool_calls", "function_call", "eos"})
# `model_length` and `error` are Mistral's, https://docs.mistral.ai/api/#tag/chat
_CUT = frozenset({"length", "max_tokens", "model_length"})


def model_of(path: str, body: Json) -> str:
    """Return Azure's deployment, which the path names and which decides, or else the model."""
    found = _DEPLOYMENT.search(path)
    return unquote(found[1]) if found else text(body.get("model"))


def usage_asked(body: Json) -> bool:
    """Say whether the caller wants usage in its stream."""
    return record(body.get("stream_options")).get("include_usage") is True


def ask_usage(body: Json) -> Json | None:
    """Return a copy of a streaming request that asks for usage; None when nothing need be asked."""
    options = body.get("stream_options")
    if body.get("stream") is not True or usage_asked(body):
        return None
    if options is not None and not isinstance(options, dict):
        return None
    return {**body, "stream_options": {**(options or {}), "include_usage": True}}


def show(event: Event, facts: Facts) -> Event | None:
    """Leave out what this host only tells on request: a chunk of usage alone, and its null.

    Where a host may tell it unasked, as OpenRouter does, it stays; but beside a choice, as Mistral
    tells it: who did not ask may look for a choice in every chunk.
    """
    if facts.usage_asked or '"usage"' not in event.data:
        return event
    chunk = decode_object(event.data)
    if chunk is None or "usage" not in chunk:
        return event
    if chunk["usage"] is None:
        del chunk["usage"]
    elif chunk.get("choices"):
        return event
    elif facts.usage_on_request:
        return None
    else:
        chunk["choices"] = [_silent_choice(chunk.get("object"))]
    return Event(encode(chunk), event.name)


def _silent_choice(kind: Any) -> Json:
    said: Json = {"text": "", "logprobs": None} if kind == "text_completion" else {"delta": {}}
    return {"index": 0, **said, "finish_reason": None}


def terminal(event: Event) -> bool:
    """Say whether this is the end mark; the official SDK looks at its beginning only."""
    return event.data.startswith("[DONE]")


def usage(answer: Json) -> Usage:
    """Return the tokens that a whole answer counts."""
    counted = record(answer.get("usage"))
    return tokens(
        input=counted.get("prompt_tokens"),
        output=counted.get("completion_tokens"),
        total=counted.get("total_tokens"),
    )


def finish_flaw(reason: Any) -> Reason | None:
    """Read a finish reason."""
    if reason is None or reason == "":
        return flaws.UNFINISHED
    if not isinstance(reason, str):
        return flaws.unknown_finish(reason)
    if reason in _CUT:
        return flaws.TRUNCATED
    if reason == "content_filter":
        return flaws.FILTERED
    if reason == "error":
        return flaws.ERROR
    return None if reason in _GOOD else flaws.unknown_finish(reason)


def first_flaw(answer: Json, choice_flaw: Callable[[Json], Reason | None]) -> Reason | None:
    """Look at every choice; one that is flawed is a flaw of the whole answer."""
    if answer.get("error"):
        return flaws.ERROR
    choices = answer.get("choices")
    if not isinstance(choices, list):
        return flaws.MALFORMED
    if not choices:
        return flaws.EMPTY
    for choice in choices:
        if not isinstance(choice, dict):
            return flaws.MALFORMED
        # OpenRouter puts the error of one choice beside its message.
        flaw = flaws.ERROR if choice.get("error") else choice_flaw(choice)
        if flaw is not None:
            return flaw
    return None


# A stream, put together


def whole(stream: Sequence[Event], kind: str, choice: Callable[[list[Json]], Json]) -> Json | None:
    """Put a stream together; `choice` folds the pieces of one choice."""
    try:
        chunks = _read(stream)
        return None if chunks is None else _assemble(chunks, kind, choice)
    except (ValueError, RecursionError):
        return None


def _read(stream: Sequence[Event]) -> list[Json] | None:
    chunks: list[Json] = []
    for event in stream:
        if terminal(event):
            return chunks
        chunk = decode(event.data)
        if not isinstance(chunk, dict) or event.name == "error" or _failed(chunk):
            return None
        chunks.append(chunk)
    return None


def _failed(chunk: Json) -> bool:
    # Groq tells an error inside of x_groq.
    return bool(chunk.get("error") or record(chunk.get("x_groq")).get("error"))


def _assemble(chunks: list[Json], kind: str, choice: Callable[[list[Json]], Json]) -> Json:
    pieces: dict[int, list[Json]] = {}
    for chunk in chunks:
        for piece in items(chunk.get("choices")):
            place = piece.get("index", 0) if isinstance(piece, dict) else None
            if not isinstance(place, int):
                raise Unclear("a choice without a place")
            pieces.setdefault(place, []).append(piece)
    if not pieces:
        raise Unclear("no choice at all")
    head = gather((_without(chunk, "choices", "object", "obfuscation") for chunk in chunks), _head)
    choices = [{"index": place, **choice(pieces[place])} for place in sorted(pieces)]
    answer = {**head, "object": kind, "choices": choices}
    if answer.get("usage") is None:
        # Groq counts its streams in x_groq, asked or not.
        answer["usage"] = record(answer.get("x_groq")).get("usage")
    return answer if answer["usage"] is not None else _without(answer, "usage")


def _head(name: str, values: list[Any]) -> Any:
    # Azure's first chunk, of its filter's findings, has "" for an id and 0 for a time.
    if name in ("id", "created", "model"):
        return next((value for value in values if value), values[0])
    return replaced(name, values)


def _without(value: Json, *names: str) -> Json:
    return {name: member for name, member in value.items() if name not in names}


def rest_of(pieces: list[Json], *names: str) -> list[Json]:
    """Return the pieces of one choice without its place, its end and the members named."""
    return [_without(piece, "index", "finish_reason", *names) for piece in pieces]


def finish_of(pieces: list[Json]) -> str:
    """Return how a choice ended. Raises Unclear when it did not."""
    for piece in reversed(pieces):
        reason = piece.get("finish_reason")
        if isinstance(reason, str) and reason:
            return reason
    raise Unclear("a choice without its end")


# A whole answer, told as a stream


def told(answer: Json, facts: Facts, kind: str, choices: Iterable[Json]) -> Iterator[Event]:
    """Tell an answer as one chunk for each of these choices, then its usage, then the end."""
    repeated = {name: answer[name] for name in _REPEATED if name in answer} | {"object": kind}
    once = _without(answer, *_REPEATED, "choices", "usage")
    hidden = facts.usage_on_request and not facts.usage_asked
    counted = None if hidden else answer.get("usage")
    silent = {"usage": None} if facts.usage_asked and counted is not None else {}
    for choice in choices:
        yield Event(encode({**repeated, **once, "choices": [choice], **silent}))
        once = {}
    if counted is not None:
        alone = [] if facts.usage_asked else [_silent_choice(kind)]
        yield Event(encode({**repeated, "choices": alone, "usage": counted}))
    yield DONE
