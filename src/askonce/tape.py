"""A stream on its way, recorded so that several callers can read it.

Whoever needs the next piece has it pulled; the others find it on the tape. The answer is settled
before its last event is given out, because readers stop there. The upstream is closed when the last
reader leaves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from askonce.colours import Bell
from askonce.frames import Splitter


class Source(Protocol):
    """Where a tape's bytes come from: the upstream's stream, of either colour."""

    thread: int | None
    """The thread that must be free for the source to move; None when any thread can pull."""

    def advance(self, tape: Tape) -> None:
        """Have the next chunk pulled, from a thread: now, or on the source's own loop."""
        ...

    def advance_from_loop(self, tape: Tape) -> None:
        """Have the next chunk pulled without holding the running loop."""
        ...

    def close(self) -> None:
        """Close the upstream, now or soon. A source that came to its end closes by itself."""
        ...


class Tape:
    """What has come so far, whether more will come, and who still reads.

    `settle(body)` is awaited once, with everything up to the terminal event or the end. `abandon`
    is called once instead when the stream is lost or left before that.
    """

    def __init__(
        self,
        source: Source,
        *,
        terminal: Callable[[bytes], bool],
        settle: Callable[[bytes], Coroutine[Any, Any, None]],
        abandon: Callable[[bool], None],
    ) -> None:
        self.source = source
        self.bell = Bell()
        self.pieces: list[bytes] = []
        self.ended = False
        self.was_left = False
        """Its last reader left before its answer was there."""
        self.error: BaseException | None = None
        self.listener: Callable[[], None] | None = None
        """Called whenever there is more on the tape, or it ended."""
        self._terminal = terminal
        self._settle = settle
        self._abandon = abandon
        self._settled = False
        self._splitter = Splitter()
        self._lock = threading.Lock()
        self._readers = 0
        self._pulling = False

    def attach(self) -> bool:
        """Count one more reader; False when the stream was left or lost and cannot be read."""
        with self._lock:
            if self.error is not None or (self.ended and not self._readers):
                return False
            self._readers += 1
            return True

    def detach(self) -> bool:
        """Count one reader less; the last one to leave early closes the upstream: True."""
        with self._lock:
            self._readers -= 1
            if self._readers or self.ended:
                return False
            self.ended, self.was_left = True, not self._settled
        self.source.close()
        self._give_up(failed=False)
        self._tell()
        return True

    def idle(self) -> bool:
        """Say whether nobody is pulling just now."""
        return not self._pulling

    def begin_pull(self) -> bool:
        """Take the right to pull the next chunk, if nobody has it and more may come."""
        with self._lock:
            if self._pulling or self.ended:
                return False
            self._pulling = True
            return True

    async def take(self, chunk: bytes | None) -> None:
        """Record a chunk that was pulled; None is the end of the stream."""
        pieces = self._splitter.feed(chunk) if chunk is not None else [self._splitter.rest()]
        if not self._settled and (chunk is None or any(map(self._terminal, pieces))):
            self._settled = True
            await self._settle(b"".join((*self.pieces, *pieces)))
        with self._lock:
            self.pieces += filter(None, pieces)
            self.ended = self.ended or chunk is None
            self._pulling = False
        self._tell()

    def lose(self, error: BaseException) -> None:
        """Record that the stream broke. Its leader meets `error`, others a lost connection."""
        with self._lock:
            self.error = error
            self.ended = True
            self._pulling = False
        self._give_up(failed=True)
        self._tell()

    def _tell(self) -> None:
        self.bell.ring()
        if self.listener is not None:
            self.listener()

    def _give_up(self, *, failed: bool) -> None:
        with self._lock:
            if self._settled:
                return
            self._settled = True
        self._abandon(failed)
