"""Who leads a flight, among all processes that share a store.

A lease is one byte of a lock file. The kernel frees it when its process dies, so there is no clock,
no heartbeat and no owner to check. Where there are no such locks (Windows), a row of the SQLite
file stands in.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from askonce.colours import Colour
from askonce.errors import StoreError
from askonce.stores import lockfile
from askonce.stores.contract import News, Waiting

if TYPE_CHECKING:
    from askonce.stores.connections import Connections


TAKEN: dict[bytes, int] = {}
"""The tokens of leases that this process has, and the threads that took them.

The caches of a process share it: one that waited for what its own thread leads through another
would wait for itself.
"""


class Looks:
    """Waits for a lease by looking again and again: there is nobody who could tell of it.

    The pauses grow from 1 ms to 20 ms: short beside a call of seconds, and 50 looks a second cost
    next to nothing.
    """

    def __init__(self, failures: Callable[[], int]) -> None:
        self._failures = failures
        self._before = failures()
        self._pause = 0.001

    async def news(self, colour: Colour, timeout: float) -> News:
        """Let some time pass, and say whether a holder failed meanwhile."""
        await colour.pause(min(self._pause, timeout))
        self._pause = min(0.020, self._pause * 1.5)
        return News.FREE if self._failures() == self._before else News.FAILED


class FileLeases:
    """Leases on a lock file of this machine. Nothing is opened before the first of them.

    Where the file cannot be had, every lease is granted: a call too many is harmless, a call that
    waits for nobody is not.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._file: lockfile.LockFile | None = None

    async def acquire(self, key: bytes) -> bool:
        """Take the lease if nobody holds it. Never waits for its holder."""
        try:
            return self._opened().acquire(_byte(key))
        except (OSError, StoreError):
            return True

    def release(self, key: bytes, *, failed: bool) -> None:
        """Give the lease back. A failed leader tells all who wait to stop waiting."""
        if self._file is None:
            return
        try:  # noqa: SIM105 (`suppress` takes 1 us of every put)
            self._file.release(_byte(key), _counter(key) if failed else None)
        except OSError:
            pass

    def holder(self, key: bytes) -> int | None:
        """Return the thread of this process that took this lease; None if that is elsewhere."""
        return None if self._file is None else self._file.holder(_byte(key))

    @contextlib.contextmanager
    def waiting(self, key: bytes) -> Iterator[Waiting]:
        """Listen for news of a lease that somebody else holds."""
        yield Looks(lambda: self.failures(key))

    def failures(self, key: bytes) -> int:
        """Return a number that changes when a leader of this key fails."""
        try:
            return self._opened().counter(_counter(key))
        except (OSError, StoreError):
            return 0

    def _opened(self) -> lockfile.LockFile:
        if self._file is None:
            self._file = lockfile.lock_file(self._path)
        return self._file


def _byte(key: bytes) -> int:
    """Choose the byte that stands for a key: 48 bits, so that two keys hardly ever meet."""
    return int.from_bytes(key[:6], "big")


def _counter(key: bytes) -> int:
    """Choose a counter of the board. Keys that share one only stop waiting when the other fails."""
    return int.from_bytes(key[6:8], "big") % lockfile.BOARD


SPAN = 60.0
"""Seconds after which a row is nobody's: its owner may have died. Then a second call is made."""

_TAKE = """INSERT INTO leases (key, owner, expires) VALUES (?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, expires = excluded.expires
    WHERE leases.expires < ?"""
_OWNER = "SELECT owner FROM leases WHERE key = ?"
_FREE = "DELETE FROM leases WHERE key = ? AND owner = ?"
_FAIL = """INSERT INTO failures (slot, number) VALUES (?, 1)
    ON CONFLICT (slot) DO UPDATE SET number = number + 1"""
_FAILURES = "SELECT number FROM failures WHERE slot = ?"


class RowLeases:
    """Leases as rows of the SQLite file, for systems without locks on bytes of a file."""

    def __init__(self, connections: Connections, clock: Callable[[], float] = time.time) -> None:
        self._connections = connections
        self._clock = clock
        self._owners: dict[bytes, bytes] = {}

    async def acquire(self, key: bytes) -> bool:
        """Take the lease if nobody holds it, for 60 seconds. Never waits for its holder."""
        now, owner = self._clock(), os.urandom(16)
        row = (key, owner, now + SPAN, now)
        try:
            taken = self._connections.do(lambda database: database.execute(_TAKE, row).rowcount > 0)
        except StoreError:
            return True
        if taken:
            self._owners[key] = owner
            TAKEN[owner] = threading.get_ident()
        return taken

    def release(self, key: bytes, *, failed: bool) -> None:
        """Give the lease back. A failed leader tells all who wait to stop waiting."""
        owner = self._owners.pop(key, None)
        if owner is None:
            return
        TAKEN.pop(owner, None)
        with contextlib.suppress(StoreError):
            if failed:
                self._connections.do(lambda database: database.execute(_FAIL, (_counter(key),)))
            self._connections.do(lambda database: database.execute(_FREE, (key, owner)))

    def holder(self, key: bytes) -> int | None:
        """Return the thread of this process that took this lease; None if that is elsewhere."""
        try:
            row = self._connections.do(lambda it: it.execute(_OWNER, (key,)).fetchone())
        except StoreError:
            return None
        return TAKEN.get(row[0]) if row else None

    @contextlib.contextmanager
    def waiting(self, key: bytes) -> Iterator[Waiting]:
        """Listen for news of a lease that somebody else holds."""
        yield Looks(lambda: self.failures(key))

    def failures(self, key: bytes) -> int:
        """Return a number that changes when a leader of this key fails."""
        slot = (_counter(key),)
        try:
            row = self._connections.do(lambda it: it.execute(_FAILURES, slot).fetchone())
        except StoreError:
            return 0
        return int(row[0]) if row else 0
