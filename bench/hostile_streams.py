"""Event streams as a broken, hurried or hostile upstream would send them."""

from __future__ import annotations

import json
import random
from dataclasses import replace

from hostile_answers import (
    CHANGE_VALUES,
    EVENT_STREAM,
    LONG,
    WHOLE,
    Answer,
    Spoiler,
    lost,
    noise,
    odd_headers,
    one,
    other_status,
    other_type,
    packed,
    pieces,
    refused,
)
from hostile_requests import anything, dumped, places


def _frames(chance: random.Random, given: Answer, frames: list[bytes]) -> Answer:
    return replace(given, chunks=pieces(chance, b"".join(frames)))


def _line_ends(chance: random.Random, given: Answer) -> Answer:
    ends = chance.choice(((b"\r\n",), (b"\r",), (b"\n", b"\r\n", b"\r")))
    lines = given.body.replace(b"\r\n", b"\n").split(b"\n")
    mixed = b"".join(line + chance.choice(ends) for line in lines[:-1])
    return replace(given, chunks=pieces(chance, mixed))


def _cut_stream(chance: random.Random, given: Answer) -> Answer:
    body = given.body
    at = chance.randrange(len(body))
    inside = [place for place, byte in enumerate(body) if byte & 0xC0 == 0x80]
    if inside and chance.random() < 0.5:
        at = chance.choice(inside)  # within a letter
    return replace(given, chunks=pieces(chance, body[:at]), lost=chance.random() < 0.5)


def _no_end(chance: random.Random, given: Answer) -> Answer:
    gone = chance.randrange(1, min(3, len(given.chunks)) + 1)
    return _frames(chance, given, list(given.chunks[:-gone]))


def _after_the_end(chance: random.Random, given: Answer) -> Answer:
    frames = [*given.chunks, chance.choice((given.chunks[0], given.chunks[-1], b"data: {\n\n"))]
    return _frames(chance, given, frames)


def _shuffled(chance: random.Random, given: Answer) -> Answer:
    frames = list(given.chunks)
    at, other = chance.randrange(len(frames)), chance.randrange(len(frames))
    if chance.random() < 0.5:
        frames[at], frames[other] = frames[other], frames[at]
    else:
        frames.insert(at, frames[other])
    return _frames(chance, given, frames)


def _between(*texts: bytes) -> Spoiler:
    """Put something between two events, or within one."""

    def make(chance: random.Random, given: Answer) -> Answer:
        text = chance.choice(texts)
        if chance.random() < 0.3:
            body = bytearray(given.body)
            at = chance.randrange(len(body))
            body[at:at] = text
            return replace(given, chunks=pieces(chance, bytes(body)))
        frames = list(given.chunks)
        frames.insert(chance.randrange(len(frames) + 1), text)
        return _frames(chance, given, frames)

    return make


def _event_mistyped(chance: random.Random, given: Answer) -> Answer:
    frames = list(given.chunks)
    for _ in range(chance.randrange(1, 3)):
        at = chance.randrange(len(frames))
        head, mark, data = frames[at].rstrip().partition(b"data: ")
        if not mark or not data.startswith(b"{"):
            continue
        told = json.loads(data)
        holder, name = chance.choice(places(told))
        holder[name] = anything(chance)
        frames[at] = head + mark + dumped(told) + b"\n\n"
    return _frames(chance, given, frames)


def _many_lines(chance: random.Random, given: Answer) -> Answer:
    parted = given.body.replace(b',"', b',\ndata: "')
    return replace(given, chunks=pieces(chance, parted))


def _giant(chance: random.Random, given: Answer) -> Answer:
    size = chance.choice((10**5, 2 * 10**6))
    event = b'data: {"later":"' + b"x" * size + b'"}\n\n'
    return _frames(chance, given, [given.chunks[0], event, *given.chunks[1:]])


def _json_instead(chance: random.Random, given: Answer) -> Answer:
    body = chance.choice((b'{"choices":[]}', b"null", b"", b"{" * 1000, b'data: {"a":1}'))
    return one(given, body, chance.choice((EVENT_STREAM, "application/json")))


def _usage_unasked(_chance: random.Random, given: Answer) -> Answer:
    event = b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":1,"total_tokens":2}}\n\n'
    return replace(given, chunks=(*given.chunks[:-1], event, given.chunks[-1]))


STREAMED: dict[str, Spoiler] = {
    "other line ends": _line_ends,
    "cut short": _cut_stream,
    "no terminal event": _no_end,
    "events after the end": _after_the_end,
    "events in another order": _shuffled,
    "comments and fields": _between(
        b": ping\n\n", b":\n", b"id: 1\nretry: 5\n\n", b"\n\n\n", b"data\n\n", b"event: x\n\n",
        b"data:\n\n", b"nonsense\n", b"data: [DONE]\n", b"event:\ndata: {}\n\n"
    ),
    "marks and broken letters": _between(
        b"\xef\xbb\xbf", b"\0", b"\xff", b"\xed\xa0\x80", b"\xc3", b"\xe2\x80\xa8", b"\x85", b"\x0b"
    ),
    "errors": _between(
        b'data: {"error":{"message":"no"}}\n\n', b'event: error\ndata: {"type":"error"}\n\n',
        b"data: null\n\n", b"data: []\n\n", b"data: {\n\n", b'data: {"a":NaN}\n\n',
        b'data: {"a":1,"a":2}\n\n', b'data: {"a":"\\ud800"}\n\n',
        f'data: {{"later":{LONG}}}\n\n'.encode(),
        b"data: " + b"[" * 3000 + b"]" * 3000 + b"\n\n",
        b'data: {"choices":[{"index":0,"delta":{"later":' + b"[" * 400 + b"]" * 400 + b"}}]}\n\n",
    ),
    "a wrong type": _event_mistyped,
    "data on many lines": _many_lines,
    "a giant event": _giant,
    "usage nobody asked for": _usage_unasked,
    "no stream": _json_instead,
    "a lost connection": lost,
    "no connection": refused,
    "noise": noise,
    "wrong content type": other_type,
    "packed": packed,
    "another status": other_status,
    "odd headers": odd_headers,
}  # fmt: skip


def spoiled(chance: random.Random, good: Answer, *, stream: bool, values: bool = True) -> Answer:
    """Spoil an answer in one way; without `values`, in none that changes a value in it."""
    table = STREAMED if stream else WHOLE
    kind = chance.choice([name for name in table if values or name not in CHANGE_VALUES])
    return replace(table[kind](chance, good), kind=kind)
