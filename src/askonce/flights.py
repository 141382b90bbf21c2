"""Flights: one upstream call per key at a time; everybody else who asks the same waits for it.

A flight ends in one of three ways. LANDED: its answer is in the store. FAILED: no answer will come;
all who wait go upstream themselves, at once and side by side, never one after another. FREED: its
leader left for a reason of its own (cancelled, abandoned, collected); one of those who wait leads.
"""

from __future__ import annotations

import threading
from enum import Enum

from askonce.colours import Bell
from askonce.model import Response
from askonce.stores.contract import Leases, Telling
from askonce.tape import Tape


class State(Enum):
    """Where a flight is."""

    FLYING = "flying"
    LANDED = "landed"
    FAILED = "failed"
    FREED = "freed"


class Flight:
    """One upstream call, seen by those who wait for it."""

    __slots__ = ("bell", "head", "key", "leased", "state", "tape", "thread")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.state = State.FLYING
        self.bell = Bell()
        self.leased = False
        self.tape: Tape | None = None
        self.head = Response(200, (), b"", streamed=True)
        """The status and headers of the stream on the tape."""
        self.thread = threading.get_ident()
        """The thread, or the thread of the loop, on which the leader makes its call."""

    def news(self) -> bool:
        """Say whether a waiter has something to do: the flight ended, or a stream began."""
        return self.state is not State.FLYING or self.tape is not None

    def begin_stream(self, tape: Tape, head: Response) -> None:
        """Let followers of this process read along."""
        self.head = head
        self.tape = tape
        self.bell.ring()


class Flights:
    """The flights of one process, and their leases among processes."""

    def __init__(self, leases: Leases | None = None) -> None:
        self._lock = threading.Lock()
        self._flying: dict[bytes, Flight] = {}
        self.leases = leases

    def join(self, key: bytes) -> tuple[Flight, bool]:
        """Return the flight of this key, and whether the caller is to lead it."""
        with self._lock:
            flight = self._flying.get(key)
            if flight is not None:
                return flight, False
            flight = self._flying[key] = Flight(key)
            return flight, True

    def end(self, flight: Flight, state: State) -> None:
        """End a flight that was led here, once; a second end changes nothing."""
        with self._lock:
            if self._flying.get(flight.key) is not flight:
                return
            del self._flying[flight.key]
            flight.state = state
        if self.leases is not None and flight.leased:
            self.leases.release(flight.key, failed=state is State.FAILED)
        flight.bell.ring()

    def begin_stream(self, flight: Flight, tape: Tape, head: Response) -> None:
        """Let followers read along, those of other processes too where they can."""
        flight.begin_stream(tape, head)
        if flight.leased and isinstance(self.leases, Telling):
            self.leases.tell(flight.key, tape, head)

    async def lease(self, flight: Flight) -> bool:
        """Take the flight's lease among processes, if it is free."""
        flight.leased = self.leases is None or await self.leases.acquire(flight.key)
        return flight.leased

    def __len__(self) -> int:
        return len(self._flying)
