"""What a store is: six verbs over entries, and a port of its own for leases.

A store keeps entries and drops them; it knows nothing of policy or freshness, and its own expiry is
only garbage collection. Its verbs are `async def`, but a store whose work never waits for a loop
(memory, SQLite) never awaits anything, so `blocking.run` finishes its verbs without a loop.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager
from enum import Enum
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct

from askonce.colours import Colour
from askonce.model import NOTHING, Entry, Response, Versions
from askonce.tape import Tape

if TYPE_CHECKING:
    from askonce.sealing import Cover


class Found(Struct, frozen=True, gc=False):
    """What `get` saw in one look: an entry or None for each key, and the versions asked for."""

    entries: tuple[Entry | None, ...]
    versions: Versions = {}
    targets: Mapping[bytes, Entry] = {}
    """What aliases among the entries point at, by key, where a store looked for it at once."""


StoreState: TypeAlias = Literal["working", "refusing", "failing", "alone"]
"""`refusing`: it answers, but keeps nothing new (it is full, or may not). `failing`: it cannot be
asked, and is tried once a second. `alone`: memory took its place for good."""


class Health(Struct, frozen=True, gc=False):
    """How a store does, and how often it began to fail or to refuse."""

    state: StoreState = "working"
    failures: int = 0


class Store(Protocol):
    """Keeps entries under keys (20 bytes), and versions under tags.

    A tag's version is a random value made at first use. An entry carries the versions it saw; it
    is alive only while every one of them is still the current one. An unknown tag is a dead one: a
    version that was lost never matches again. A store of several places may have a version for each
    of them; it tells the one of the first key it is asked for.

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

    async def invalidate(self, tag: str, version: bytes | None = None) -> None:
        """Give a tag another version. Everything that carries the older one is dead from now on.

        A version of 16 bytes may be given; the one that `get` tells ends in it. What carries it
        from before is alive again.
        """
        ...

    async def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[tuple[bytes, Entry]]:
        """List entries that are alive in order of their keys, at most `limit` behind `after`."""
        ...

    async def close(self) -> None:
        """Let go of files and connections. Closing twice is allowed; a later verb is StoreError."""
        ...


@runtime_checkable
class Watched(Protocol):
    """A store that tells of what other processes make it forget."""

    def watch(self, forgotten: Callable[[Sequence[bytes] | None], None]) -> None:
        """Call `forgotten` with the keys, from any thread; with None when some may be missed."""
        ...


class News(Enum):
    """What somebody who waits for a lease hears of it."""

    FREE = "free"
    """It may be free by now: try again."""
    FAILED = "failed"
    """Its holder failed: no answer will come."""
    TOLD = "told"
    """Its holder tells a stream that can be followed."""


class Leases(Protocol):
    """Who may lead the flight of a key, among all processes that share a store.

    Where no lease can be had at all, every one is granted: a call too many is harmless, a call that
    waits for nobody is not.
    """

    async def acquire(self, key: bytes) -> bool:
        """Take the lease if nobody holds it. Never waits for its holder."""
        ...

    def release(self, key: bytes, *, failed: bool) -> None:
        """Give the lease back, and let all who wait know. Allowed from a finaliser."""
        ...

    def waiting(self, key: bytes) -> AbstractContextManager[Waiting]:
        """Listen for news of a lease that somebody else holds."""
        ...


class Waiting(Protocol):
    """One who waits for a lease. `acquire` must be tried again after listening has begun."""

    async def news(self, colour: Colour, timeout: float) -> News:
        """Wait for news, for `timeout` seconds at the longest, then say FREE."""
        ...


class Feed(Protocol):
    """The stream of a flight that another process leads, as it comes."""

    head: Response
    """Its status and headers; the body is empty."""
    versions: Versions
    """Of its tags, as its leader saw them before the call."""

    def blocking(self) -> Iterator[bytes]:
        """Go through the pieces, from the first one on. Raises UpstreamLost when they break off."""
        ...

    def tasks(self) -> AsyncIterator[bytes]:
        """Do the same in a task."""
        ...


@runtime_checkable
class Located(Protocol):
    """Leases that know which thread of this process took one."""

    def holder(self, key: bytes) -> int | None:
        """Return the thread that took this lease and still has it; None if that is elsewhere."""
        ...


@runtime_checkable
class Telling(Protocol):
    """Leases whose holders can tell a stream to all who wait."""

    def tell(
        self,
        key: bytes,
        tape: Tape,
        head: Response,
        cover: Cover | None = None,
        versions: Versions = NOTHING,
    ) -> None:
        """Tell a stream that this process leads, if anybody waits for it; under a cover, sealed.

        `versions` are those of its tags, seen before its call was made.
        """
        ...

    async def follow(self, key: bytes, cover: Cover | None = None) -> Feed | None:
        """Follow the stream that was told of last; None when it is gone already.

        UpstreamLost when it is there and cannot be read.
        """
        ...
