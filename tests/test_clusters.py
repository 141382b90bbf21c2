"""Real clusters and Sentinel: a primary is killed, and another server takes its place."""

from __future__ import annotations

import os
import re

import pytest
import redis
from redis.cluster import RedisCluster

from askonce.testing.clusters import SLOTS, Cluster
from askonce.testing.ports import HOST
from askonce.testing.sentinels import Sentinels

KEYS = [f"key:{number}" for number in range(100)]


def put_on_two(server, key, password=None):
    """Write to a primary, and wait for a replica to have it."""
    with redis.Redis(port=server.port, password=password, single_connection_client=True) as client:
        client.set(key, "kept")
        assert client.wait(1, 10_000) >= 1


def assert_gone(servers):
    for server in servers:
        with pytest.raises(ProcessLookupError):
            os.kill(server.pid, 0)


@pytest.mark.parametrize("name", ["valkey9", "redis8"])
def test_a_cluster_survives_the_death_of_a_primary(engine, name):
    with (
        Cluster(engine(name), password="a b") as cluster,
        RedisCluster(host=HOST, port=cluster.nodes[0].port, password="a b") as client,
    ):
        put_on_two(cluster.primary_of("key"), "key", "a b")
        dead = cluster.kill_primary_of("key")
        cluster.wait_until_ok()
        assert cluster.primary_of("key") is not dead
        assert dead not in cluster.primaries()
        assert len(cluster.primaries()) == 3
        assert client.get("key") == b"kept"
        dead.start()
        cluster.wait_until_ok()
        assert dead in cluster.replicas()
    assert_gone(cluster.nodes)


def test_the_primaries_of_a_cluster_share_all_slots(redis_cluster):
    primaries = redis_cluster.primaries()
    assert len(primaries) == 3
    assert {*primaries, *redis_cluster.replicas()} == set(redis_cluster.nodes)
    assert {redis_cluster.primary_of(slot) for slot in range(0, SLOTS, 100)} == set(primaries)
    first, last = redis_cluster.primary_of(0), redis_cluster.primary_of(SLOTS - 1)
    assert (first, last) == (primaries[0], primaries[-1])


def test_a_client_finds_every_key_of_a_cluster_on_the_node_that_is_named(redis_cluster):
    with RedisCluster(host=HOST, port=redis_cluster.nodes[0].port) as client:
        for key in KEYS:
            client.set(key, key)
            assert redis_cluster.primary_of(key).command("GET", key) == key.encode()
    assert len({redis_cluster.primary_of(key) for key in KEYS}) == 3


def test_the_url_of_a_cluster_names_every_node(redis_cluster):
    address = r"127\.0\.0\.1:\d+"
    assert re.fullmatch(rf"redis\+cluster://{address}(,{address}){{5}}", redis_cluster.url)


def test_a_paused_primary_of_a_cluster_is_replaced_and_comes_back_as_a_replica(engine):
    with Cluster(engine("redis8")) as cluster:
        paused = cluster.primary_of("key")
        paused.pause()
        cluster.wait_until_ok()
        assert cluster.primary_of("key") is not paused
        paused.resume()
        cluster.wait_until_ok()
        assert paused in cluster.replicas()


@pytest.mark.parametrize("name", ["valkey9", "redis8"])
def test_sentinel_replaces_a_dead_primary(engine, name):
    with Sentinels(engine(name), password="a b") as watched:
        put_on_two(watched.primary(), "key", "a b")
        sentinel = redis.Sentinel([(HOST, it.port) for it in watched.sentinels])
        with sentinel.master_for(watched.service, password="a b") as client:
            dead = watched.kill_primary()
            watched.wait_until_ok()
            assert watched.primary() is not dead
            assert client.get("key") == b"kept"
            dead.start()
            watched.wait_until_ok()
            assert watched.primary() is not dead
            assert client.get("key") == b"kept"
        for asked in sentinel.sentinels:
            asked.close()
    assert_gone([*watched.servers, *watched.sentinels])


def test_the_url_of_a_sentinel_set_names_every_sentinel_and_the_service(redis_sentinel):
    address = r"127\.0\.0\.1:\d+"
    shape = rf"redis\+sentinel://{address}(,{address}){{2}}/{redis_sentinel.service}"
    assert re.fullmatch(shape, redis_sentinel.url)
