"""A store seen through a sealer: what goes in is sealed, what comes out is opened."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from askonce.errors import StoreError
from askonce.model import NOTHING, Entry
from askonce.sealing import Cover, Sealer
from askonce.stores import forks
from askonce.stores.contract import Found, Store
from askonce.stores.memory import weight

OPENED = 16 * 2**20
"""Bytes of entries that stay open in this process, which has the secrets anyway. To open one of
60 KB takes 35 us."""


class Sealed:
    """The verbs of a store, for the entries of a tenant. The store sees neither key nor content.

    A key may have an entry under each of its names; the newest one that opens is taken.
    """

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer
        self._opened = _Opened()

    async def get(self, tenant: str, keys: Sequence[bytes], tags: Collection[str] = ()) -> Found:
        """Look up entries in one look, and the version of each tag."""
        sealer = self._sealer
        names = [sealer.names(key) for key in keys]
        asked = [name for tag in tags for name in sealer.tags(tag)]
        found = await self._store.get([name for some in names for name in some], asked)
        seen = iter(found.entries)
        entries = [
            self._newest(tenant, key, [(name, next(seen)) for name in some])
            for key, some in zip(keys, names, strict=True)
        ]
        return Found(tuple(entries), sealer.versions(tags, found.versions) if tags else NOTHING)

    def _newest(
        self, tenant: str, key: bytes, found: Iterable[tuple[bytes, Entry | None]]
    ) -> Entry | None:
        for name, entry in found:
            opened = None if entry is None else self._open(tenant, name, entry)
            if opened is not None and opened[0] == key:
                return opened[1]
        return None

    def _open(self, tenant: str, name: bytes, sealed: Entry) -> tuple[bytes, Entry] | None:
        opened = self._opened.get(tenant, name, sealed)
        if opened is None:
            opened = self._sealer.open(tenant, name, sealed)
            if opened is not None:
                self._opened.keep(tenant, name, sealed, opened)
        return opened

    async def put(self, tenant: str, entries: Mapping[bytes, Entry]) -> None:
        """Keep entries, all or none, under the newest name of each key, and nothing under older."""
        kept: dict[bytes, Entry] = {}
        try:
            for key, entry in entries.items():
                name, sealed = self._sealer.seal(tenant, key, entry)
                kept[name] = sealed
                gone = Entry(b"", entry.created, entry.created, "sealed")
                kept |= dict.fromkeys(self._sealer.names(key)[1:], gone)
        except ValueError as error:
            raise StoreError(f"this cannot be stored: {error}") from error
        await self._store.put(kept)

    async def forget(self, keys: Sequence[bytes]) -> int:
        """Drop entries, whosever they are, and say of how many keys there was one."""
        names = {key: self._sealer.names(key) for key in keys}
        flat = [name for some in names.values() for name in some]
        found = (await self._store.get(flat)).entries
        there = {name for name, it in zip(flat, found, strict=True) if it is not None and it.body}
        await self._store.forget(flat)
        self._opened.drop(flat)
        return sum(not there.isdisjoint(some) for some in names.values())

    async def invalidate(self, tag: str, version: bytes | None = None) -> None:
        """Let everything that carries another version of this tag be dead from now on."""
        for name in self._sealer.tags(tag):
            await self._store.invalidate(name, version)

    def version(self, content: bytes) -> bytes:
        """Return the version that stands for some content without telling it."""
        return self._sealer.version(content)

    def opened(
        self, tenant: str, page: Iterable[tuple[bytes, Entry]]
    ) -> Iterator[tuple[bytes, Entry]]:
        """Go through those of the store's entries that are the tenant's, with their keys."""
        for name, entry in page:
            opened = self._sealer.open(tenant, name, entry)
            if opened is not None:
                yield opened

    def flight(self, tenant: str, key: bytes) -> Cover:
        """Return the name of a flight, and what seals its stream."""
        return self._sealer.flight(tenant, key)


class _Opened(forks.Locked):
    """The entries that were opened last. One is found by the very object that was opened.

    Memory holds on to its objects, so what it has is opened once. What was read from elsewhere is
    an object of its own each time, and opened again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._entries: OrderedDict[bytes, tuple[str, Entry, tuple[bytes, Entry]]] = OrderedDict()
        self._bytes = 0

    def get(self, tenant: str, name: bytes, sealed: Entry) -> tuple[bytes, Entry] | None:
        with self._lock:
            found = self._entries.get(name)
            if found is None or found[0] != tenant or found[1] is not sealed:
                return None
            self._entries.move_to_end(name)
            return found[2]

    def keep(self, tenant: str, name: bytes, sealed: Entry, opened: tuple[bytes, Entry]) -> None:
        size = weight(*opened)
        # No memory over another store keeps what has tags.
        if sealed.tags or size > OPENED:
            return
        with self._lock:
            self._remove(name)
            self._entries[name] = tenant, sealed, opened
            self._bytes += size
            while self._bytes > OPENED:
                self._remove(next(iter(self._entries)))

    def drop(self, names: Iterable[bytes]) -> None:
        with self._lock:
            for name in names:
                self._remove(name)

    def _remove(self, name: bytes) -> None:
        found = self._entries.pop(name, None)
        if found is not None:
            self._bytes -= weight(*found[2])
