"""Who leads a flight, among all machines that share a PostgreSQL.

A lease is an advisory lock of one session, which the server frees when that session ends: of a
leader that was killed nothing is left, and there is no clock and no heartbeat
(https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from queue import SimpleQueue
from typing import Any, TypeAlias

from blake3 import blake3

from askonce import blocking
from askonce.colours import Colour
from askonce.errors import StoreError
from askonce.postgres import sessions
from askonce.postgres.sessions import Sessions
from askonce.postgres.tables import Tables
from askonce.stores.breaker import Breaker, Refused
from askonce.stores.contract import News, Waiting
from askonce.stores.leases import TAKEN

# A machine that is cut off without a word keeps its leases until the server has noticed it.
_SETTINGS = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}

_SHORTEST, _LONGEST = 0.002, 0.05
"""Seconds between two looks of one who waits: short beside a call of seconds."""

_BOARD = 2**16
"""Counts of failures. Keys that share one only stop waiting when the other's leader fails."""

_TAKE = "SELECT pg_try_advisory_lock({lock})"
_FREE = "SELECT pg_advisory_unlock({lock})"
_FAIL = """INSERT INTO {numbers} AS old VALUES ({place}, 1)
    ON CONFLICT (place) DO UPDATE SET number = old.number + 1"""
_FAILURES = "SELECT number FROM {numbers} WHERE place = {place}"

Work: TypeAlias = Callable[[], Any]
Job: TypeAlias = "tuple[Work, Future[Any]]"


class PostgresLeases:
    """Leases on a server, all of one session that one thread uses, from the first lease on.

    Where the server cannot be asked, every lease is granted: a call too many is harmless, a call
    that waits for nobody is not.
    """

    def __init__(self, tables: Tables, breaker: Breaker) -> None:
        self._tables = tables
        self._sessions = Sessions(tables.sessions.address, _SETTINGS)
        self._breaker = breaker
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._session: Any = None
        self._inherited: list[Any] = []
        self._closed = False
        self._held: set[bytes] = set()
        """What this session has: to the server a second lock by the same one is no conflict."""

    async def acquire(self, key: bytes) -> bool:
        """Take the lease if nobody holds it. Never waits for its holder."""
        if not self._breaker.may_ask():
            return True
        failures = self._breaker.failures
        try:
            taken = await self._asked(lambda: self._take(key))
        except StoreError as error:
            self._breaker.failed(error)
            # It may have been taken all the same.
            self._begin(lambda: self._free(key))
            return True
        self._breaker.worked(failures)
        if taken:
            TAKEN[self._token(key)] = threading.get_ident()
        return bool(taken)

    def release(self, key: bytes, *, failed: bool) -> None:
        """Give the lease back. Allowed from a finaliser."""
        TAKEN.pop(self._token(key), None)
        if failed:
            self._begin(lambda: self._run(self._tables.sql(_FAIL, place=_place(key))))
        self._begin(lambda: self._free(key))

    def holder(self, key: bytes) -> int | None:
        """Return the thread of this process that took this lease; None if that is elsewhere."""
        return TAKEN.get(self._token(key))

    @contextlib.contextmanager
    def waiting(self, key: bytes) -> Iterator[Waiting]:
        """Listen for news of a lease that somebody else holds."""
        yield _Looks(self, key)

    async def failures(self, key: bytes) -> int:
        """Return a number that changes when a leader of this key fails."""
        statement = self._tables.sql(_FAILURES, place=_place(key))
        try:
            rows = await self._asked(lambda: self._run(statement))
        except StoreError:
            return 0
        return int(rows[0][0]) if rows else 0

    def close(self) -> None:
        """Give all leases back, and end the thread."""
        thread, self._closed = self._thread, True
        self._jobs.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=1.0)

    def after_fork(self) -> None:
        """Begin anew in a child: its parent's leases are not its own."""
        # Not closed: that would end the parent's session.
        self._inherited.append(self._session)
        self._session, self._held, self._thread = None, set(), None
        self._jobs, self._lock = SimpleQueue(), threading.RLock()

    async def _asked(self, work: Work) -> Any:
        """Have the thread do some work. StoreError if it fails or takes too long."""
        done = self._begin(work)
        # A session may have to be opened first, and the jobs before this one done.
        seconds = 3 * self._sessions.address.timeout
        try:
            if blocking.is_running():
                return done.result(seconds)
            return await asyncio.wait_for(asyncio.wrap_future(done), seconds)
        except (TimeoutError, CancelledError) as error:
            raise StoreError(f"{self._sessions.address.shown} does not answer") from error

    def _begin(self, work: Work) -> Future[Any]:
        """Leave some work to the thread. Allowed from a finaliser."""
        done: Future[Any] = Future()
        if self._closed:  # all leases are free
            done.cancel()
            return done
        self._jobs.put((work, done))
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._work, args=(self._jobs,), name="askonce leases", daemon=True
                    )
                    self._thread.start()
        return done

    # In the thread

    def _work(self, jobs: SimpleQueue[Job | None]) -> None:
        while (job := jobs.get()) is not None:
            work, done = job
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(work())
                except Exception as error:  # noqa: BLE001 (it goes to whoever asked)
                    done.set_exception(error)
        self._lose()

    def _run(self, statement: str) -> list[list[Any]]:
        """Return the rows of a statement. With a session that fails all leases are lost."""
        try:
            if self._session is None:
                self._session = self._sessions.open(self._sessions.address.timeout)
            return self._sessions.told(self._session, statement)
        except Refused:
            raise
        except StoreError:
            self._lose()
            raise

    def _lose(self) -> None:
        session, self._session = self._session, None
        self._held.clear()
        if session is not None:
            sessions.close(session)

    def _take(self, key: bytes) -> bool:
        if key in self._held or not self._run(_TAKE.format(lock=self._number(key)))[0][0]:
            return False
        self._held.add(key)
        return True

    def _free(self, key: bytes) -> None:
        if key in self._held:
            self._held.discard(key)
            self._run(_FREE.format(lock=self._number(key)))

    def _number(self, key: bytes) -> int:
        """Return the number of the lock that stands for a key: 64 bits of a digest."""
        digest = blake3(self._token(key)).digest(8)
        return int.from_bytes(digest, "big", signed=True)

    def _token(self, key: bytes) -> bytes:
        return f"{self._sessions.address.namespace}:".encode() + key


class _Looks:
    """Waits for a lease by looking again and again, with pauses that grow."""

    def __init__(self, leases: PostgresLeases, key: bytes) -> None:
        self._leases = leases
        self._key = key
        self._before: int | None = None
        self._pause = _SHORTEST

    async def news(self, colour: Colour, timeout: float) -> News:
        """Let some time pass, and say whether a holder failed meanwhile."""
        if self._before is None:
            self._before = await self._leases.failures(self._key)
        await colour.pause(min(self._pause, timeout))
        self._pause = min(_LONGEST, self._pause * 1.5)
        failures = await self._leases.failures(self._key)
        return News.FREE if failures == self._before else News.FAILED


def _place(key: bytes) -> int:
    return int.from_bytes(key[6:8], "big") % _BOARD
