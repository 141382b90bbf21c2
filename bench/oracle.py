"""What a request means, told apart from askonce's own keys: an oracle for the fuzz tests.

It reads JSON into exact decimals and lists of pairs, and knows for itself what is neutral. Where
two readers could read a body differently it is in doubt, and no two such bodies are alike.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import unquote, urlsplit

from hostile_requests import Sent

# From the providers' references, as README promises them: nothing here may change an answer.
_SHARED = frozenset({"user"})
_TEXT = _SHARED | {
    "stream", "stream_options", "metadata", "safety_identifier", "prompt_cache_key",
    "prompt_cache_retention", "service_tier",
}  # fmt: skip
NEUTRAL = {
    "/chat/completions": _TEXT | {"prompt_cache_options", "store"},
    "/responses": _TEXT,
    "/messages": frozenset({"stream", "metadata", "service_tier"}),
    "/embeddings": _SHARED,
    "/completions": _SHARED | {"stream", "stream_options"},
}
LARGEST = 32 * 2**20
"""Bytes beyond which no provider reads a body."""
_NEUTRAL_HEADERS = frozenset(
    {"accept", "accept-encoding", "authorization", "connection", "content-length", "cookie",
     "host",
     "transfer-encoding", "user-agent", "x-stainless-retry-count"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Meaning:
    """A digest that two requests share only if they mean the same.

    `doubtful` is True where two readers could differ, None where the oracle itself cannot read on.
    """

    digest: str
    doubtful: bool | None
    stream: bool = False
    usage: bool = False
    parts: tuple[str, ...] = ()
    """A digest for each input of a batch."""
    labels: str = "{}"
    """What the answer repeats of the caller's own labels, as JSON."""


class _Doubt(Exception):
    """Two readers could differ."""


def meaning(sent: Sent) -> Meaning:
    """Read a request."""
    parts = urlsplit(sent.url)
    streams = parts.path.endswith(":streamGenerateContent")
    address, headers = _address(sent.url), _headers(sent)
    raw = _digest((sent.method, address, headers, hashlib.sha256(sent.body).hexdigest()))
    if len(sent.body) > LARGEST:
        return Meaning(raw, True, streams)
    if _is_deep(sent.body):
        return Meaning(raw, None, streams or b'"stream":true' in sent.body)
    try:
        body = json.loads(
            sent.body.decode("utf-8"),
            object_pairs_hook=_members,
            parse_int=Decimal,
            parse_float=Decimal,
            parse_constant=_constant,
        )
        counted = _counted(parts.path, body)
    except (ValueError, InvalidOperation, _Doubt):
        return Meaning(raw, True, streams)
    alone = _alone(parts.path, body)
    whole = _counted(parts.path, alone[0]) if len(alone) == 1 else counted
    digest = _digest((sent.method, address, headers, whole))
    neutral = "stream" in _neutral(parts.path)
    if neutral and not isinstance(body.get("stream"), bool | None):
        return Meaning(digest, True, streams)
    return Meaning(
        digest,
        False,
        streams or (neutral and body.get("stream") is True),
        _asks_usage(body),
        tuple(_digest((sent.method, address, headers, _counted(parts.path, one))) for one in alone)
        if len(alone) > 1
        else (),
        _labels(sent.body) if parts.path.endswith("/responses") else "{}",
    )


def _labels(body: bytes) -> str:
    said = json.loads(body)
    names = ("metadata", "user", "safety_identifier", "prompt_cache_key")
    return json.dumps({name: said[name] for name in names if said.get(name) is not None})


def _is_deep(body: bytes) -> bool:
    """Say whether a body is nested so deep that it depends on the reader's stack."""
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", body) if len(body) < 2**20 else ():
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest > 300


def _alone(path: str, body: _Object) -> list[_Object]:
    """Split a request for embeddings into one for each input."""
    inputs = body.get("input") if path.endswith("/embeddings") else None
    if not isinstance(inputs, list) or not all(isinstance(item, str | list) for item in inputs):
        return [body]
    return [_Object({**body, "input": item}) for item in inputs] or [body]


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _neutral(path: str) -> frozenset[str]:
    return next((names for end, names in NEUTRAL.items() if path.endswith(end)), frozenset())


def _counted(path: str, body: Any) -> list[tuple[str, str]]:
    if not isinstance(body, _Object):
        raise _Doubt("no object")
    neutral = _neutral(path)
    return sorted((_text(name), _told(item)) for name, item in body.items() if name not in neutral)


def vector(part: str) -> list[float]:
    """The one right embedding of an input."""
    return [byte / 256 for byte in hashlib.sha256(part.encode()).digest()[:8]]


class _Object(dict[str, Any]):
    """An object without two members of one name."""


def _members(pairs: list[tuple[str, Any]]) -> _Object:
    if len({name for name, _ in pairs}) < len(pairs):
        raise _Doubt("two members of one name")
    return _Object(pairs)


def _constant(name: str) -> Any:
    raise _Doubt(name)


def _told(value: Any) -> str:
    """Write a value so that only equal ones have equal text."""
    if isinstance(value, _Object):
        return "{" + ",".join(f"{_text(n)}:{_told(value[n])}" for n in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_told, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Decimal):
        return _number(value)
    return repr(value)


def _text(value: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _Doubt("a lone surrogate") from error
    return f"'{len(value)}:{value}'"


def _number(value: Decimal) -> str:
    """Numbers that a 64-bit integer or float holds exactly enough to be read back alike."""
    near = float(value)
    if math.isinf(near):
        raise _Doubt("beyond every float")
    whole = value == value.to_integral_value() if abs(value.adjusted()) < 400 else False
    if whole and -(2**63) <= value < 2**64:
        return str(int(value))
    if Decimal(repr(near)) != value or (whole and value.as_tuple().exponent == 0):
        raise _Doubt("not every reader holds this number")
    return repr(near)


def _asks_usage(body: _Object) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _address(url: str) -> list[Any]:
    parts = urlsplit(url)
    path = parts.path.replace(":streamGenerateContent", ":generateContent")
    pairs = [item.partition("=")[::2] for item in parts.query.split("&") if item]
    gemini = path.endswith(":generateContent")
    counted = [
        (unquote(name, errors="surrogateescape"), unquote(value, errors="surrogateescape"))
        for name, value in pairs
        if name != "key" and not (gemini and name == "alt")
    ]
    # The order among parameters of other names means nothing; among equal names it does.
    counted.sort(key=lambda pair: pair[0])
    return [parts.scheme, parts.netloc, path, counted]


def _headers(sent: Sent) -> list[tuple[str, str]]:
    told: dict[str, str] = {}
    for given, value in sent.headers:
        name = given.lower()
        if name not in _NEUTRAL_HEADERS and not (name == "content-type" and _is_plain(value)):
            # Two lines of one name are one list (RFC 9110, 5.3).
            told[name] = f"{told[name]}, {value}" if name in told else value
    return sorted(told.items())


def _is_plain(content_type: str) -> bool:
    return content_type.replace(" ", "").lower() in (
        "application/json",
        "application/json;charset=utf-8",
    )


# Event streams, read by the letter of the WHATWG grammar


def events(body: bytes, *, usage: bool = True) -> list[tuple[str, Any]]:
    """Read the events of a stream up to its terminal one: their names, and their data as JSON.

    Without `usage`, less the chunks that tell nothing but usage.
    """
    found = _events(body)
    if usage:
        return found
    return [event for event in found if not _is_usage(event[1])]


def _is_usage(data: Any) -> bool:
    if not isinstance(data, dict) or "usage" not in data:
        return False
    choices = data.get("choices")
    return isinstance(choices, list) and all(map(_is_silent, choices))


def _is_silent(choice: Any) -> bool:
    said = ("delta", "text", "finish_reason", "logprobs")
    return isinstance(choice, dict) and not any(choice.get(name) for name in said)


def _events(body: bytes) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    name, data = "", []
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif not line:
            if data:
                found.append((name, _read("\n".join(data))))
                if is_terminal(*found[-1]):
                    break
            name, data = "", []
    return found


def is_terminal(name: str, data: Any) -> bool:
    """Say whether readers stop at this event."""
    if isinstance(data, str):
        return data.startswith("[DONE]")
    kind = data.get("type") if isinstance(data, dict) else None
    ends = ("message_stop", "response.completed", "response.incomplete", "response.failed")
    return (name or kind) in ends


def same_json(one: bytes, other: bytes) -> bool:
    """Say whether two bodies are the same JSON: every digit of integers, floats as 64 bits."""
    try:
        read = [_read(body.decode()) for body in (one, other)]
    except UnicodeDecodeError:
        return False
    return bool(read[0] == read[1])


def _read(text: str) -> Any:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(read, dict):
        # Padding against eavesdroppers: it changes with every other byte of a chunk.
        read.pop("obfuscation", None)
    return read
