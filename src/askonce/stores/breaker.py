"""A circuit breaker: a store that failed is left alone for a moment, then tried by one caller."""

from __future__ import annotations

import logging
from collections.abc import Callable

from askonce.errors import StoreError
from askonce.stores import forks

PAUSE = 1.0
"""Seconds between two tries of a store that fails."""
BETWEEN_WARNINGS = 60.0
"""Seconds between two warnings."""

UNREACHABLE = "memory serves alone for now: %s"
REFUSING = "new answers are kept in memory only for now: %s"


class Refused(StoreError):
    """The store answered, and does not do what it was asked. It may do something else."""


class Warnings:
    """Warns of what fails, once a minute at most."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next = float("-inf")

    def warn(self, message: str, error: StoreError) -> None:
        """Warn, unless that was done a moment ago. What was warned of need not be told again."""
        error.told = True
        now = self._clock()
        if now >= self._next:
            self._next = now + BETWEEN_WARNINGS
            logging.getLogger("askonce").warning(message, error)


class Breaker(forks.Locked):
    """Says whether a store may be asked, and warns when it begins to fail.

    It opens with a failure, or with `patience` failures in a row, and closes with the success of
    one who asked after it.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        warnings: Warnings | None = None,
        message: str = UNREACHABLE,
        patience: int = 1,
    ) -> None:
        super().__init__()
        self.warnings = warnings or Warnings(clock)
        self.openings = 0
        """How often the store began to fail."""
        self.failures = 0
        """How often it failed. Whoever asks takes note of this before."""
        self._clock = clock
        self._message = message
        self._patience = patience
        self._in_a_row = 0
        self._next_try: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the store failed when it was last tried."""
        return self._next_try is not None

    def may_ask(self) -> bool:
        """Say yes while the store works; while it does not, to one caller in a second."""
        if self._next_try is None:
            return True
        with self._lock:
            now = self._clock()
            if self._next_try is not None and now < self._next_try:
                return False
            self._next_try = now + PAUSE
            return True

    def worked(self, failures: int) -> None:
        """Take note of an answer to one who asked when there were so many failures."""
        # A slow answer from before the failure says nothing about the store of now.
        if self._in_a_row and failures == self.failures:
            self._in_a_row, self._next_try = 0, None

    def failed(self, error: StoreError, failures: int | None = None) -> None:
        """Take note of a failure.

        `failures` is how many there were when it was asked: of those that asked together all but
        one say nothing new.
        """
        with self._lock:
            self._in_a_row += failures in (None, self.failures)
            self.failures += 1
            if self._in_a_row >= self._patience:
                self.openings += self._next_try is None
                self._next_try = self._clock() + PAUSE
            self.warnings.warn(self._message, error)
