"""Flights: one upstream call per key at a time; everybody else who asks the same waits for it.

A flight ends in one of three ways. LANDED: its answer is in the store. FAILED: no answer will come;
all who wait go upstream themselves, at once and side by side, never one after another. FREED: its
leader left for a reason of its own (cancelled, abandoned, collected, out of patience); one of those
who wait leads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from enum import Enum
from typing import TYPE_CHECKING

from askonce.chains import Chain
from askonce.colours import Bell
from askonce.model import NOTHING, Response, Versions
from askonce.stores.contract import Leases, Located, Telling
from askonce.tape import Tape

if TYPE_CHECKING:
    from askonce.sealing import Cover
    from askonce.stores.sealed import Sealed


class State(Enum):
    """Where a flight is."""

    FLYING = "flying"
    LANDED = "landed"
    FAILED = "failed"
    FREED = "freed"


class Flight:
    """One upstream call, seen by those who wait for it."""

    __slots__ = (
        "alone", "bell", "chain", "cover", "head", "is_dead", "key", "leased", "overtaken",
        "second", "shows_usage", "state", "tape", "thread", "versions",
    )  # fmt: skip

    def __init__(
        self,
        key: bytes,
        versions: Versions = NOTHING,
        *,
        second: bool = False,
        cover: Cover | None = None,
    ) -> None:
        self.key = key
        self.cover = cover
        """What hides it from all who do not know its tenant's secret."""
        self.versions = versions
        """The versions of its tags: its answer is of no use to those who know newer ones."""
        self.second = second
        """Another flight of this key is in the air, and has the lease if anybody has."""
        self.alone = False
        """Nobody waits for it; it has its place in the order of calls, and that is all."""
        self.is_dead: Callable[[], bool] | None = None
        """Whether its call can never end, for its loop is closed."""
        self.chain: Chain | None = None
        """What its answer depends on by way of other calls."""
        self.overtaken = False
        """A newer answer was kept meanwhile."""
        self.state = State.FLYING
        self.bell = Bell()
        self.leased = False
        self.tape: Tape | None = None
        self.head = Response(200, (), b"", streamed=True)
        """The status and headers of the stream on the tape."""
        self.shows_usage: bool | None = True
        """Whether its stream tells usage to those who ask for it; None where nobody here knows."""
        self.thread = threading.get_ident()
        """The thread, or the thread of the loop, on which the leader makes its call."""

    @property
    def name(self) -> bytes:
        """Under which other processes know it."""
        return self.key if self.cover is None else self.cover.name

    def news(self) -> bool:
        """Say whether a waiter has something to do: the flight ended, or a stream began."""
        return self.state is not State.FLYING or self.tape is not None

    def is_over(self) -> bool:
        """Say whether the flight ended."""
        return self.state is not State.FLYING

    def serves(self, versions: Versions) -> bool:
        """Say whether its answer will be alive for a caller who saw these versions."""
        return (
            self.state is State.FLYING
            and not self.alone
            and is_alive_for(versions, self.versions)
            and not (self.is_dead is not None and self.is_dead())
        )

    def begin_stream(self, tape: Tape, head: Response) -> None:
        """Let followers of this process read along."""
        self.head = head
        self.tape = tape
        self.bell.ring()


def is_alive_for(versions: Versions, made_under: Versions) -> bool:
    """Say whether an answer made under some versions will be alive for a caller who saw these."""
    # Who does not know a version cannot know that it is still the leader's.
    return versions.items() <= made_under.items() and b"" not in versions.values()


class Flights:
    """The flights of one process, and their leases among processes."""

    def __init__(self, leases: Leases | None = None, sealed: Sealed | None = None) -> None:
        # Not a plain Lock: the garbage collector may end a flight while this thread joins one.
        self._lock = threading.RLock()
        self._flying: dict[bytes, tuple[Flight, ...]] = {}
        self.leases = leases
        self._sealed = sealed if leases is not None else None

    def join(
        self, key: bytes, versions: Versions = NOTHING, tenant: str = ""
    ) -> tuple[Flight, bool]:
        """Return a flight of this key that serves the caller, and whether the caller leads it."""
        with self._lock:
            others = self._flying.get(key, ())
            for flight in others:
                if flight.serves(versions):
                    return flight, False
            cover = None if self._sealed is None else self._sealed.flight(tenant, key)
            second = any(not flight.alone for flight in others)
            flight = Flight(key, versions, second=second, cover=cover)
            self._flying[key] = (*self._flying.get(key, ()), flight)
            return flight, True

    def alone(self, key: bytes) -> Flight:
        """Return the flight of a call that nobody else may wait for."""
        with self._lock:
            flight = Flight(key)
            flight.alone = True
            self._flying[key] = (*self._flying.get(key, ()), flight)
            return flight

    def end(self, flight: Flight, state: State) -> None:
        """End a flight that was led here, once; a second end changes nothing."""
        with self._lock:
            if flight.state is not State.FLYING:
                return
            flight.state = state
            left = tuple(it for it in self._flying.get(flight.key, ()) if not it.is_over())
            if left:
                self._flying[flight.key] = left
            else:
                self._flying.pop(flight.key, None)
        if self.leases is not None and flight.leased:
            self.leases.release(flight.name, failed=state is State.FAILED)
        flight.bell.ring()

    def overtake(self, key: bytes, by: Flight) -> None:
        """Let no flight of this key that began earlier overwrite an answer that was just kept."""
        with self._lock:
            for flight in self._flying.get(key, ()):
                if flight is by:
                    break
                flight.overtaken = True

    def begin_stream(self, flight: Flight, tape: Tape, head: Response) -> None:
        """Let followers read along, those of other processes too where they can."""
        flight.begin_stream(tape, head)
        # What a chain uses is known here only; others could follow it past an invalidation.
        if flight.leased and flight.chain is None and isinstance(self.leases, Telling):
            self.leases.tell(flight.name, tape, head, flight.cover, flight.versions)

    async def lease(self, flight: Flight) -> bool:
        """Take the flight's lease among processes, if it is free or none is needed."""
        if self.leases is None or flight.second:
            return True
        flight.leased = await self.leases.acquire(flight.name)
        return flight.leased

    def holder(self, flight: Flight) -> int | None:
        """Return the thread of this process that took its lease, as far as that is known."""
        return self.leases.holder(flight.name) if isinstance(self.leases, Located) else None

    def __iter__(self) -> Iterator[Flight]:
        return iter([flight for flights in self._flying.values() for flight in flights])

    def __len__(self) -> int:
        return sum(map(len, self._flying.values()))
