"""What every store promises, kept by Redis and Valkey: one server, a cluster, TLS, Sentinel."""

from __future__ import annotations

import uuid

import pytest

from askonce.redis.store import Redis
from askonce.stores.memory import Memory
from askonce.stores.tiered import Tiered
from askonce.testing import StoreContract


class RedisContract(StoreContract):
    """A namespace of its own stands for an empty store."""

    server: str

    @pytest.fixture(autouse=True)
    def _served(self, request):
        self.url = request.getfixturevalue(self.server).url

    def make_store(self, folder):
        # The time-outs are for a machine that runs the servers and the tests on two cores.
        return Redis(f"{self.url}?namespace={uuid.uuid4().hex}&timeout=5&connect_timeout=5")


class TestValkey9(RedisContract):
    server = "valkey"


class TestRedis8(RedisContract):
    server = "redis8"


class TestRedis7(RedisContract):
    server = "redis7"


class TestCluster(RedisContract):
    server = "redis_cluster"


class TestSentinel(RedisContract):
    server = "redis_sentinel"


class TestMemoryOverValkey(RedisContract):
    server = "valkey"

    def make_store(self, folder):
        return Tiered(Memory("100MB"), super().make_store(folder))
