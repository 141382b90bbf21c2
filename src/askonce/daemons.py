"""Threads for work that no program needs to wait for: a lookup, a comparison of two answers."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from functools import cache
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet, finalize

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")

GRACE = 5.0
"""Seconds that a program which ends waits, at most, for what was begun. It is worth something, and
a native library that is cut off inside a call may take the process down with it."""

_all: WeakSet[Daemons] = WeakSet()


class Daemons:
    """A few threads for work that blocks. A program that ends drops what takes too long in them."""

    MOST = 4
    MOST_OPEN = 1000
    """Pieces of work that wait or are under way; of what hangs there would be more and more."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._changed = threading.Condition()
        self._open = 0
        self._threads = 0
        self.process = os.getpid()
        finalize(self, _stop, self._tasks, self.MOST).atexit = False
        _watch_the_end()
        _all.add(self)

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Begin some work that blocks. RuntimeError if too much waits, or no thread can start."""
        from concurrent.futures import Future

        future: Future[T] = Future()

        def task() -> None:
            _finish(future, work)
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

        with self._changed:
            if self._open >= self.MOST_OPEN:
                raise RuntimeError(f"{self._open} pieces of work wait already")
            if self._threads < min(self._open + 1, self.MOST):
                self._start()
            self._open += 1
            self._tasks.put(task)
        return future

    def _start(self) -> None:
        try:
            threading.Thread(
                target=_serve, args=(self._tasks,), name="askonce daemon", daemon=True
            ).start()
        except RuntimeError:
            if not self._threads:  # else those that there are do it
                raise
        else:
            self._threads += 1

    def drain(self, timeout: float | None = None) -> None:
        """Wait until all work that was begun is done."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open, timeout)


def _finish(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        made = work()
    except BaseException as error:  # noqa: BLE001 (it is the waiting caller's)
        future.set_exception(error)
    else:
        future.set_result(made)


def _serve(tasks: SimpleQueue[Callable[[], None] | None]) -> None:
    while (task := tasks.get()) is not None:
        task()
        del task  # it may hold a request until the next one comes


def _stop(tasks: SimpleQueue[Callable[[], None] | None], most: int) -> None:
    for _ in range(most):
        tasks.put(None)


@cache
def _watch_the_end() -> None:
    atexit.register(_end)


def _end() -> None:
    end = time.monotonic() + GRACE
    for daemons in list(_all):
        if daemons.process == os.getpid():  # the threads of a parent are not in a child
            daemons.drain(max(0.0, end - time.monotonic()))
