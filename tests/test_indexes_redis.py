"""What every index promises, kept by Redis: the query engine, vector sets, a cluster."""

from __future__ import annotations

import uuid

import pytest

from askonce.indexes.redis_rows import RedisLedger, Rows
from askonce.indexes.redisearch import RediSearch
from askonce.indexes.vector_sets import VectorSets
from askonce.testing import ServedIndexContract, SharedLedgerContract
from askonce.testing.clusters import Cluster
from askonce.testing.ports import HOST, free_port
from askonce.testing.servers import Server

# The time-outs are for a machine that runs the servers and the tests on two cores.
PATIENT = "timeout=5&connect_timeout=5"


@pytest.fixture(scope="module")
def search7(engine):
    """Redis 7.4 with the query engine."""
    binary = engine("redis7")
    if binary.search is None:
        pytest.skip("no RediSearch beside redis7")
    with Server(binary, config=[f"loadmodule {binary.search}"]) as server:
        yield server


@pytest.fixture(scope="module")
def search8(engine):
    """Redis 8 with the query engine of 7.4."""
    module = engine("redis7").search
    if module is None:
        pytest.skip("no RediSearch beside redis7")
    with Server(engine("redis8"), config=[f"loadmodule {module}"]) as server:
        yield server


@pytest.fixture(scope="module")
def search_cluster(engine):
    module = engine("redis7").search
    if module is None:
        pytest.skip("no RediSearch beside redis7")
    with Cluster(engine("redis8"), config=[f"loadmodule {module}"]) as cluster:
        yield cluster


class RedisIndexContract(ServedIndexContract):
    """A namespace of its own stands for an empty index."""

    server: str
    kind: type

    @pytest.fixture(autouse=True)
    def _served(self, request):
        self.url = f"{request.getfixturevalue(self.server).url}?{PATIENT}"
        self.namespace = uuid.uuid4().hex

    def make_index(self, folder, *, embedder, dimension, clock):
        url = f"{self.url}&namespace={self.namespace}"
        return self.kind(url, embedder=embedder, dimension=dimension, clock=clock)

    def make_dead(self):
        return self.kind(f"redis://{HOST}:{free_port()}", embedder="any", dimension=48)


class TestRediSearchOfRedis7(RedisIndexContract):
    server, kind = "search7", RediSearch


class TestRediSearchOfRedis8(RedisIndexContract):
    server, kind = "search8", RediSearch


class TestRediSearchInACluster(RedisIndexContract):
    server, kind = "search_cluster", RediSearch


class TestVectorSets(RedisIndexContract):
    server, kind = "redis8", VectorSets


class TestVectorSetsInACluster(RedisIndexContract):
    server, kind = "search_cluster", VectorSets


class TestRedisLedger(SharedLedgerContract):
    @pytest.fixture(autouse=True)
    def _served(self, valkey):
        self.url = f"{valkey.url}?{PATIENT}&namespace={uuid.uuid4().hex}"

    def make_ledger(self, folder):
        return RedisLedger(Rows(self.url, b"q", embedder="any", dimension=8))

    def program(self, folder):
        return (
            "from askonce.indexes.redis_rows import RedisLedger, Rows\n"
            f"ledger = RedisLedger(Rows({self.url!r}, b'q', embedder='any', dimension=8))"
        )
