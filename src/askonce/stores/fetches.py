"""Looks at a far store that several callers want at once: one is made, and all of them see it."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable

from askonce import blocking
from askonce.colours import TASKS, THREADS, Bell
from askonce.model import Entry
from askonce.stores import forks

PATIENCE = 1.0
"""Seconds to wait for somebody else's look before making one's own."""


class _Fetch:
    """One look under way."""

    __slots__ = ("bell", "drops", "entry", "is_over", "shared", "thread")

    def __init__(self, drops: int) -> None:
        self.bell = Bell()
        self.drops = drops
        self.thread = threading.get_ident()
        self.entry: Entry | None = None
        self.shared = False
        self.is_over = False


class Fetches:
    """The looks under way, by key.

    Without them a crowd that asks the same at once would all ask the far store, and a slow one
    would let some of them go upstream.
    """

    def __init__(self) -> None:
        self._under_way: dict[bytes, _Fetch] = {}
        forks.watch(self)

    def before_fork(self) -> None:
        """Nothing need come to rest."""

    def after_fork(self, *, child: bool) -> None:
        """Forget the looks of the parent's threads: in the child nobody finishes them."""
        if child:
            self._under_way = {}

    async def one(
        self, key: bytes, drops: int, fetch: Callable[[], Awaitable[Entry | None]]
    ) -> Entry | None:
        """Return what `fetch` finds, or what somebody else's finds that is under way.

        `drops` is the number of drops before the look: one that began before an entry was
        forgotten is not shared. Nor is an entry with tags, which may have died since.
        """
        mine = _Fetch(drops)
        other = self._under_way.setdefault(key, mine)
        if other is not mine:
            return await self._wait(other, drops, fetch)
        try:
            entry = await fetch()
            mine.entry, mine.shared = entry, entry is None or not entry.tags
            return entry
        finally:
            self._under_way.pop(key, None)
            mine.is_over = True
            mine.bell.ring()

    async def _wait(
        self, other: _Fetch, drops: int, fetch: Callable[[], Awaitable[Entry | None]]
    ) -> Entry | None:
        colour = THREADS if blocking.is_running() else TASKS
        if other.drops == drops and not colour.is_held_by(other.thread):
            await colour.wait(other.bell, lambda: other.is_over, PATIENCE)
            if other.shared:
                return other.entry
        return await fetch()
