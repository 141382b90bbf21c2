"""Connections to one SQLite file, for any thread; none of them is carried across a fork."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from askonce.errors import StoreError
from askonce.stores import damage, forks, lockfile, places, schema

T = TypeVar("T")

MOST_IDLE = 8
"""Connections kept for the next caller. Each holds up to 2 MB of pages."""
PATIENCE = 2.0
"""Seconds to wait for another process that is opening the file, or for the threads that write."""
BETWEEN_LOOKS = 1.0
"""Seconds after which a file that was deleted or replaced is noticed."""
BETWEEN_DAMAGES = 60.0
"""Seconds in which one damaged file is set aside at most: a disk that fails must not be filled."""

_OPENING = int.from_bytes(b"opens!", "big")
"""The lock file's byte that is held while the database is opened, begun or set aside."""


class _Connection(sqlite3.Connection):
    """A connection that knows which file it was opened on: device and inode."""

    file: tuple[int, int] | None = None


class Connections:
    """Runs work on a SQLite file, opened at first use, and turns its failures into StoreError.

    A damaged file is set aside, a deleted one begun again, and the work done on the new one.
    Unless `heal`, a damaged file stays where it is, and all work on it is a StoreError.
    """

    def __init__(
        self,
        path: Path,
        *,
        limit: int,
        busy: float,
        heal: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._limit = limit
        self._busy = busy
        self._heal = heal
        self._clock = clock
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._inherited: list[_Connection] = []
        self._file: tuple[int, int] | None = None
        # Not a plain Lock: the garbage collector may run a finaliser that comes back here.
        self._writing = threading.RLock()
        self._failed = float("-inf")
        self._looked = clock()
        self._damaged = float("-inf")
        self._closed = False
        self._resting = False
        self._lock_path = Path(f"{path}-leases")
        self._locks: lockfile.LockFile | None = None
        forks.watch(self)
        # Python 3.13 complains of connections that are never closed.
        weakref.finalize(self, _close_all, self._idle)

    @property
    def lock_path(self) -> Path:
        """Where processes that share the file lock one another out."""
        return self._lock_path

    def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work on a connection that nobody else uses meanwhile. StoreError if it fails.

        The work is done a second time, on a new file, if the first one is found to be damaged.
        """
        try:
            try:
                return self._attempt(work)
            except sqlite3.DatabaseError as error:
                if not damage.is_damage(error):
                    raise
                return self._attempt(work)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error
        except OSError as error:
            raise places.refused(self._path, error) from error
        except (ValueError, OverflowError) as error:
            raise StoreError(f"this cannot be stored: {error}") from error

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work that writes. One thread at a time: SQLite's own queue is no queue.

        Its waiters look again now and then, and of a hundred threads some never find it free. Those
        who wait here while a write fails fail with it, and not one after another.
        """
        writing, began = self._writing, time.monotonic()
        if not writing.acquire(timeout=PATIENCE):
            raise StoreError(f"{self._path}: other threads have been writing to it for too long")
        try:
            if self._failed > began:
                raise StoreError(f"{self._path}: the write of another thread has just failed")
            try:
                return self.do(work)
            except StoreError:
                self._failed = time.monotonic()
                raise
        finally:
            writing.release()

    def close(self) -> None:
        """Close what is idle now, and the rest when it comes back."""
        self._closed = True
        self._drop_idle()

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._take()
        try:
            result = work(connection)
        except BaseException as error:
            if isinstance(error, sqlite3.DatabaseError) and damage.is_damage(error):
                self._discard(connection)
                self._replace(connection.file, error)
            else:
                self._rest(connection)
            raise
        self._give(connection)
        return result

    def _take(self) -> _Connection:
        if self._closed:
            raise StoreError("this store is closed: open a new one")
        if abs(self._clock() - self._looked) >= BETWEEN_LOOKS:
            self._look()
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def _give(self, connection: _Connection) -> None:
        ours = connection.file == self._file and not (self._closed or self._resting)
        if not ours or len(self._idle) >= MOST_IDLE:
            self._discard(connection)
        else:
            self._idle.append(connection)
            if self._closed:  # between the look and the act
                self._drop_idle()

    def _rest(self, connection: _Connection) -> None:
        """Take back a connection whose work failed, with nothing left open on it."""
        try:
            if connection.in_transaction:
                connection.rollback()
        except sqlite3.Error:
            self._discard(connection)
        else:
            self._give(connection)

    def _discard(self, connection: _Connection) -> None:
        with contextlib.suppress(sqlite3.Error):
            connection.close()
        # Not before it is closed: a fork meanwhile would leave the child a lock that nobody frees.
        self._all.discard(connection)

    def _drop_idle(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._discard(self._idle.pop())

    def _look(self) -> None:
        """Let go of a file that no longer has our name."""
        self._looked = self._clock()
        file = _identity(self._path)
        if file != self._file:
            self._file = file
            self._drop_idle()

    def _open(self) -> _Connection:
        with forks.gate():
            self._check_foreign()
            with self._alone():
                try:
                    return self._connect()
                except sqlite3.DatabaseError as error:
                    if not damage.is_damage(error):
                        raise
                    self._set_aside(error)
                    return self._connect()

    def _connect(self) -> _Connection:
        damage.begin(self._path)
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=self._busy,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
        )
        try:
            schema.prepare(connection, self._path, self._limit)
        except BaseException:
            connection.close()
            raise
        connection.file = self._file = _identity(self._path)
        self._all.add(connection)
        return connection

    def _check_foreign(self) -> None:
        # The lock file says that askonce has been here before. Without it a file that is no
        # database is not a damaged one, but somebody's.
        known = self._locks is not None or self._lock_path.exists()
        if lockfile.AVAILABLE and not known and self._path.exists():
            schema.check_header(self._path)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from opening, beginning or setting aside the file.

        SQLite finds a file's log by its name, so nobody may be half-way while names change.
        """
        places.prepare(self._path)
        if not lockfile.AVAILABLE:
            yield
            return
        if self._locks is None:
            self._locks = lockfile.lock_file(self._lock_path)
        end = time.monotonic() + PATIENCE
        while not self._locks.acquire(_OPENING):
            if time.monotonic() > end:
                raise StoreError(f"{self._path}: another process has been opening it for too long")
            time.sleep(0.001)
        try:
            yield
        finally:
            self._locks.release(_OPENING)

    def _replace(self, file: tuple[int, int] | None, error: sqlite3.DatabaseError) -> None:
        """Set a damaged file aside, unless another process or thread has done so already."""
        with forks.gate(), self._alone():
            if _identity(self._path) == file:
                self._set_aside(error)
        self._look()

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        if not self._heal:
            raise StoreError(
                f"{self._path} is damaged ({error}): the next cached call of a program sets it "
                "aside and begins a new one"
            ) from error
        now = time.monotonic()
        if now - self._damaged < BETWEEN_DAMAGES:
            raise error
        self._damaged = now
        damage.set_aside(self._path, error)

    def before_fork(self) -> None:
        """Close every connection: a child that inherits one cannot lock the file properly."""
        # A thread that waits for another process's write has its connection for all of that time.
        end = time.monotonic() + forks.PATIENCE + self._busy
        self._resting = True
        self._drop_idle()
        while self._all and time.monotonic() < end:
            time.sleep(0.0005)
            self._drop_idle()

    def after_fork(self, *, child: bool) -> None:
        """Begin anew in the child. What it has inherited after all must never be closed there."""
        self._resting = False
        if child:
            self._inherited.extend(self._all)
            self._all.clear()
            self._idle.clear()
            self._writing = threading.RLock()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _close_all(connections: list[_Connection]) -> None:
    while connections:
        with contextlib.suppress(sqlite3.Error):
            connections.pop().close()
