"""What every index promises, kept by those that need no server."""

from __future__ import annotations

from askonce.indexes.embedded import Embedded
from askonce.indexes.memory import Memory, MemoryLedger
from askonce.testing import (
    IndexContract,
    LedgerContract,
    SharedIndexContract,
    SharedLedgerContract,
)


class TestMemory(IndexContract):
    def make_index(self, folder, *, embedder, dimension, clock):
        return Memory(dimension, clock=clock)


class TestEmbedded(SharedIndexContract):
    def make_index(self, folder, *, embedder, dimension, clock):
        path = folder / "new folder" / "answers.db.wordings"
        return Embedded(path, embedder=embedder, dimension=dimension, clock=clock, busy=5)


class TestMemoryLedger(LedgerContract):
    def make_ledger(self, folder):
        return MemoryLedger()


class TestEmbeddedLedger(SharedLedgerContract):
    def make_ledger(self, folder):
        return Embedded(folder / "w", embedder="any", dimension=8, busy=5).ledger

    def program(self, folder):
        return (
            "from askonce.indexes.embedded import Embedded\n"
            f"ledger = Embedded({str(folder / 'w')!r}, embedder='any', dimension=8, busy=30).ledger"
        )
