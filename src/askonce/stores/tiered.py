"""A store in memory over a store that is shared: most hits never leave the process."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from askonce.errors import StoreError
from askonce.model import NOTHING, Entry
from askonce.stores.breaker import REFUSING, Breaker, Refused
from askonce.stores.contract import Found, Health, Leases, Store, Watched
from askonce.stores.fetches import Fetches
from askonce.stores.memory import Memory
from askonce.stores.places import Unsuitable

T = TypeVar("T")

BETWEEN_LOOKS = 1.0
"""Seconds for which near may go on serving what another process has made far forget."""


class Tiered:
    """Memory (`near`) over a store that is larger or shared (`far`).

    Near keeps entries without tags only. One with tags is asked of far each time, where it is read
    and its versions are checked in one look: an invalidation anywhere counts at once. What another
    process forgets is gone here as soon as far tells of it (`watch`), or else within a second. What
    another process puts in place of an entry is seen when near lets go of the older one.

    While far fails, near serves what it has, new answers without tags are kept in near, and far is
    tried again once a second. Far may take nothing new and still be read. If it can never work
    where it is (a network file system, a folder that cannot be written) near takes its place, after
    one warning. With `strict`, what far cannot do is a StoreError instead.
    """

    def __init__(
        self,
        near: Memory,
        far: Store,
        clock: Callable[[], float] = time.monotonic,
        *,
        strict: bool = False,
    ) -> None:
        self.blocking = far.blocking
        self.leases: Leases | None = getattr(far, "leases", None)
        self._near = near
        self._far = far
        self._clock = clock
        self._strict = strict
        # A far store with leases asks the same breaker, so that none waits where others failed.
        self._reads: Breaker = getattr(far, "breaker", None) or Breaker(clock)
        self._writes = Breaker(clock, self._reads.warnings, REFUSING)
        self._fetches = Fetches()
        self._worked = False
        self._alone = False
        self._looked = float("-inf")
        self._generation: int | None = None
        if isinstance(far, Watched):
            far.watch(self._forgotten)

    @property
    def health(self) -> Health:
        """How far does."""
        openings = self._reads.openings + self._writes.openings
        if self._alone:
            return Health("alone", openings)
        if self._reads.is_open:
            return Health("failing", openings)
        return Health("refusing" if self._writes.is_open else "working", openings)

    async def get(self, keys: Sequence[bytes], tags: Collection[str] = ()) -> Found:
        """Look up entries that are alive, and the version of each tag, made now if it has none.

        StoreError only if tags are asked for and far cannot tell them, or if strict.
        """
        self._near.check_open()
        drops = await self._follow()
        if self._alone:
            return await self._near.get(keys, tags)
        # What is asked for together with tags carries them, so near does not have it.
        held = [None] * len(keys) if tags else self._near.held(keys)
        if not tags and None not in held:
            return Found(tuple(held), NOTHING)
        missing = [key for key, entry in zip(keys, held, strict=True) if entry is None]
        try:
            found = await self._look(missing, tags, drops)
        except StoreError:
            if self._alone:
                return await self._near.get(keys, tags)
            if tags or self._strict:
                raise
            return Found(tuple(held), NOTHING)
        fetched = {k: e for k, e in zip(missing, found.entries, strict=True) if e is not None}
        self._near.copy(_untagged({**fetched, **found.targets}), drops)
        entries = [fetched.get(k) if e is None else e for k, e in zip(keys, held, strict=True)]
        targets = found.targets
        if targets:  # near may have a newer one that far did not take
            newer = zip(targets, self._near.held(list(targets)), strict=True)
            targets = {**targets, **{key: entry for key, entry in newer if entry is not None}}
        return Found(tuple(entries), found.versions, targets)

    async def _look(self, keys: Sequence[bytes], tags: Collection[str], drops: int) -> Found:
        # A look into a file is short: to share it would cost 2 us of 15, and nobody waits for it.
        if tags or len(keys) > 1 or self._far.blocking:
            return await self._ask(lambda: self._far.get(keys, tags))

        async def look() -> Entry | None:
            return (await self._ask(lambda: self._far.get(keys))).entries[0]

        return Found((await self._fetches.one(keys[0], drops, look),), NOTHING)

    async def put(self, entries: Mapping[bytes, Entry]) -> None:
        """Keep entries, all or none, in place of what their keys held.

        StoreError if far failed, or rests and near cannot keep all; near keeps those without tags
        all the same.
        """
        self._near.check_open()
        drops = await self._follow()
        # Far may take nothing new and still be read; one that cannot be read is not written to.
        breaker = self._reads if self._reads.is_open else self._writes
        try:
            if breaker.may_ask():
                await self._unless_alone(lambda: self._far.put(entries), None, breaker)
            elif self._strict or any(entry.tags for entry in entries.values()):
                raise _resting()
        finally:
            kept = entries if self._alone else _untagged(entries)
            if len(kept) < len(entries):
                self._near.bury(entries)
            self._near.keep(kept, drops)

    async def forget(self, keys: Sequence[bytes]) -> int:
        """Drop entries and say how many there were."""
        dropped = near = 0
        try:
            # First far: what a reader fetches from there meanwhile comes too late for near.
            dropped = await self._unless_alone(lambda: self._far.forget(keys), 0)
        finally:
            near = self._near.drop(keys)
        return max(dropped, near)

    async def invalidate(self, tag: str, version: bytes | None = None) -> None:
        """Let everything that carries another version of this tag be dead from now on."""
        await self._unless_alone(lambda: self._far.invalidate(tag, version), None)
        await self._near.invalidate(tag, version)

    async def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[tuple[bytes, Entry]]:
        """List entries of far that are alive in order of their keys, at most `limit` of them."""
        page = await self._unless_alone(lambda: self._far.scan(after, limit), None)
        return await self._near.scan(after, limit) if page is None else page

    async def close(self) -> None:
        """Let go of both."""
        try:
            await self._far.close()
        finally:
            await self._near.close()

    def _forgotten(self, keys: Sequence[bytes] | None) -> None:
        """Drop from near what others made far forget; None stands for anything."""
        if keys is None:
            self._near.clear()
        else:
            self._near.drop(keys)

    async def _follow(self) -> int:
        """Drop from near what far was made to forget; return the number of drops until now."""
        now = self._clock()
        if now - self._looked >= BETWEEN_LOOKS and not self._alone:
            self._looked = now
            generation = getattr(self._far, "generation", None)
            with contextlib.suppress(StoreError):
                number = None if generation is None else await self._ask(generation)
                if self._generation not in (None, number):
                    self._near.clear()
                self._generation = number
        return self._near.drops

    async def _ask(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask far, unless it failed a moment ago."""
        if not self._reads.may_ask():
            raise _resting()
        return await self._try(ask, self._reads)

    async def _unless_alone(
        self, ask: Callable[[], Awaitable[T]], otherwise: T, breaker: Breaker | None = None
    ) -> T:
        """Ask far, unless it can never work."""
        self._near.check_open()
        try:
            return otherwise if self._alone else await self._try(ask, breaker or self._reads)
        except StoreError:
            if not self._alone:
                raise
            return otherwise

    async def _try(self, ask: Callable[[], Awaitable[T]], breaker: Breaker) -> T:
        failures = breaker.failures
        try:
            answer = await ask()
        except StoreError as error:
            if isinstance(error, Unsuitable) and not (self._worked or self._strict):
                self._alone = True
                logging.getLogger("askonce").warning("answers are kept in memory only: %s", error)
            elif isinstance(error, Refused):
                self._writes.failed(error)
            else:
                breaker.failed(error)
            raise
        self._worked = True
        breaker.worked(failures)
        return answer


def _resting() -> StoreError:
    error = StoreError("the store failed a moment ago, and is not asked again yet")
    error.told = True
    return error


def _untagged(entries: Mapping[bytes, Entry]) -> Mapping[bytes, Entry]:
    return {key: entry for key, entry in entries.items() if not entry.tags}
