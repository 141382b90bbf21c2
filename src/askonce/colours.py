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
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from askonce.blocking import run

if TYPE_CHECKING:
    import asyncio

    from askonce.tape import Source, Tape

T = TypeVar("T")


class Bell:
    """Wakes everyone who listens, threads and tasks alike. Each ring wakes each listener once."""

    __slots__ = ("_listeners", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
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

    async def off_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish work that may hold its thread for a while."""
        ...

    def advance(self, source: Source, tape: Tape) -> None:
        """Have a shared stream's next chunk pulled."""
        ...


class Threads:
    """A blocking caller: waiting holds the thread."""

    def is_held_by(self, thread: int) -> bool:
        return thread == threading.get_ident()

    async def wait(self, bell: Bell, ready: Callable[[], bool], timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        woken = threading.Event()
        while True:
            woken.clear()
            bell.listen(woken.set)
            if ready():
                bell.drop(woken.set)
                return True
            if not woken.wait(max(0.0, deadline - time.monotonic())):
                bell.drop(woken.set)
                return ready()

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 (the caller is blocking; no loop runs here)

    async def off_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return await work

    def advance(self, source: Source, tape: Tape) -> None:
        source.advance(tape)


class Tasks:
    """An asyncio caller: waiting lets other tasks run."""

    def is_held_by(self, thread: int) -> bool:  # noqa: ARG002 (a task never stops its loop)
        return False

    async def wait(self, bell: Bell, ready: Callable[[], bool], timeout: float) -> bool:
        import asyncio

        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
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

    async def off_loop(self, work: Coroutine[Any, Any, T]) -> T:
        import asyncio

        return await asyncio.to_thread(run, work)

    def advance(self, source: Source, tape: Tape) -> None:
        source.advance_from_loop(tape)


def _waker(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> Callable[[], None]:
    def wake() -> None:
        # A loop that is closed has nobody left who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(woken.set)

    return wake


THREADS = Threads()
TASKS = Tasks()
