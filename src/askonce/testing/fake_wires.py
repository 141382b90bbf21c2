"""From a request and a reply to the bytes that answer it, in the provider's own words (pure)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from askonce.testing import (
    fake_anthropic,
    fake_chat,
    fake_gemini,
    fake_openai,
    fake_responses,
)
from askonce.testing.fake_call import Call, Frame, Json, settle
from askonce.testing.fake_script import RecordedRequest, Reply

# What a provider only repeats, or passes on from the model, gets no unknown fields.
_NOT_THE_PROVIDERS = frozenset({"input", "args", "metadata", "tools", "tool_choice", "categories"})


@dataclass(frozen=True, slots=True)
class Answer:
    """All that goes over the wire for one request."""

    status: int
    headers: Mapping[str, str]
    frames: tuple[bytes, ...]
    length: int | None
    """Of the whole body in bytes; None for a stream, which is sent in chunks."""
    dropped: bool = False
    """The connection is dropped after the frames."""


@dataclass(frozen=True, slots=True)
class _House:
    """What all endpoints of one provider share."""

    headers: Callable[[RecordedRequest], dict[str, str]]
    failure: Callable[[RecordedRequest, int, str], Json]
    interruption: Callable[[RecordedRequest, str, int], Frame]
    line_end: str = "\n"


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    path: re.Pattern[str]
    house: _House
    whole: Callable[[Call], Json]
    stream: Callable[[Call], list[Frame]] | None = None
    always_streams: bool = False


_OPENAI = _House(fake_openai.headers, fake_openai.failure, fake_openai.interruption)
_RESPONSES = _House(fake_openai.headers, fake_openai.failure, fake_responses.interruption)
_ANTHROPIC = _House(fake_anthropic.headers, fake_anthropic.failure, fake_anthropic.interruption)
_GEMINI = _House(fake_gemini.headers, fake_gemini.failure, fake_gemini.interruption, "\r\n")


def _route(
    method: str,
    path: str,
    house: _House,
    whole: Callable[[Call], Json],
    stream: Callable[[Call], list[Frame]] | None = None,
    *,
    always_streams: bool = False,
) -> _Route:
    return _Route(method, re.compile(path), house, whole, stream, always_streams)


_ROUTES = (
    _route("POST", r"/chat/completions$", _OPENAI, fake_chat.whole, fake_chat.stream),
    _route(
        "POST", r"/completions$", _OPENAI, fake_openai.completion, fake_openai.completion_stream
    ),
    _route("POST", r"/embeddings$", _OPENAI, fake_openai.embeddings),
    _route("POST", r"/responses$", _RESPONSES, fake_responses.whole, fake_responses.stream),
    _route("GET", r"/models$", _OPENAI, fake_openai.models),
    _route("POST", r"/messages$", _ANTHROPIC, fake_anthropic.whole, fake_anthropic.stream),
    _route("POST", r"/messages/count_tokens$", _ANTHROPIC, fake_anthropic.token_count),
    _route("POST", r":generateContent$", _GEMINI, fake_gemini.whole),
    _route(
        "POST",
        r":streamGenerateContent$",
        _GEMINI,
        fake_gemini.whole,
        fake_gemini.stream,
        always_streams=True,
    ),
    _route("POST", r":(?:embedContent|batchEmbedContents)$", _GEMINI, fake_gemini.embeddings),
)


def render(request: RecordedRequest, reply: Reply) -> Answer:
    """Write the answer to a request."""
    if reply.raw is not None:
        return _raw(reply, reply.raw)
    route = _find(request)
    if route is None:
        # An unknown path gets OpenAI's answer, as most compatible servers copy it.
        unknown = f"Invalid URL ({request.method} {request.path})"
        return _failure(request, _OPENAI, 404, unknown, reply)
    if reply.status != 200:
        message = reply.error or f"The script answers {reply.status}."
        return _failure(request, route.house, reply.status, message, reply)
    body = request.json if request.method == "POST" else {}
    if not isinstance(body, dict):
        said = "We could not parse the JSON body of your request."
        return _failure(request, route.house, 400, said, reply)
    call = settle(request, body, reply)
    if route.stream is not None and (route.always_streams or body.get("stream") is True):
        return _streamed(route, route.stream(call), call)
    return _whole(route.house, 200, route.whole(call), request, reply)


def _find(request: RecordedRequest) -> _Route | None:
    for route in _ROUTES:
        if route.method == request.method and route.path.search(request.path):
            return route
    return None


def _raw(reply: Reply, raw: bytes | tuple[bytes, ...]) -> Answer:
    # An empty frame would be the chunk that ends the body.
    frames = (raw,) if isinstance(raw, bytes) else tuple(filter(None, raw))
    length = len(raw) if isinstance(raw, bytes) else None
    headers = {"content-type": reply.content_type, **reply.headers}
    return _cut(Answer(reply.status, headers, frames, length), reply)


def _failure(
    request: RecordedRequest, house: _House, status: int, message: str, reply: Reply
) -> Answer:
    return _whole(house, status, house.failure(request, status, message), request, reply)


def _whole(
    house: _House, status: int, body: Json, request: RecordedRequest, reply: Reply
) -> Answer:
    written = _written(body, reply).encode("utf-8", "surrogatepass")
    headers = {"content-type": "application/json", **house.headers(request)}
    if status == 429:
        # The SDKs obey the finer of the two, which keeps tests of their retries quick.
        headers |= {"retry-after": "1", "retry-after-ms": "10"}
    return _cut(Answer(status, headers | dict(reply.headers), (written,), len(written)), reply)


def _streamed(route: _Route, events: list[Frame], call: Call) -> Answer:
    reply, house = call.reply, route.house
    if reply.error is not None:
        place = len(events) if reply.cut_after is None else reply.cut_after
        events = [*events[:place], house.interruption(call.request, reply.error, place)]
    frames = tuple(_event(event, reply, house.line_end) for event in events)
    headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
    headers |= house.headers(call.request) | dict(reply.headers)
    answer = Answer(200, headers, frames, None)
    return answer if reply.error is not None else _cut(answer, reply)


def _cut(answer: Answer, reply: Reply) -> Answer:
    if reply.status == 0:
        return Answer(0, {}, (), 0, dropped=True)
    if reply.cut_after is None or reply.cut_after >= len(answer.frames):
        return answer
    kept = answer.frames[: reply.cut_after]
    dropped = not reply.cut_cleanly or answer.length is not None
    return Answer(answer.status, answer.headers, kept, answer.length, dropped)


def _event(event: Frame, reply: Reply, line_end: str) -> bytes:
    name, data = event
    text = data if isinstance(data, str) else _written(data, reply)
    lines = ([] if name is None else [f"event: {name}"]) + [f"data: {text}", "", ""]
    return line_end.join(lines).encode("utf-8", "surrogatepass")


def _written(body: Json, reply: Reply) -> str:
    told = _with_extra(body, reply.extra) if reply.extra else body
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _with_extra(value: Any, extra: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_with_extra(item, extra) for item in value]
    if not isinstance(value, dict):
        return value
    fields = {
        name: field if name in _NOT_THE_PROVIDERS else _with_extra(field, extra)
        for name, field in value.items()
    }
    return {**fields, **extra}
