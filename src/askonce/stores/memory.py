"""Entries in this process, bounded by bytes; the least recently used go first."""

from __future__ import annotations

import heapq
import os
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence

from askonce import units
from askonce.errors import StoreError
from askonce.model import NOTHING, Entry
from askonce.stores import forks
from askonce.stores.contract import Found

# What an entry takes beside its text, measured with tracemalloc on CPython 3.11: the objects of one
# entry and its place in the dict; of one header more; of one tag more.
ENTRY_OVERHEAD = 780
HEADER_OVERHEAD = 170
TAG_OVERHEAD = 150

MOST_TAGS = 100_000
"""Tag names remembered. One more, and all are dropped: everything that carries a tag is dead."""


def weight(key: bytes, entry: Entry) -> int:
    """Say how many bytes of memory an entry takes."""
    size = ENTRY_OVERHEAD + len(key) + len(entry.body)
    for name, value in entry.headers:
        size += HEADER_OVERHEAD + len(name) + len(value)
    for tag in entry.tags:
        size += TAG_OVERHEAD + len(tag)
    return size


class Memory:
    """A store in this process's memory, for any number of threads.

    `limit` counts keys, bodies, headers, tags and the objects that hold them. An entry that is
    larger than the limit is not kept.
    """

    blocking = False

    def __init__(self, limit: str | int = "64MB") -> None:
        self._limit = units.size(limit)
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._bytes = 0
        self._versions: dict[str, bytes] = {}
        self._drops = 0
        self._closed = False
        # Not a plain Lock: the garbage collector may run a finaliser that comes back here.
        self._lock = threading.RLock()
        self._resting = False
        forks.watch(self)

    async def get(self, keys: Sequence[bytes], tags: Collection[str] = ()) -> Found:
        """Look up entries that are alive, and the version of each tag, made now if it has none."""
        with self._lock:
            self.check_open()
            kept, found = self._entries, []
            for key in keys:
                entry = kept.get(key)
                if entry is not None:
                    kept.move_to_end(key)
                    if entry.tags and not self._alive(entry):
                        entry = None
                found.append(entry)
            versions = {tag: self._version(tag) for tag in tags} if tags else NOTHING
            return Found(tuple(found), versions)

    async def put(self, entries: Mapping[bytes, Entry]) -> None:
        """Keep entries, all or none, in place of what their keys held."""
        self.keep(entries)

    async def forget(self, keys: Sequence[bytes]) -> int:
        """Drop entries and say how many there were."""
        self.check_open()
        return self.drop(keys)

    async def invalidate(self, tag: str, version: bytes | None = None) -> None:
        """Let everything that carries another version of this tag be dead from now on."""
        with self._lock:
            self.check_open()
            self._versions.pop(tag, None)
            if version is not None:
                self._version(tag, version)

    async def scan(self, after: bytes = b"", limit: int = 500) -> Sequence[tuple[bytes, Entry]]:
        """List entries that are alive in order of their keys, at most `limit` behind `after`."""
        with self._lock:
            self.check_open()
            behind = (k for k, e in self._entries.items() if k > after and self._alive(e))
            return [(key, self._entries[key]) for key in heapq.nsmallest(limit, behind)]

    async def close(self) -> None:
        """Let go of everything."""
        self.clear()
        self._closed = True

    # What a near store of `Tiered` does besides.

    @property
    def drops(self) -> int:
        """A number that changes when entries are dropped on purpose."""
        return self._drops

    def held(self, keys: Iterable[bytes]) -> list[Entry | None]:
        """Look up entries without asking what has become of their tags."""
        with self._lock:
            self.check_open()
            return [self._look(key) for key in keys]

    def keep(self, entries: Mapping[bytes, Entry], drops: int | None = None) -> None:
        """Keep entries in place of what their keys held; not if some were dropped since `drops`."""
        with self._lock:
            self.check_open()
            self._remove(entries)
            if drops is None or drops == self._drops:
                self._add(entries)

    def copy(self, entries: Mapping[bytes, Entry], drops: int) -> None:
        """Keep entries read elsewhere, where nothing newer is; not if some were dropped since."""
        with self._lock:
            if drops == self._drops and not self._closed:
                self._add({k: e for k, e in entries.items() if k not in self._entries})

    def bury(self, keys: Iterable[bytes]) -> None:
        """Drop entries that are out of date; what is read of them elsewhere may come back."""
        with self._lock:
            self._remove(keys)

    def drop(self, keys: Iterable[bytes]) -> int:
        """Drop entries and say how many there were; allowed when closed."""
        with self._lock:
            self._drops += 1
            return self._remove(keys)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._drops += 1
            self._bytes = 0
            self._entries.clear()
            self._versions.clear()

    def check_open(self) -> None:
        """Raise StoreError if this store is closed."""
        if self._closed:
            raise StoreError("this store is closed: open a new one")

    def before_fork(self) -> None:
        """Hold the lock, so that the child inherits no half-made change."""
        self._resting = self._lock.acquire(timeout=forks.PATIENCE)

    def after_fork(self, *, child: bool) -> None:
        """Free the lock; in the child, take a new one."""
        if child:
            self._lock = threading.RLock()
        elif self._resting:
            self._lock.release()

    def _look(self, key: bytes) -> Entry | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def _alive(self, entry: Entry) -> bool:
        return all(self._versions.get(tag) == seen for tag, seen in entry.tags.items())

    def _version(self, tag: str, first: bytes | None = None) -> bytes:
        version = self._versions.get(tag)
        if version is None:
            if len(self._versions) >= MOST_TAGS:
                self._versions.clear()
            version = self._versions[tag] = first or os.urandom(16)
        return version

    def _add(self, entries: Mapping[bytes, Entry]) -> None:
        more = sum(weight(key, entry) for key, entry in entries.items())
        if more > self._limit:
            return
        self._entries.update(entries)
        self._bytes += more
        while self._bytes > self._limit:
            key, entry = self._entries.popitem(last=False)
            self._bytes -= weight(key, entry)

    def _remove(self, keys: Iterable[bytes]) -> int:
        removed = 0
        for key in keys:
            entry = self._entries.pop(key, None)
            if entry is not None:
                self._bytes -= weight(key, entry)
                removed += 1
        return removed
