"""What every index promises, kept by PostgreSQL with pgvector."""

from __future__ import annotations

import uuid

import pytest

from askonce.indexes.pgvector import PgVector
from askonce.testing import ServedIndexContract, SharedLedgerContract
from askonce.testing.ports import HOST, free_port


@pytest.fixture
def url(postgresql):
    """The URL of an empty place: a namespace of its own."""
    return f"{postgresql.url}?namespace=n{uuid.uuid4().hex[:20]}&timeout=5"


class TestPgVector(ServedIndexContract):
    @pytest.fixture(autouse=True)
    def _served(self, url):
        self.url = url

    def make_index(self, folder, *, embedder, dimension, clock):
        return PgVector(self.url, embedder=embedder, dimension=dimension, clock=clock)

    def make_dead(self):
        url = f"postgresql://{HOST}:{free_port()}/any"
        return PgVector(url, embedder="any", dimension=48)


class TestPostgresLedger(SharedLedgerContract):
    @pytest.fixture(autouse=True)
    def _served(self, url):
        self.url = url

    def make_ledger(self, folder):
        return PgVector(self.url, embedder="any", dimension=8).ledger

    def program(self, folder):
        return (
            "from askonce.indexes.pgvector import PgVector\n"
            f"ledger = PgVector({self.url!r}, embedder='any', dimension=8).ledger"
        )
