"""The two ends of a tape: sources feed it, one for each colour; readers follow it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from askonce.blocking import run
from askonce.colours import THREADS, Colour
from askonce.errors import UpstreamLost
from askonce.stores.contract import Feed
from askonce.tape import Source, Tape

if TYPE_CHECKING:
    import asyncio


class ThreadSource:
    """A blocking upstream: any thread can pull it."""

    def __init__(self, chunks: Iterator[bytes], close: Callable[[], None]) -> None:
        self.thread: int | None = None
        self._chunks = chunks
        self._close = close

    def advance(self, tape: Tape) -> None:
        try:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._close()
        except BaseException as error:
            tape.lose(error)
            self._close()
            if not isinstance(error, Exception):
                raise
        else:
            run(tape.take(chunk))

    def advance_from_loop(self, tape: Tape) -> None:
        import asyncio

        asyncio.get_running_loop().run_in_executor(None, self.advance, tape)

    def close(self) -> None:
        self._close()


class LoopSource:
    """An async upstream: only its own loop pulls it, in a task of its own.

    So a reader that is cancelled takes nothing away from the others.
    """

    def __init__(self, chunks: AsyncIterator[bytes], close: Callable[[], Awaitable[None]]) -> None:
        import asyncio

        self.thread: int | None = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        self._chunks = chunks
        self._close = close
        self._pull: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    def advance(self, tape: Tape) -> None:
        try:
            self._loop.call_soon_threadsafe(self._start, tape)
        except RuntimeError:  # the loop is closed and its connections with it
            tape.lose(UpstreamLost("the event loop that fed this stream is closed"))

    def advance_from_loop(self, tape: Tape) -> None:
        import asyncio

        if asyncio.get_running_loop() is self._loop:
            self._start(tape)
        else:
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

    def _start(self, tape: Tape) -> None:
        self._pull = self._loop.create_task(self._next(tape))

    async def _next(self, tape: Tape) -> None:
        try:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                await self._close()
        except BaseException as error:
            tape.lose(error)
            await self._close()
            if not isinstance(error, Exception):
                raise
        else:
            await tape.take(chunk)

    def _begin_closing(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = self._loop.create_task(self._finish())
        return self._closing

    async def _finish(self) -> None:
        import asyncio

        if self._pull is not None and not self._pull.done():
            self._pull.cancel()
            await asyncio.wait([self._pull])
        await self._close()


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

    `patience` is how many seconds it waits for somebody else's pull.
    """

    def __init__(self, tape: Tape, colour: Colour, *, leading: bool, patience: float) -> None:
        self.tape = tape
        self._colour = colour
        self._leading = leading
        self._patience = patience
        self._at = 0
        self._left = False

    async def next(self) -> bytes | None:
        """Return the next piece, or None at the end of the stream.

        The leader meets what the upstream raised; a follower meets UpstreamLost. Raises
        TimeoutError when nothing comes in time.
        """
        tape = self.tape
        while self._at >= len(tape.pieces):
            if tape.error is not None:
                if self._leading:
                    raise tape.error
                raise UpstreamLost("the connection of a shared stream was lost") from tape.error
            if tape.ended:
                return None
            if tape.begin_pull():
                self._colour.advance(tape.source, tape)
            if not await self._colour.wait(tape.bell, self._may_go_on, self._patience):
                raise TimeoutError("no news from the upstream of a shared stream")
        self._at += 1
        return tape.pieces[self._at - 1]

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
