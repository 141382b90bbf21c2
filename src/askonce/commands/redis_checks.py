"""Checks of a Redis or Valkey: can it be reached, is it fit, and how does it do."""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoPermissionError

from askonce.blocking import run
from askonce.commands import checks, redis_permissions, redis_reach, redis_tls
from askonce.commands.amounts import counted, size, span
from askonce.commands.checks import Check
from askonce.commands.opening import Place
from askonce.errors import StoreError
from askonce.redis import address, clients
from askonce.redis.address import Address
from askonce.redis.names import Names
from askonce.redis.store import Redis

READS = 20
"""Reads of which the median is told."""

REDIS, VALKEY = ((6, 2), (8, 99)), ((7, 2), (9, 99))
"""The oldest and the newest version that the store is tried on."""


@dataclass(frozen=True, slots=True)
class Node:
    """One server that keeps entries: its client, its name, and what it says of itself."""

    client: Any
    name: str
    facts: Mapping[str, Any]


def store(place: Place) -> Iterator[Check]:
    """Check a server from the outside in; what is found broken ends it."""
    found = address.read(place.url)
    yield Check("store", "ok", f"{found.shown} (from {place.said_by})")
    client = None
    try:
        yield (said := redis_reach.check(found))
        if said.state == "broken":
            return
        client = clients.blocking(redis_reach.patient(found))
        for said in _of(client, found):
            yield said
            if said.state == "broken":
                return
    finally:
        if client is not None:
            clients.close(client)
    use = checks.use(place)
    if use is not None:
        yield use


# What it is


def _of(client: Any, found: Address) -> Iterator[Check]:
    """Go through all that can be asked of a server that was reached."""
    try:
        nodes = _nodes(client, found)
    except NoPermissionError as error:
        yield Check("version", "broken", str(error), "ACL SETUSER USER +info")
        return
    yield redis_tls.check(nodes[0].client, found)
    yield _version(nodes)
    yield _mode(client, found, nodes)
    yield redis_permissions.check(client, found)
    yield _memory(nodes)
    yield _latency(client, found)
    yield _replicas(nodes, found)


def _nodes(client: Any, found: Address) -> list[Node]:
    if not found.cluster:
        return [Node(client, found.shown, client.info())]
    primaries = sorted(client.get_primaries(), key=lambda node: str(node.name))
    made = [(client.get_redis_connection(node), str(node.name)) for node in primaries]
    return [Node(each, name, each.info()) for each, name in made]


def _version(nodes: list[Node]) -> Check:
    said = dict.fromkeys(map(_release, nodes))
    text = ", ".join(f"{name} {version}" for name, version in said)
    for name, version in said:
        oldest, newest = VALKEY if name == "Valkey" else REDIS
        numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
        if numbers < oldest:
            least = ".".join(map(str, oldest))
            return Check("version", "broken", text, f"upgrade to {name} {least} or newer")
        if numbers > newest:
            return Check("version", "warn", f"{text}: newer than any it was tried on")
    return Check("version", "ok", text)


def _release(node: Node) -> tuple[str, str]:
    # Valkey says that it is Redis 7.2.4, for the sake of old clients.
    valkey = node.facts.get("valkey_version")
    return ("Valkey", str(valkey)) if valkey else ("Redis", str(node.facts.get("redis_version")))


def _mode(client: Any, found: Address, nodes: list[Node]) -> Check:
    if found.cluster:
        return _cluster(client, nodes)
    facts = nodes[0].facts
    if facts.get("cluster_enabled"):
        return Check(
            "mode",
            "broken",
            "this server is a part of a cluster",
            "name the cluster: redis+cluster:// in place of redis://",
        )
    if facts.get("role") != "master":
        primary = f"{facts.get('master_host')}:{facts.get('master_port')}"
        return Check(
            "mode",
            "broken",
            f"this server is a replica of {primary}, and takes no entries",
            f"name the primary ({primary}), or the sentinels: redis+sentinel://HOST/SERVICE",
        )
    return _sentinel(client, found) if found.service else Check("mode", "ok", "a single server")


def _cluster(client: Any, nodes: list[Node]) -> Check:
    covered = len(client.nodes_manager.slots_cache)
    primaries = counted(len(nodes), "primary", "primaries")
    replicas = counted(len(client.get_replicas()), "replica")
    says = f"a cluster: {primaries}, {replicas}, {covered:,} of 16,384 slots served"
    if covered < 16384:
        return Check(
            "mode", "broken", says, "redis-cli --cluster fix HOST:PORT, or start what is missing"
        )
    alone = [node.name for node in nodes if not node.facts.get("connected_slaves")]
    if alone:
        return Check(
            "mode",
            "warn",
            f"{says}; without a replica: {', '.join(alone)}",
            "add replicas, or a third of the entries is gone while a primary is down",
        )
    return Check("mode", "ok", says)


def _sentinel(client: Any, found: Address) -> Check:
    answering, primary, replicas = 0, "", 0
    for sentinel in client.connection_pool.sentinel_manager.sentinels:
        try:
            facts = sentinel.sentinel_masters()[found.service]
        except Exception:  # noqa: BLE001, S112 (those who do not answer are counted below)
            continue
        answering += 1
        primary, replicas = f"{facts['ip']}:{facts['port']}", int(facts["num-slaves"])
    says = (
        f"Sentinel: primary {primary}, {counted(replicas, 'replica')}, "
        f"{answering} of {counted(len(found.hosts), 'sentinel')} answer"
    )
    if answering < len(found.hosts):
        return Check("mode", "warn", says, "start the other sentinels, or leave them out of --url")
    if not replicas:
        return Check("mode", "warn", says, "add a replica: nothing can take over from the primary")
    return Check("mode", "ok", says)


# How it does


def _memory(nodes: list[Node]) -> Check:
    """Say what happens when the memory is full, of the first server where it goes wrong."""
    for node in nodes:
        limit = int(node.facts.get("maxmemory") or 0)
        policy = str(node.facts.get("maxmemory_policy") or "unknown")
        used = size(int(node.facts.get("used_memory") or 0))
        where = f" on {node.name}" if len(nodes) > 1 else ""
        if not limit:
            return Check(
                "memory",
                "warn",
                f"{used} used{where}, and no limit: it grows until the system ends it",
                "CONFIG SET maxmemory 2gb, CONFIG SET maxmemory-policy allkeys-lru",
            )
        if not policy.startswith("allkeys-"):
            what = "keeps nothing new" if policy == "noeviction" else "keeps what never expires"
            return Check(
                "memory",
                "warn",
                f"{used} of {size(limit)} used{where}; when full it {what} ({policy})",
                "CONFIG SET maxmemory-policy allkeys-lru",
            )
    sums = [size(sum(int(node.facts[name]) for node in nodes)) for name in _SIZES]
    policies = ", ".join(sorted({str(node.facts["maxmemory_policy"]) for node in nodes}))
    return Check("memory", "ok", f"{' of '.join(sums)} used, {policies}")


_SIZES = ("used_memory", "maxmemory")


def _latency(client: Any, found: Address) -> Check:
    name = Names(found).entry(bytes(20))
    taken = []
    for _ in range(READS):
        began = time.perf_counter()
        client.get(name)
        taken.append(time.perf_counter() - began)
    median = statistics.median(taken)
    says = f"a read takes {span(median)} (median of {READS}); the timeout is {span(found.timeout)}"
    if median > found.timeout / 2:
        milliseconds = max(1, round(median * 4000))
        return Check("latency", "warn", says, f"allow more: ?timeout={milliseconds}ms")
    return Check("latency", "ok", says)


def _replicas(nodes: list[Node], found: Address) -> Check:
    """See whether a replica confirms a write in time, as an invalidation wants it."""
    count = sum(int(node.facts.get("connected_slaves") or 0) for node in nodes)
    if not count:
        return Check("replicas", "ok", "none, so an invalidation waits for nobody")
    try:
        kept = Redis(redis_reach.patient(found))
        run(kept.invalidate(f"askonce doctor {os.urandom(8).hex()}"))
        run(kept.close())
    except StoreError as error:
        return Check("replicas", "warn", str(error), "look at INFO replication on the primaries")
    return Check("replicas", "ok", f"{count}; each primary has one that confirms an invalidation")
