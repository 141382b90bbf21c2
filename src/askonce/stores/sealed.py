"""A store seen through a sealer: what goes in is sealed, what comes out is opened."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from askonce.errors import StoreError
from askonce.model import NOTHING, Entry
from askonce.sealing import Cover, Sealer
from askonce.stores.contract import Found, Store


class Sealed:
    """The verbs of a store, for the entries of a tenant. The store sees neither key nor content.

    A key may have an entry under each of its names; the newest one that opens is taken.
    """

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

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
            opened = None if entry is None else self._sealer.open(tenant, name, entry)
            if opened is not None and opened[0] == key:
                return opened[1]
        return None

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
        return sum(not there.isdisjoint(some) for some in names.values())

    async def invalidate(self, tag: str) -> None:
        """Let everything that carries this tag be dead from now on, whosever it is."""
        for name in self._sealer.tags(tag):
            await self._store.invalidate(name)

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
