"""What every store promises, kept by PostgreSQL; its leases, and what happens when it is gone."""

from __future__ import annotations

import uuid

import pytest

from askonce.postgres.store import PostgreSQL
from askonce.stores.memory import Memory
from askonce.stores.tiered import Tiered
from askonce.testing import StoreContract


class PostgresContract(StoreContract):
    @pytest.fixture(autouse=True)
    def _served(self, postgresql):
        self.url = postgresql.url

    def make_store(self, folder):
        # The time-out is for a machine that runs the server and the tests on two cores.
        return PostgreSQL(f"{self.url}?namespace=n{uuid.uuid4().hex[:20]}&timeout=5")


class TestPostgreSQL(PostgresContract):
    pass


class TestMemoryOverPostgreSQL(PostgresContract):
    def make_store(self, folder):
        return Tiered(Memory("100MB"), super().make_store(folder))
