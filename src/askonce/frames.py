"""Server-sent events: splitting bytes into events, and writing events as bytes.

The grammar is the WHATWG one (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream):
lines end in LF, CR or CRLF, an empty line ends an event, `data` lines are joined by LF.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

# The end of an event: two line ends in a row. CRLF is one line end.
_END = re.compile(rb"\r\n\r\n|\r\n\n|\r\n\r(?!\n)|\n\r\n|\n\n|\n\r(?!\n)|\r\r\n|\r\r(?!\n)")


class Event(Struct, frozen=True):
    """One event: its data, and its name where the dialect uses names."""

    data: str
    name: str | None = None


class Splitter:
    """Cuts a byte stream at the ends of its events; every piece keeps its own bytes."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk and return the events that are now whole, each with its end."""
        rest = self._rest
        # An end is at most four bytes, so what was searched before is not searched again: an image
        # of 10 MB in one event would otherwise cost seconds.
        searched = max(0, len(rest) - 3)
        rest += chunk
        ends = [end.end() for end in _END.finditer(rest, searched)]
        # A CR at the very end may be half of a CRLF: wait for the next chunk.
        if ends and ends[-1] == len(rest) and rest.endswith(b"\r"):
            ends.pop()
        starts = [0, *ends]
        pieces = [bytes(rest[start:end]) for start, end in zip(starts, ends, strict=False)]
        del rest[: starts[-1]]
        return pieces

    def rest(self) -> bytes:
        """Return what was fed after the last whole event."""
        return bytes(self._rest)


def read(piece: bytes) -> Event | None:
    """Read one event; None for a comment or an event without data.

    Raises UnicodeDecodeError when the bytes are not UTF-8.
    """
    name: str | None = None
    data: list[str] = []
    for line in re.split(r"\r\n|\n|\r", piece.decode("utf-8").removeprefix("\ufeff")):
        label, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if label == "data":
            data.append(value)
        elif label == "event":
            name = value
    return Event("\n".join(data), name) if data else None


def events(body: bytes) -> Iterator[Event]:
    """Read the events of a recorded stream. One that lacks its end is none."""
    for piece in _split(body)[0]:
        event = read(piece)
        if event is not None:
            yield event


def is_cut(body: bytes) -> bool:
    """Say whether a recorded stream stops within an event.

    The grammar has that event discarded. OpenAI's and Anthropic's SDKs do so, Google's and
    Mistral's read it: its readers differ in what such a stream says.
    """
    lines = re.split(rb"[\r\n]", _split(body)[1])
    return any(line.strip() and not line.startswith(b":") for line in lines)


def _split(body: bytes) -> tuple[list[bytes], bytes]:
    splitter = Splitter()
    pieces = splitter.feed(body)
    rest = splitter.rest()
    # What a CR may end was held back for its LF, which will not come.
    return (pieces, rest) if not _END.search(rest) else ([*pieces, rest], b"")


def write(event: Event) -> bytes:
    """Write one event as bytes."""
    name = f"event: {event.name}\n" if event.name is not None else ""
    data = "".join(f"data: {line}\n" for line in event.data.split("\n"))
    return f"{name}{data}\n".encode()


def write_all(stream: Iterable[Event]) -> bytes:
    """Write a whole stream as bytes."""
    return b"".join(map(write, stream))
