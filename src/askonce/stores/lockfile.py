"""A file whose bytes are locks among processes, with a board of counters at its beginning."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from weakref import WeakValueDictionary

from askonce.stores import forks, places

try:
    import fcntl
except ImportError:  # Windows
    AVAILABLE = False
else:
    AVAILABLE = True

BOARD = 2**16
"""Counters, one byte each. They wrap around."""
LOCKS = 2**17
"""Where the locks begin. A byte need not exist to be locked."""


class LockFile:
    """The one descriptor that this process has of a lock file. Every verb may raise OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _open(path)
        self._held: dict[int, int] = {}
        """The bytes that this process has, and the threads that took them."""
        self._looked = time.monotonic()
        # Not a plain Lock: the garbage collector may drop a flight, which comes back here.
        self._lock = threading.RLock()
        self._resting = False
        forks.watch(self)

    def acquire(self, byte: int) -> bool:
        """Lock a byte unless another thread, cache or process has it. Never waits."""
        with self._lock:
            # The kernel excludes processes, not the threads and caches of one process.
            if byte in self._held:
                return False
            self._follow()
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, LOCKS + byte)
            except (BlockingIOError, PermissionError):
                return False
            self._held[byte] = threading.get_ident()
            return True

    def release(self, byte: int, count: int | None = None) -> None:
        """Unlock a byte that this process has, after raising a counter if one is given."""
        with self._lock:
            if byte not in self._held:
                return
            del self._held[byte]
            try:
                if count is not None:
                    raised = (self._read(count) + 1) % 256
                    os.pwrite(self._descriptor, bytes((raised,)), count)
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, LOCKS + byte)

    def holder(self, byte: int) -> int | None:
        """Return the thread of this process that locked a byte; None if none did."""
        return self._held.get(byte)

    def counter(self, count: int) -> int:
        """Read a counter of the board."""
        with self._lock:
            return self._read(count)

    def _read(self, count: int) -> int:
        return int.from_bytes(os.pread(self._descriptor, 1, count), "little")

    def _follow(self) -> None:
        """Move to the file that others open, if ours was deleted and we hold none of its locks."""
        now = time.monotonic()
        if self._held or now - self._looked < 1.0:
            return
        self._looked = now
        try:
            same = os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            same = False
        if not same:
            deleted, self._descriptor = self._descriptor, _open(self._path)
            os.close(deleted)

    def before_fork(self) -> None:
        """Hold the lock, so that the child inherits no half-made change."""
        self._resting = self._lock.acquire(timeout=forks.PATIENCE)

    def after_fork(self, *, child: bool) -> None:
        """Go on. A child inherits the descriptor, which is its own to close, but no lock."""
        if child:
            self._lock = threading.RLock()
            self._held = {}
        elif self._resting:
            self._lock.release()

    def __del__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # AttributeError: it was never opened
            os.close(self._descriptor)


# When a process closes any descriptor of a file, it loses all its locks on that file (POSIX). So
# all the caches of a process share one descriptor, for as long as one of them lives.
_files: WeakValueDictionary[str, LockFile] = WeakValueDictionary()


def lock_file(path: Path) -> LockFile:
    """Open a lock file, or share it. StoreError or OSError if it cannot be had."""
    places.prepare(path)
    name = os.path.realpath(path)
    with forks.gate():
        file = _files.get(name)
        if file is None:
            file = _files[name] = LockFile(Path(name))
        return file


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
