"""Chains: what a cached function depends on by way of the calls it makes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field

from askonce.model import Outcome, Reason, Versions

ELSEWHERE = Reason("chain", "a call inside was another process's; its tags are not known here")


@dataclass(slots=True, eq=False)
class Chain:
    """One run of a cached function: the tags that were used inside, and what forbids to keep it.

    Calls of threads that do not have its context are no links; `contextvars.copy_context().run`
    gives it to them.
    """

    _versions: Versions = field(default_factory=dict)
    _refused: Reason | None = None
    _followed: tuple[Chain, ...] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def link(self, outcome: Outcome) -> None:
        """Add a call that was made inside."""
        if outcome.tags:
            self.depend(outcome.tags)
        reason = outcome.reason
        if reason is not None and reason.never:
            self._refused = Reason("chain", f"a call inside is never kept: {reason.code}")
        if reason is not None and reason.code.startswith("stale"):
            self._refused = Reason("chain", "a call inside was answered stale")

    def depend(self, versions: Versions) -> None:
        """Add tags."""
        with self._lock:
            self._versions = joined(self._versions, versions)

    def follow(self, other: Chain | None) -> None:
        """Add a run that is still going on, and may use more; None for one of another process."""
        if other is None:
            self._refused = ELSEWHERE
        else:
            self._followed = (*self._followed, other)

    @property
    def versions(self) -> Versions:
        """The tags that were used until now."""
        versions = self._versions
        for other in self._followed:
            versions = joined(versions, other.versions)
        return versions

    @property
    def refused(self) -> Reason | None:
        """Why its result must not be kept, if it must not."""
        others = (other.refused for other in self._followed)
        return self._refused or next((reason for reason in others if reason is not None), None)


def joined(some: Versions, more: Versions) -> Versions:
    """Put versions together. A tag of which two were seen gets the one that no store ever gives.

    What depends on both is dead, also when one of them comes back, as a document's may.
    """
    clash = {tag: b"" for tag, version in more.items() if some.get(tag, version) != version}
    return {**some, **more, **clash}


_around: ContextVar[tuple[Chain, ...]] = ContextVar("askonce_chains", default=())


def around() -> tuple[Chain, ...]:
    """Return the chains that this context is inside of, of whatever cache."""
    return _around.get()


@contextmanager
def inside(chain: Chain) -> Iterator[None]:
    """Let the calls of this context be links of a chain, and of all chains around it."""
    token = _around.set((*_around.get(), chain))
    try:
        yield
    finally:
        # A coroutine that is collected is closed in another context, which is not changed.
        with suppress(ValueError):
            _around.reset(token)
