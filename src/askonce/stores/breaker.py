"""A circuit breaker: a store that failed is left alone for a moment, then tried by one caller."""

from __future__ import annotations

import logging
from collections.abc import Callable

from askonce.errors import StoreError
from askonce.stores.forks import Locked

PAUSE = 1.0
"""Seconds between two tries of a store that fails."""
BETWEEN_WARNINGS = 60.0
"""Seconds between two warnings."""


class Breaker(Locked):
    """Says whether a store may be asked, and warns when it begins to fail."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._next_try: float | None = None
        self._warned = float("-inf")

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

    def worked(self) -> None:
        """Take note of an answer."""
        self._next_try = None

    def failed(self, error: StoreError) -> None:
        """Take note of a failure."""
        error.told = True
        with self._lock:
            now = self._clock()
            self._next_try = now + PAUSE
            is_due = now - self._warned >= BETWEEN_WARNINGS
            if is_due:
                self._warned = now
        if is_due:
            logging.getLogger("askonce").warning("memory serves alone for now: %s", error)
