from __future__ import annotations

from askonce.stores.memory import Memory
from askonce.stores.sqlite import SQLite
from askonce.stores.tiered import Tiered
from askonce.testing import StoreContract


class TestMemory(StoreContract):
    def make_store(self, folder):
        return Memory("100MB")


class TestSQLite(StoreContract):
    def make_store(self, folder):
        return SQLite(folder / "new folder" / "entries.db", "100MB", busy=5)


class TestTiered(StoreContract):
    def make_store(self, folder):
        return Tiered(Memory("100MB"), SQLite(folder / "entries.db", "100MB", busy=5))


class TestTieredOverMemory(StoreContract):
    def make_store(self, folder):
        return Tiered(Memory("100MB"), Memory("100MB"))


class TestTieredWithLittleMemory(StoreContract):
    """Near that keeps next to nothing: all comes from far."""

    def make_store(self, folder):
        return Tiered(Memory("2KB"), SQLite(folder / "entries.db", "100MB", busy=5))


class TestTieredWithoutAPlace(StoreContract):
    """A far store that can never work: near takes its place."""

    def make_store(self, folder):
        (folder / "file").write_text("not a folder")
        return Tiered(Memory("100MB"), SQLite(folder / "file" / "entries.db"))
