"""What happened: the last outcome, recordings, counts, hooks, and warnings that do not flood."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from askonce.errors import ConfigError, StoreError
from askonce.model import Outcome, OutcomeKind
from askonce.stores.contract import StoreState
from askonce.stores.forks import Locked

logger = logging.getLogger("askonce")

EventName: TypeAlias = Literal["hit", "miss", "bypass", "stale", "collapsed", "trouble"]
Hook: TypeAlias = Callable[[Outcome | StoreError], object]

QUIET = 60.0
"""Seconds between two warnings about the same trouble."""


@dataclass(frozen=True, slots=True)
class Stats:
    """How many calls ended how since the cache was made, and the tokens that hits did not buy.

    `store` says how the shared store does: "working"; "refusing" (it is read, but keeps nothing
    new: full, or not allowed to); "failing" (memory serves, and it is tried once a second); or
    "alone" (memory took its place for good). `store_failures` counts how often it began to fail or
    to refuse, `trouble` the calls that had to go on without it.
    """

    hit: int = 0
    miss: int = 0
    bypass: int = 0
    stale: int = 0
    collapsed: int = 0
    trouble: int = 0
    tokens_saved: int = 0
    reworded: int = 0
    """Of the hits, those on the answer to another wording."""
    store: StoreState = "working"
    store_failures: int = 0

    @property
    def calls(self) -> int:
        """All calls, however they ended."""
        return self.hit + self.miss + self.bypass + self.stale + self.collapsed

    @property
    def hit_rate(self) -> float:
        """The part of all calls that went without an upstream call: 0 to 1."""
        return (self.hit + self.stale + self.collapsed) / self.calls if self.calls else 0.0


class Journal(Locked):
    """Takes note of every call. Hooks cannot break a call."""

    def __init__(self) -> None:
        super().__init__()
        self._last: ContextVar[Outcome | None] = ContextVar("askonce_last", default=None)
        self._counts: dict[str, int] = dict.fromkeys(get_args(EventName), 0)
        self._tokens_saved = self._reworded = 0
        self._hooks: dict[str, tuple[Hook, ...]] = {}
        self._recordings: tuple[list[Outcome], ...] = ()
        self._warned: dict[str, float] = {}

    @property
    def last(self) -> Outcome | None:
        """The outcome of the last call in this context."""
        return self._last.get()

    def note(self, outcome: Outcome) -> None:
        """Take note of a call."""
        self._last.set(outcome)
        kind: OutcomeKind = outcome.kind
        with self._lock:
            self._counts[kind] += 1
            if outcome.hit:
                self._tokens_saved += outcome.usage.get("total", 0)
                self._reworded += outcome.tier != ""
        for recording in self._recordings:
            recording.append(outcome)
        if self._hooks:
            self._call_hooks(kind, outcome)

    def trouble(self, verb: str, error: StoreError) -> None:
        """Take note of a store that failed, and warn at most once a minute."""
        with self._lock:
            self._counts["trouble"] += 1
        if not error.told:
            self.warn("store", "the store failed in %s, calls go on without it: %s", verb, error)
        self._call_hooks("trouble", error)

    def warn(self, about: str, message: str, *arguments: object) -> None:
        """Warn, but not about the same thing twice within a minute."""
        now = time.monotonic()
        with self._lock:
            if now - self._warned.get(about, -QUIET) < QUIET:
                return
            self._warned[about] = now
        logger.warning(message, *arguments)

    def on(self, event: EventName, hook: Hook) -> None:
        """Call `hook` with the outcome of every call that ends this way, or with the trouble."""
        if event not in self._counts:
            raise ConfigError(f"no event is named {event!r}; use one of {', '.join(self._counts)}")
        with self._lock:
            self._hooks[event] = (*self._hooks.get(event, ()), hook)

    @contextmanager
    def recording(self) -> Iterator[list[Outcome]]:
        """Collect the outcomes of all calls until the block ends, from every thread and task."""
        outcomes: list[Outcome] = []
        with self._lock:
            self._recordings = (*self._recordings, outcomes)
        try:
            yield outcomes
        finally:
            with self._lock:
                self._recordings = tuple(x for x in self._recordings if x is not outcomes)

    def stats(self) -> Stats:
        """Return the counts so far."""
        with self._lock:
            counts: dict[str, Any] = {**self._counts, "tokens_saved": self._tokens_saved}
            counts["reworded"] = self._reworded
            return Stats(**counts)

    def _call_hooks(self, event: str, subject: Outcome | StoreError) -> None:
        for hook in self._hooks.get(event, ()):
            try:
                hook(subject)
            except Exception:
                logger.exception("a hook for %r failed", event)
