"""Answers as a broken, hurried or hostile upstream would send them.

An answer starts as what the provider would say, with a stamp for its text, and is then spoiled in
one way. Everything is drawn from a `Random`: equal draws give equal answers, byte for byte.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeAlias

from askonce.testing.fake_script import RecordedRequest, Reply, ToolCall
from askonce.testing.fake_wires import render
from hostile_requests import anything, dumped, places

EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes over the wire. `lost` says that the connection breaks after the last chunk, or
    before the status where that is 0."""

    kind: str
    status: int
    headers: tuple[tuple[str, str], ...]
    chunks: tuple[bytes, ...]
    lost: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)


def embeddings(vectors: list[list[float]]) -> Answer:
    """Answer a request for embeddings."""
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": 3 * len(vectors), "total_tokens": 3 * len(vectors)}
    body = dumped({"object": "list", "data": data, "model": "m", "usage": usage})
    return Answer("ordinary", 200, (("content-type", "application/json"),), (body,))


def ordinary(chance: random.Random, path: str, stamp: str, asked: dict[str, Any]) -> Answer:
    """Answer as the provider would: one text that holds the stamp, now and then a tool call."""
    body = {"model": "m", **asked}
    request = RecordedRequest(chance.randrange(10**6), "POST", path, "", {}, dumped(body))
    calls = (ToolCall("look", '{"n":1}'),) if chance.random() < 0.1 else ()
    said = f"{stamp} \u00e9\u4e2d\U0001f600 {chance.random()}"
    reply = render(request, Reply(text=said, tool_calls=calls))
    return Answer("ordinary", 200, tuple(reply.headers.items()), reply.frames)


Spoiler: TypeAlias = Callable[[random.Random, Answer], Answer]

# Bodies of any kind


def typed(given: Answer, content_type: str | None) -> Answer:
    headers = [item for item in given.headers if item[0] != "content-type"]
    if content_type is not None:
        headers.append(("content-type", content_type))
    return replace(given, headers=tuple(headers))


def one(given: Answer, body: bytes, content_type: str | None = None) -> Answer:
    whole = replace(given, chunks=(body,) if body else ())
    return whole if content_type is None else typed(whole, content_type)


def pieces(chance: random.Random, body: bytes) -> tuple[bytes, ...]:
    """Cut bytes into chunks at any place, some of one byte."""
    cuts = sorted(chance.randrange(len(body) + 1) for _ in range(chance.randrange(12)))
    edges = [0, *cuts, *(cut + 1 for cut in cuts[:2]), len(body)]
    edges = sorted(min(edge, len(body)) for edge in edges)
    return tuple(body[a:b] for a, b in pairwise(edges) if a < b)


def _json(given: Answer) -> Any:
    return json.loads(given.body)


def _mistyped(chance: random.Random, given: Answer) -> Answer:
    told = _json(given)
    for _ in range(chance.randrange(1, 4)):
        holder, name = chance.choice(places(told) or [(told, "id")])
        holder[name] = anything(chance)
    return one(given, dumped(told))


def _with_text(*texts: str) -> Spoiler:
    """Add a member whose value is given as JSON text, or what is taken for it."""

    def make(chance: random.Random, given: Answer) -> Answer:
        return one(given, given.body[:-1] + f',"later":{chance.choice(texts)}}}'.encode())

    return make


def _instead(*bodies: bytes) -> Spoiler:
    def make(chance: random.Random, given: Answer) -> Answer:
        return one(given, chance.choice(bodies).replace(b"BODY", given.body))

    return make


def _cut(chance: random.Random, given: Answer) -> Answer:
    return one(given, given.body[: chance.randrange(len(given.body))])


def lost(chance: random.Random, given: Answer) -> Answer:
    kept = given.chunks[: chance.randrange(len(given.chunks) + 1)]
    return replace(given, chunks=kept, lost=True)


def refused(_chance: random.Random, given: Answer) -> Answer:
    return replace(given, status=0, chunks=(), lost=True)


def noise(chance: random.Random, given: Answer) -> Answer:
    noisy = bytearray(given.body)
    for _ in range(chance.randrange(1, 8)):
        noisy[chance.randrange(len(noisy))] = chance.randrange(256)
    return replace(given, chunks=pieces(chance, bytes(noisy)))


def _charset(chance: random.Random, given: Answer) -> Answer:
    charset = chance.choice(("latin-1", "utf-16", "utf-32", "utf-8-sig", "cp037", "shift_jis"))
    named = chance.choice((charset, "utf-8", "no-such-charset", '"'))
    body = given.body.decode().encode(charset, "replace")
    return one(given, body, f"application/json; charset={named}")


def other_type(chance: random.Random, given: Answer) -> Answer:
    named = ("text/html", "", "text/event-stream", "TEXT/EVENT-STREAM", "application/x-ndjson",
             "application/json", None, "text/event-streams", "\t")  # fmt: skip
    return typed(given, chance.choice(named))


def packed(chance: random.Random, given: Answer) -> Answer:
    raw = given.body
    squeezed = gzip.compress(raw)
    coding, body = chance.choice(
        (
            ("gzip", squeezed),
            ("GZIP", squeezed),
            ("deflate", zlib.compress(raw)),
            ("gzip", squeezed[: len(squeezed) // 2]),
            ("gzip", squeezed + b"more"),
            ("gzip", raw),
            ("gzip, gzip", gzip.compress(squeezed)),
            ("identity", raw),
            ("no-such-coding", raw),
            ("gzip", b""),
            ("gzip", gzip.compress(raw[:-1] + b" " * 2_000_000 + raw[-1:], 9)),
        )
    )
    headers = (*given.headers, ("content-encoding", coding))
    return replace(given, headers=headers, chunks=pieces(chance, body))


def other_status(chance: random.Random, given: Answer) -> Answer:
    return replace(given, status=chance.choice((201, 202, 206, 226, 400, 401, 404, 429, 500, 503)))


def odd_headers(chance: random.Random, given: Answer) -> Answer:
    more = chance.choice(
        (
            ("x-request-id", "a" * 20_000),
            ("x-request-id", "\u00e9\u00ff"),
            ("content-type", "application/json"),
            ("cache-status", "somebody else"),
            ("age", "-1"),
            ("set-cookie", "a=1"),
            ("", ""),
        )
    )
    return replace(given, headers=(*given.headers, more) if more[0] else given.headers)


def _large(chance: random.Random, given: Answer) -> Answer:
    told = _json(given)
    told["later"] = "x" * chance.choice((*[10**5] * 40, *[3 * 10**6] * 10, 5 * 10**7))
    return one(given, dumped(told))


def _nested(chance: random.Random, given: Answer) -> Answer:
    depth = chance.choice((150, 200, 253, 255, 500, 1500, 100_000))
    deep = b"[" * depth + b"]" * depth
    return one(given, given.body[:-1] + b',"later":' + deep + b"}")


def _events(chance: random.Random, given: Answer) -> Answer:
    body = b"data: " + given.body + b"\n\ndata: [DONE]\n\n"
    return one(given, body, chance.choice(("application/json", EVENT_STREAM)))


LONG = "123456789012345678901234567890"

CHANGE_VALUES = {"a wrong type", "noise", "two members of one name"}
"""Kinds that may give a member another value, and leave the answer readable."""

WHOLE: dict[str, Spoiler] = {
    "a wrong type": _mistyped,
    "long integers": _with_text(LONG, f"[{LONG[:-1]}1]", "18446744073709551616", "1e400"),
    "numbers told in other ways": _with_text("1.0", "0.10", "1E5", "-0", "0.1000000000000000055"),
    "NaN": _with_text("NaN", "[Infinity]", "-Infinity"),
    "two members of one name": _with_text('1,"later":2', '1,"choices":[]', '1,"usage":null'),
    "lone surrogates": _with_text(r'"\ud800"', r'{"\udfff":1}', r'"\ud83d\ude00"'),
    "a wrong count": _with_text(f'1,"usage":{{"total_tokens":{LONG},"prompt_tokens":-1}}'),
    "no object": _instead(b"null", b"[]", b'"text"', b"1", b"true", b"[BODY]", b"NaN"),
    "no JSON": _instead(
        b"", b" ", b"<html>", b"BODYBODY", b"BODY,", b"\xef\xbb\xbfBODY", b"\xff\xfe", b"\0BODY"
    ),
    "cut short": _cut,
    "a lost connection": lost,
    "no connection": refused,
    "noise": noise,
    "wrong charset": _charset,
    "wrong content type": other_type,
    "packed": packed,
    "another status": other_status,
    "odd headers": odd_headers,
    "large": _large,
    "deep nesting": _nested,
    "a stream instead": _events,
}
