"""A stream on its way, recorded so that several callers can read it.

Whoever needs the next piece has it pulled; the others find it on the tape. The answer is settled
before its last event is given out, because readers stop there. The upstream is closed when the last
reader leaves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from askonce.colours import Bell, Colour
from askonce.frames import Splitter


class Source(Protocol):
    """Where a tape's bytes come from: the upstream's stream, of either colour."""

    def is_dead(self) -> bool:
        """Say whether nothing can ever be pulled again."""
        ...

    def readable_by(self, colour: Colour) -> bool:
        """Say whether a caller who waits like this may read along, here and now."""
        ...

    def advance(self, tape: Tape) -> None:
        """Have the next chunk pulled: in this thread, or on the source's own loop."""
        ...

    def advance_elsewhere(self, tape: Tape) -> None:
        """Have the next chunk pulled without holding this thread, where that is possible."""
        ...

    def close(self) -> None:
        """Close the upstream, now or soon. A source that came to its end closes by itself."""
        ...


def _as_it_is(piece: bytes) -> bytes:
    return piece


class Tape:
    """What has come so far, whether more will come, and who still reads.

    `settle(body)` is awaited once, with everything up to the terminal event or the end. `abandon`
    is called once instead when the stream is lost or left before that. `kept(piece)` is what is
    recorded of an event that came; its leader sees it as it came.
    """

    def __init__(
        self,
        source: Source,
        *,
        terminal: Callable[[bytes], bool],
        settle: Callable[[bytes], Coroutine[Any, Any, None]],
        abandon: Callable[[bool], None],
        kept: Callable[[bytes], bytes] = _as_it_is,
    ) -> None:
        self.source = source
        self.bell = Bell()
        self.pieces: list[bytes] = []
        self.originals: dict[int, bytes] = {}
        """As they came, by their place: those that are recorded otherwise."""
        self.ended = False
        self.was_left = False
        """Its last reader left before its answer was there."""
        self.error: BaseException | None = None
        self.listener: Callable[[], None] | None = None
        """Called whenever there is more on the tape, or it ended."""
        self._terminal = terminal
        self._settle = settle
        self._abandon = abandon
        self._kept = kept
        self._settled = False
        self._splitter = Splitter()
        # Not a plain Lock: the garbage collector may drop a reader, which comes back here.
        self._lock = threading.RLock()
        self._readers = 0
        self._pulling = False

    def attach(self) -> bool:
        """Count one more reader; False when the stream was left or lost and cannot be read."""
        if not self.ended and self.source.is_dead():
            self.lose(ConnectionError("what fed this stream is gone"))
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
        """Record a chunk that was pulled; None is the end of the stream.

        An answer that cannot be settled loses the stream. Never raises, unless it is cancelled.
        """
        came: list[bytes] = []
        pieces: list[bytes] = []
        try:
            came = self._splitter.feed(chunk) if chunk is not None else [self._splitter.rest()]
            # What has no end is no event.
            pieces = came if chunk is None else [*map(self._kept, came)]
            is_whole = chunk is None or any(map(self._terminal, pieces))
            if is_whole and self._begin_to_settle():
                await self._settle(b"".join((*self.pieces, *pieces)))
        except Exception as error:  # noqa: BLE001 (its leader meets it)
            self.lose(error)
        except BaseException:
            # Cancelled while the answer was kept. What has come, has come.
            self._record(came, pieces, ended=False)
            raise
        else:
            self._record(came, pieces, ended=chunk is None)

    def lose(self, error: BaseException) -> None:
        """Record that the stream broke. Its leader meets `error`, others a lost connection."""
        with self._lock:
            self._pulling = False
            if not self.ended:
                self.error = error
                self.ended = True
        self._give_up(failed=True)
        self._tell()

    def _record(self, came: list[bytes], pieces: list[bytes], *, ended: bool) -> None:
        with self._lock:
            # An interrupt may have kept some from being read.
            for original, piece in zip(came, pieces, strict=False):
                if piece != original:
                    self.originals[len(self.pieces)] = original
                if piece:
                    self.pieces.append(piece)
            self.ended = self.ended or ended
            self._pulling = False
        self._tell()

    def _tell(self) -> None:
        self.bell.ring()
        if self.listener is not None:
            self.listener()

    def _begin_to_settle(self) -> bool:
        """Take the right to settle the answer, or to give it up; only the first one has it."""
        with self._lock:
            first, self._settled = not self._settled, True
            return first

    def _give_up(self, *, failed: bool) -> None:
        if self._begin_to_settle():
            self._abandon(failed)
