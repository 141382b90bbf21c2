"""Holding answers back: a gate that every answer of a fake upstream passes, frame by frame."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Hold:
    """Answers are held back while this lasts; streams may be let go on step by step."""

    def __init__(self, gate: Gate, after_frames: int) -> None:
        self._gate = gate
        self.frames = after_frames

    def allow(self, frames: int) -> None:
        """Let each stream go on until it has sent this many frames in all."""
        with self._gate.changed:
            self.frames = frames
            self._gate.changed.notify_all()

    def release(self) -> None:
        """Let everything go."""
        self._gate.drop(self)


class Gate:
    """Lets an answer pass when every hold allows it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._holds: frozenset[Hold] = frozenset()
        self._shut = threading.Event()

    @contextmanager
    def held(self, after_frames: int) -> Iterator[Hold]:
        """Hold whole answers, and streams after so many frames, until the block ends."""
        hold = Hold(self, after_frames)
        with self.changed:
            self._holds |= {hold}
        try:
            yield hold
        finally:
            self.drop(hold)

    def drop(self, hold: Hold) -> None:
        """End a hold."""
        with self.changed:
            self._holds -= {hold}
            self.changed.notify_all()

    def wait(self, frame: int | None) -> bool:
        """Wait until this frame of a stream, counted from 0, may pass; None is a whole answer.

        False when the gate was shut for good.
        """
        with self.changed:
            self.changed.wait_for(lambda: self._shut.is_set() or self.is_open(frame))
        return not self._shut.is_set()

    def pause(self, seconds: float) -> bool:
        """Let time pass; False when the gate was shut for good meanwhile."""
        return not self._shut.wait(seconds)

    def shut(self) -> None:
        """Let nothing pass any more, and nobody wait."""
        self._shut.set()
        with self.changed:
            self.changed.notify_all()

    def is_open(self, frame: int | None) -> bool:
        """Whether this frame, or a whole answer, may pass now."""
        return all(frame is not None and frame < hold.frames for hold in self._holds)
