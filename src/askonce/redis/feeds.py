"""A stream told through Redis: what its leader writes, and what its followers read.

It is a Redis stream of one field an entry: `h` the head, then `p` a piece of the answer each, and
`e` or `x` at the end, whole or lost. It lives while its leader renews it. Entries are numbered from
1: the server refuses one that is sent twice, and who follows misses one that was lost in a
failover. With a cover, each value is sealed for its place in this one stream.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Self

import msgspec

from askonce.blocking import run
from askonce.errors import StoreError, UpstreamLost
from askonce.model import NOTHING, Headers, Response, Versions
from askonce.redis.link import Link
from askonce.tape import Tape

if TYPE_CHECKING:
    from askonce.sealing import Cover

HEAD, PIECE, ENDED, LOST = b"h", b"p", b"e", b"x"

WAIT = 1.0
"""Seconds to wait for more before looking whether the stream is still there."""

AT_ONCE = 100
"""Entries read in one round trip."""

LARGEST = 16 * 2**20
"""Bytes of a stream that is told. The followers of a larger one get the connection error."""


class _Head(msgspec.Struct):
    status: int
    headers: Headers
    versions: dict[str, bytes] = {}


class Frames:
    """What of a tape is to be told: all of it, from the moment on that somebody waits."""

    def __init__(
        self,
        tape: Tape,
        head: Response,
        token: bytes,
        cover: Cover | None,
        versions: Versions = NOTHING,
    ) -> None:
        self.lock = threading.RLock()
        self.wanted = False
        self.over = False
        self._tape = tape
        self._head = _Head(head.status, head.headers, dict(versions))
        self._token = token
        self._cover = cover
        self._told = 0
        self._bytes = 0

    def more(self) -> list[tuple[int, bytes, bytes]]:
        """Return what was not told yet: number, letter, value. The lock must be held."""
        tape = self._tape
        if self.over:
            return []
        fields: list[tuple[bytes, bytes]] = []
        first = self._told
        if not self._told:
            fields.append((HEAD, msgspec.json.encode(self._head)))
        # First whether it is over, then what there is: pieces come before the end.
        ended, error = tape.ended, tape.error
        pieces = tape.pieces[max(0, self._told - 1) :]
        fields += [(PIECE, piece) for piece in pieces]
        self._told += len(fields)
        self._bytes += sum(map(len, pieces))
        if self._bytes > LARGEST or error is not None or (ended and tape.was_left):
            fields.append((LOST, b""))
            self.over = True
        elif ended:
            fields.append((ENDED, b""))
            self.over = True
        return [
            (at + 1, letter, self._sealed(at, letter, value))
            for at, (letter, value) in enumerate(fields, start=first)
        ]

    def _sealed(self, at: int, letter: bytes, value: bytes) -> bytes:
        cover = self._cover
        return value if cover is None else cover.seal(_place(self._token, at, letter), value)


class StreamFeed:
    """A stream that another process leads."""

    head: Response
    versions: Versions

    def __init__(self, link: Link, name: bytes, token: bytes, cover: Cover | None) -> None:
        self._link = link
        self._name = name
        self._token = token
        self._cover = cover
        self._read_so_far = 0

    @classmethod
    async def open(cls, link: Link, name: bytes, token: bytes, cover: Cover | None) -> Self | None:
        """Read the head of a stream; None when it is gone, UpstreamLost when it cannot be read."""
        feed = cls(link, name, token, cover)
        try:
            found = await link.together([("XRANGE", name, "-", "+", "COUNT", 1)])
            first = found[0][0]
        except (StoreError, LookupError):
            return None
        try:
            head = msgspec.json.decode(feed._value(*first)[1], type=_Head)
        except (ValueError, msgspec.MsgspecError) as error:
            raise UpstreamLost("the head of a shared stream is of another release") from error
        feed.head = Response(head.status, head.headers, b"", streamed=True)
        feed.versions = head.versions
        return feed

    def blocking(self) -> Iterator[bytes]:
        """Go through the pieces, from the first one on. Raises UpstreamLost when they break off."""
        while True:
            for entry in run(self._read()):
                piece = self._piece(*entry)
                if piece is None:
                    return
                yield piece

    async def tasks(self) -> AsyncIterator[bytes]:
        """Do the same in a task."""
        while True:
            for entry in await self._read():
                piece = self._piece(*entry)
                if piece is None:
                    return
                yield piece

    async def _read(self) -> list[Any]:
        """Wait for more entries. Raises UpstreamLost when there will be none."""
        block = "BLOCK", int(WAIT * 1000), "STREAMS", self._name, place(self._read_so_far)
        try:
            while True:
                found = await self._link.wait(("XREAD", "COUNT", AT_ONCE, *block), WAIT)
                if found:
                    return _entries(found)
                if not (await self._link.together([("EXISTS", self._name)]))[0]:
                    raise UpstreamLost("the process that led this stream is gone")
        except StoreError as error:
            raise UpstreamLost(f"the stream cannot be followed any more: {error}") from error

    def _piece(self, at: bytes, fields: Any) -> bytes | None:
        """Read an entry: a piece, or None at the end."""
        letter, value = self._value(at, fields)
        if letter == LOST:
            raise UpstreamLost("the connection of a shared stream was lost")
        return value if letter == PIECE else None

    def _value(self, at: bytes, fields: Any) -> tuple[bytes, bytes]:
        """Read the letter and the value of the next entry. UpstreamLost if one is missing."""
        if at != place(self._read_so_far + 1):
            raise UpstreamLost("a part of a shared stream was lost")
        letter, value = _pair(fields)
        if self._cover is not None:
            sealed_for = _place(self._token, self._read_so_far, letter)
            opened = self._cover.open(sealed_for, value)
            if opened is None:
                raise UpstreamLost("what was told of a shared stream is damaged or forged")
            value = opened
        self._read_so_far += 1
        return letter, value


def place(number: int) -> bytes:
    """Write the number of an entry as the server wants it."""
    return b"0-%d" % number


def _place(token: bytes, number: int, letter: bytes) -> bytes:
    """Say where an entry stands: as which one, in which stream, as what."""
    return b"".join((token, number.to_bytes(8, "big"), letter))


def _entries(found: Any) -> list[Any]:
    """Return the entries of the one stream that was read, as either protocol tells them."""
    entries: list[Any] = next(iter(found.values())) if isinstance(found, dict) else found[0][1]
    nested = len(entries) == 1 and isinstance(entries[0][0], list)
    return list(entries[0]) if nested else list(entries)


def _pair(fields: Any) -> tuple[bytes, bytes]:
    """Return the one field of an entry, as either protocol tells it."""
    if isinstance(fields, dict):
        return next(iter(fields.items()))
    return fields[0], fields[1]
