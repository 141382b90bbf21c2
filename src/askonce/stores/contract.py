"""What a store is: six verbs over entries, and a port of its own for leases.

A store keeps entries and drops them; it knows nothing of policy or freshness, and its own expiry is
only garbage collection. Its verbs are `async def`, but a store whose work never waits for a loop
(memory, SQLite) never awaits anything, so `blocking.run` finishes its verbs without a loop.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from askonce.model import Entry, Versions


class Found(Struct, frozen=True, gc=False):
    """What `get` saw in one look: an entry or None for each key, and the versions asked for."""

    entries: tuple[Entry | None, ...]
    versions: Versions = {}


class Store(Protocol):
    """Keeps entries under keys (20 bytes), and versions under tags.

    A tag's version is a random value made at first use. An entry carries the versions it saw; it
    is alive only while every one of them is still the current one. An unknown tag is a dead one: a
    version that was lost never matches again.

    Every verb raises StoreError, and nothing else, when the store cannot do its work. A damaged
    or foreign entry is absent.
    """

    blocking: bool
    """Whether a write may hold its thread for more than some microseconds."""

    async def get(self, keys: Sequence[bytes], tags: Collection[str] = ()) -> Found:
        """Look up entries that are alive, and the version of each tag, made now if it has none."""
        ...

    async def put(self, entries: Mapping[bytes, Entry]) -> None:
        """Keep entries, all or none, in place of what their keys held."""
        ...

    async def forget(self, keys: Sequence[bytes]) -> int:
        """Drop entries and say how many there were."""
        ...

    async def invalidate(self, tag: str) -> None:
        """Give a tag a new version. Everything that carries an older one is dead from now on."""
        ...

    async def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[tuple[bytes, Entry]]:
        """List entries that are alive in order of their keys, at most `limit` behind `after`."""
        ...

    async def close(self) -> None:
        """Let go of files and connections. Closing twice is allowed; a later verb is StoreError."""
        ...


class Leases(Protocol):
    """Who may lead the flight of a key, among all processes that share a store."""

    def acquire(self, key: bytes) -> bool:
        """Take the lease if nobody holds it. Never waits."""
        ...

    def release(self, key: bytes, *, failed: bool) -> None:
        """Give the lease back. A failed leader tells all who wait to stop waiting."""
        ...

    def failures(self, key: bytes) -> int:
        """Return a number that changes when a leader of this key fails."""
        ...
