"""The two ends of a tape: sources feed it, one for each colour; readers follow it."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from askonce.blocking import run
from askonce.colours import THREADS, Colour
from askonce.errors import UpstreamLost
from askonce.stores.contract import Feed
from askonce.tape import Source, Tape

if TYPE_CHECKING:
    import asyncio
    from types import GeneratorType


class ThreadSource:
    """A blocking upstream: any thread can pull it.

    Its leader pulls it itself. For the others a helper does: how long they wait is their own
    affair, and what interrupts them must not interrupt the stream.
    """

    def __init__(self, chunks: Iterator[bytes], close: Callable[[], None]) -> None:
        self._chunks = chunks
        self._close = close
        self._orders: SimpleQueue[Tape | None] = SimpleQueue()
        self._helper: threading.Thread | None = None

    def is_dead(self) -> bool:
        return False

    def readable_by(self, colour: Colour) -> bool:  # noqa: ARG002 (anybody may)
        return True

    def advance(self, tape: Tape) -> None:
        try:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._close()
        except BaseException as error:
            tape.lose(_told(error))
            self._close()
            if not isinstance(error, Exception):
                raise
        else:
            run(tape.take(chunk))
        finally:
            if tape.ended:
                self._orders.put(None)

    def advance_elsewhere(self, tape: Tape) -> None:
        self._orders.put(tape)
        # Whoever is here has the right to pull, and nobody else.
        if self._helper is None:
            # A daemon: no stream keeps a program from ending.
            self._helper = threading.Thread(target=self._help, name="askonce stream", daemon=True)
            self._helper.start()

    def close(self) -> None:
        self._orders.put(None)
        self._close()

    def _help(self) -> None:
        while (tape := self._orders.get()) is not None:
            self.advance(tape)


class GeneratorSource(ThreadSource):
    """A generator of the program's own, which may belong to the thread that called it.

    Nobody else pulls it: a database's connection, for one, is of use in its own thread only.
    """

    def __init__(self, items: GeneratorType[Any, Any, Any], chunks: Iterator[bytes]) -> None:
        super().__init__(chunks, items.close)
        self._items = items
        self._thread = threading.get_ident()

    def readable_by(self, colour: Colour) -> bool:
        # A generator that asks for itself would wait for itself.
        return colour.is_held_by(self._thread) and not self._items.gi_running

    def advance_elsewhere(self, tape: Tape) -> None:
        self.advance(tape)


# A loop itself keeps no task: one that waits could be collected together with the readers that it
# waits for, before they have said that they leave (docs.python.org, asyncio.create_task).
_pumps: set[asyncio.Task[None]] = set()


class LoopSource:
    """An async upstream: one task of its own loop pulls it, from the first piece to the last.

    So a reader that is cancelled takes nothing away from the others, and context variables, task
    groups and time-outs of the upstream stay where they were opened. When its loop ends, its task
    is cancelled before anything else is closed, so a cut stream is not taken for a whole one.
    """

    def __init__(self, chunks: AsyncIterator[bytes], close: Callable[[], Awaitable[None]]) -> None:
        import asyncio
        import contextvars

        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._context = contextvars.copy_context()
        self._chunks = chunks
        self._close = close
        self._wanted = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    def is_dead(self) -> bool:
        return self._loop.is_closed()

    def readable_by(self, colour: Colour) -> bool:
        return not colour.is_held_by(self._thread)

    def advance(self, tape: Tape) -> None:
        if threading.get_ident() == self._thread and not self._loop.is_closed():
            self._want(tape)
            return
        try:
            self._loop.call_soon_threadsafe(self._want, tape)
        except RuntimeError:  # the loop is closed and its connections with it
            tape.lose(UpstreamLost("the event loop that fed this stream is closed"))

    def advance_elsewhere(self, tape: Tape) -> None:
        self.advance(tape)

    def close(self) -> None:
        # A loop that is closed took its connections with it.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._begin_closing)

    async def closed(self) -> None:
        """Close, and wait for it where the running loop is the source's own."""
        import asyncio

        if asyncio.get_running_loop() is self._loop:
            await asyncio.shield(self._begin_closing())
        else:
            self.close()

    def _want(self, tape: Tape) -> None:
        self._wanted.set()
        if self._pump is None and self._closing is None:
            self._pump = self._loop.create_task(self._run(tape), context=self._context)
            _pumps.add(self._pump)
            self._pump.add_done_callback(_pumps.discard)
            # A task that is cancelled before its first step knows nothing of it.
            self._pump.add_done_callback(lambda _: self._check(tape))
        elif self._pump is None or self._pump.done():
            self._check(tape)

    def _check(self, tape: Tape) -> None:
        if not tape.ended:
            tape.lose(UpstreamLost("the task that fed this stream was cancelled"))

    async def _run(self, tape: Tape) -> None:
        import asyncio

        try:
            while not tape.ended:
                await self._wanted.wait()
                self._wanted.clear()
                await tape.take(await self._next())
        except BaseException as error:
            task = asyncio.current_task()
            # An upstream may raise CancelledError of its own, when nobody cancelled us.
            was_cancelled = task is None or task.cancelling() > 0
            passes_on = isinstance(error, asyncio.CancelledError) and not was_cancelled
            tape.lose(error if passes_on else _told(error))
            await self._close()
            if not (passes_on or isinstance(error, Exception)):
                raise

    async def _next(self) -> bytes | None:
        if getattr(self._chunks, "ag_frame", self) is None:
            # It was closed from outside, as a loop does that shuts down.
            raise UpstreamLost("the event loop that fed this stream was shut down")
        chunk = await anext(self._chunks, None)
        if chunk is None:
            await self._close()
        return chunk

    def _begin_closing(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = self._loop.create_task(self._finish())
        return self._closing

    async def _finish(self) -> None:
        """End the task that pulls: what was opened in it closes in it."""
        import asyncio

        if self._pump is not None and not self._pump.done():
            self._pump.cancel()
            await asyncio.wait([self._pump])
            if not self._pump.cancelled():
                self._pump.result()  # raises what closing raised
        await self._close()


def _told(error: BaseException) -> BaseException:
    """What the readers of a stream meet: an interrupt is for the thread that it came to."""
    if isinstance(error, Exception):
        return error
    lost = UpstreamLost(f"the stream was interrupted by {type(error).__name__}")
    lost.__cause__ = error
    return lost


def source_of(feed: Feed, colour: Colour) -> Source:
    """Make the source of a stream that another process leads."""
    if colour is THREADS:
        pieces = feed.blocking()
        return ThreadSource(pieces, lambda: None)
    return LoopSource(feed.tasks(), _nothing_to_close)


async def _nothing_to_close() -> None:
    """Let a feed be: it has no connection of its own."""


class Reader:
    """One caller's place on a tape that it was attached to. It leaves when closed or collected.

    `patience` is how many seconds it waits for somebody else's pull; the leader's is the
    upstream's own affair.
    """

    def __init__(self, tape: Tape, colour: Colour, *, patience: float | None = None) -> None:
        self.tape = tape
        self._colour = colour
        self._is_leading = patience is None
        self._patience = float("inf") if patience is None else patience
        self._at = 0
        self._left = False

    async def next(self) -> bytes | None:
        """Return the next piece, or None at the end of the stream.

        The leader meets what the upstream raised; a follower meets UpstreamLost. Raises
        TimeoutError when nothing comes in time.
        """
        if not await self.wait(self._patience):
            return None
        piece = self.tape.pieces[self._at]
        if self._is_leading:
            piece = self.tape.originals.get(self._at, piece)
        self._at += 1
        return piece

    async def wait(self, patience: float) -> bool:
        """Wait until there is a next piece; False at the end of the stream. Raises as `next`."""
        tape, deadline = self.tape, time.monotonic() + patience
        while self._at >= len(tape.pieces):
            if tape.error is not None:
                if self._is_leading:
                    raise tape.error
                raise UpstreamLost("the connection of a shared stream was lost") from tape.error
            if tape.ended:
                return False
            if tape.begin_pull():
                self._colour.advance(tape.source, tape, leading=self._is_leading)
            left = deadline - time.monotonic()
            if not await self._colour.wait(tape.bell, self._may_go_on, left):
                raise TimeoutError("no news from the upstream of a shared stream")
        return True

    def _may_go_on(self) -> bool:
        tape = self.tape
        return self._at < len(tape.pieces) or tape.ended or tape.idle()

    def leave(self) -> bool:
        """Stop reading, and say whether that closes the upstream. Leaving twice is allowed."""
        if self._left:
            return False
        self._left = True
        return self.tape.detach()

    def __del__(self) -> None:
        self.leave()


async def leave(reader: Reader) -> None:
    """Let a task stop reading. Where that closes the upstream, wait for it."""
    source = reader.tape.source
    if reader.leave() and isinstance(source, LoopSource):
        await source.closed()
