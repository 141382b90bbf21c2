"""The two ways to wait: a thread sleeps, a task yields to its loop.

The engine is written once as `async def`. Whatever differs between a blocking and an async caller
is behind these few verbs, so the engine never asks which one it has.

asyncio is imported where a task is at work: it would be a fifth of what `import askonce` costs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from askonce.blocking import run

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Executor, Future

    from askonce.tape import Source, Tape

T = TypeVar("T")


class Bell:
    """Wakes everyone who listens, threads and tasks alike. Each ring wakes each listener once."""

    __slots__ = ("_listeners", "_lock")

    def __init__(self) -> None:
        # Not a plain Lock: the garbage collector may end a flight, which rings.
        self._lock = threading.RLock()
        self._listeners: set[Callable[[], None]] = set()

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` at the next ring, from whatever thread rings."""
        with self._lock:
            self._listeners.add(wake)

    def drop(self, wake: Callable[[], None]) -> None:
        """Stop listening."""
        with self._lock:
            self._listeners.discard(wake)

    def ring(self) -> None:
        """Wake all who listen now."""
        with self._lock:
            listeners, self._listeners = self._listeners, set()
        for wake in listeners:
            wake()


class Workers:
    """A few threads for work that would hold a loop. They start with the first of it.

    They are no loop's own: a program may fill those with callers that wait for this very work.
    """

    MOST = 4

    def __init__(self) -> None:
        self._pool: Executor | None = None

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin to finish some work that never waits for a loop."""
        future = self.begin(partial(run, work))
        # Whoever waits may be cancelled before it has begun; then nobody ever runs it.
        future.add_done_callback(lambda done: work.close() if done.cancelled() else None)
        return future

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Begin some work that blocks."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            # Two loops may each make one here. The pool that is lost does its work and ends.
            self._pool = ThreadPoolExecutor(self.MOST, thread_name_prefix="askonce worker")
        return self._pool.submit(work)

    def drain(self) -> None:
        """Wait until all work that was begun is done. What begins later has threads of its own."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)


class Pool(Protocol):
    """Threads that do work which blocks."""

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Begin some of it."""
        ...


class Colour(Protocol):
    """How a caller waits."""

    def is_held_by(self, thread: int) -> bool:
        """Say whether waiting here would stop what runs on this thread."""
        ...

    async def wait(self, bell: Bell, ready: Callable[[], bool], timeout: float) -> bool:
        """Wait until `ready()`, asked again at each ring; False after `timeout` seconds."""
        ...

    async def pause(self, seconds: float) -> None:
        """Let some time pass."""
        ...

    async def off_loop(self, work: Coroutine[Any, Any, T], workers: Workers) -> T:
        """Finish work that may hold its thread for a while."""
        ...

    async def within(self, seconds: float, work: Callable[[], T], pool: Pool) -> T:
        """Do work that blocks; TimeoutError if it takes longer. It is not stopped by that."""
        ...

    def advance(self, source: Source, tape: Tape, *, leading: bool) -> None:
        """Have a shared stream's next chunk pulled."""
        ...


class Threads:
    """A blocking caller: waiting holds the thread."""

    def is_held_by(self, thread: int) -> bool:
        return thread == threading.get_ident()

    async def wait(self, bell: Bell, ready: Callable[[], bool], timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        # Not an Event: the garbage collector may ring while this thread is inside its lock.
        rings: SimpleQueue[None] = SimpleQueue()
        wake = partial(rings.put, None)
        while True:
            bell.listen(wake)
            if ready():
                bell.drop(wake)
                return True
            left = max(0.0, deadline - time.monotonic())
            try:
                rings.get(timeout=min(left, threading.TIMEOUT_MAX))
            except Empty:
                return ready()
            finally:
                bell.drop(wake)

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 (the caller is blocking; no loop runs here)

    async def off_loop(self, work: Coroutine[Any, Any, T], workers: Workers) -> T:  # noqa: ARG002
        return await work

    async def within(self, seconds: float, work: Callable[[], T], pool: Pool) -> T:
        return pool.begin(work).result(seconds)

    def advance(self, source: Source, tape: Tape, *, leading: bool) -> None:
        if leading:
            source.advance(tape)
        else:
            source.advance_elsewhere(tape)


class Tasks:
    """An asyncio caller: waiting lets other tasks run."""

    def is_held_by(self, thread: int) -> bool:  # noqa: ARG002 (a task never stops its loop)
        return False

    async def wait(self, bell: Bell, ready: Callable[[], bool], timeout: float) -> bool:
        import asyncio

        loop = asyncio.get_running_loop()
        # A loop may not know what to do with an infinite time (uvloop does not).
        deadline = None if timeout == float("inf") else loop.time() + timeout
        while True:
            woken = asyncio.Event()
            wake = _waker(loop, woken)
            bell.listen(wake)
            try:
                if ready():
                    return True
                async with asyncio.timeout_at(deadline):
                    await woken.wait()
            except TimeoutError:
                return ready()
            finally:
                bell.drop(wake)

    async def pause(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(seconds)

    async def off_loop(self, work: Coroutine[Any, Any, T], workers: Workers) -> T:
        import asyncio

        return await asyncio.wrap_future(workers.start(work))

    async def within(self, seconds: float, work: Callable[[], T], pool: Pool) -> T:
        import asyncio

        return await asyncio.wait_for(asyncio.wrap_future(pool.begin(work)), seconds)

    def advance(self, source: Source, tape: Tape, *, leading: bool) -> None:  # noqa: ARG002
        source.advance_elsewhere(tape)


def _waker(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> Callable[[], None]:
    def wake() -> None:
        # A loop that is closed has nobody left who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(woken.set)

    return wake


THREADS = Threads()
TASKS = Tasks()
