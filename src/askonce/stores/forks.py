"""What must happen around a fork to things that hold locks or files.

A child has one thread, so a lock that another thread held is never given back there. And SQLite
counts a process's locks in memory that the child inherits, while the kernel's locks are not: a new
connection beside an inherited one holds no lock at all, and lost acknowledged rows when we tried
it. So the parent comes to rest before it forks, and the child begins anew.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

PATIENCE = 1.0
"""Seconds that a fork waits for other threads to finish what they are at."""


class Forkable(Protocol):
    """Something that can come to rest. Neither verb may raise."""

    def before_fork(self) -> None:
        """Finish what is under way, hold the locks, let go of what a child must not inherit."""
        ...

    def after_fork(self, *, child: bool) -> None:
        """Go on, in the parent; begin anew, in the child."""
        ...


class Locked:
    """Something whose only care at a fork is a lock, `_lock`: it is free again in the child."""

    def __init__(self) -> None:
        # Not a plain Lock: the garbage collector may run a finaliser that comes back here.
        self._lock = threading.RLock()
        self._resting = False
        watch(self)

    def before_fork(self) -> None:
        """Hold the lock, so that the child inherits no half-made change."""
        self._resting = self._lock.acquire(timeout=PATIENCE)

    def after_fork(self, *, child: bool) -> None:
        """Free the lock; in the child, take a new one."""
        if child:
            self._lock = threading.RLock()
        elif self._resting:
            self._lock.release()


class _Watch:
    """All that come to rest, and the gate that is shut while a fork is under way."""

    def __init__(self) -> None:
        self.gate = threading.RLock()
        self.things: WeakSet[Forkable] = WeakSet()
        self.resting: list[Forkable] = []
        self.hooked = False
        self.shut = False

    def before(self) -> None:
        self.shut = self.gate.acquire(timeout=PATIENCE)
        self.resting = list(self.things)
        for thing in self.resting:
            thing.before_fork()

    def after_in_parent(self) -> None:
        self._wake(child=False)
        if self.shut:
            self.gate.release()

    def after_in_child(self) -> None:
        self.gate = threading.RLock()
        self._wake(child=True)

    def _wake(self, *, child: bool) -> None:
        for thing in self.resting:
            thing.after_fork(child=child)
        self.resting = []


# One for the whole process: a hook of the interpreter can never be taken back.
_watch = _Watch()


def gate() -> AbstractContextManager[bool]:
    """Hold off forks while something is opened; one thread at a time, which may enter twice."""
    return _watch.gate


def watch(thing: Forkable) -> None:
    """Bring `thing` to rest before every fork, for as long as it lives."""
    with _watch.gate:
        _watch.things.add(thing)
        if not _watch.hooked and hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=_watch.before,
                after_in_parent=_watch.after_in_parent,
                after_in_child=_watch.after_in_child,
            )
            _watch.hooked = True
