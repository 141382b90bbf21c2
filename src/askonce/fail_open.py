"""The store as the engine asks it: when it fails, the call goes on as if it were empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from askonce.colours import Colour, Workers
from askonce.documents import Document, is_of
from askonce.errors import StoreError
from askonce.journal import Journal
from askonce.model import NOTHING, Entry
from askonce.policy import Options
from askonce.stores.contract import Found, Store

if TYPE_CHECKING:
    from askonce.stores.sealed import Sealed


class FailOpen:
    """Reads and keeps entries. What a store raises is taken note of, or raised if `strict`."""

    def __init__(
        self, store: Store, sealed: Sealed | None, journal: Journal, *, strict: bool
    ) -> None:
        self._store = store
        self._sealed = sealed
        self._journal = journal
        self._strict = strict
        self._workers = Workers()
        self._untold: dict[str, bytes] = {}
        """Versions of contents that the store could not be told of. It may hold older answers."""

    async def get(self, names: tuple[bytes, ...], options: Options) -> Found:
        """Look up entries, and the versions of the tags that an answer from now on carries."""
        found = await self.read(names, options.tags, options.tenant)
        if not options.documents:
            return found
        # A caller whose document is not the one declared last: what it makes is dead, not wrong.
        own = {
            tag: version
            for tag, version in options.documents.items()
            if not is_of(found.versions.get(tag, b""), version)
        }
        return Found(found.entries, {**found.versions, **own})

    async def read(self, names: tuple[bytes, ...], tags: tuple[str, ...], tenant: str) -> Found:
        """Look up entries, and the versions of tags as the store has them."""
        try:
            found = await self.look(names, tags, tenant)
        except Exception as error:  # noqa: BLE001 (somebody else's store may raise anything)
            self._failed("get", error)
            return Found((None,) * len(names), NOTHING)
        if self._untold:
            entries = [it if it and self._is_current(it) else None for it in found.entries]
            found = Found(tuple(entries), found.versions)
        return found

    async def look(self, names: tuple[bytes, ...], tags: tuple[str, ...], tenant: str) -> Found:
        """Do the same, but raise what the store raises."""
        if self._sealed is None:
            return await self._store.get(names, tags)
        return await self._sealed.get(tenant, names, tags)

    def _is_current(self, entry: Entry) -> bool:
        """Say whether an entry was made from no content that has changed since, as we know."""
        untold = list(self._untold.items())
        return all(is_of(entry.tags.get(tag, version), version) for tag, version in untold)

    async def put(self, kept: Mapping[bytes, Entry], tenant: str, colour: Colour) -> bool:
        """Keep entries; False if they are not."""
        try:
            sealed = self._sealed
            work = self._store.put(kept) if sealed is None else sealed.put(tenant, kept)
            await (colour.off_loop(work, self._workers) if self._store.blocking else work)
        except Exception as error:  # noqa: BLE001 (somebody else's store may raise anything)
            self._failed("put", error)
            return False
        return True

    async def declare(self, document: Document) -> Document:
        """Let everything that was made from another content of a document be dead from now on.

        Returns the document with the version that the store knows it by.
        """
        if self._sealed is not None:
            # Who reads the store must not be able to test what the content is.
            document = replace(document, version=self._sealed.version(document.version))
        tag = document.content
        found = await self.read((), (tag,), "")
        if not is_of(found.versions.get(tag, b""), document.version):
            try:
                await (self._sealed or self._store).invalidate(tag, document.version)
            except Exception as error:  # noqa: BLE001 (somebody else's store may raise anything)
                self._untold[tag] = document.version
                self._failed("invalidate", error)
                return document
        self._untold.pop(tag, None)
        return document

    def _failed(self, verb: str, error: Exception) -> None:
        """Take note of trouble, or raise it again if strict."""
        if self._strict:
            raise error
        self._journal.trouble(verb, _as_trouble(error))


def _as_trouble(error: Exception) -> StoreError:
    """Make a StoreError of what a store should not have raised."""
    if isinstance(error, StoreError):
        return error
    trouble = StoreError(f"{type(error).__name__}: {error}")
    trouble.__cause__ = error
    return trouble
