"""Everything that can happen to a Redis, under a wrapped client: calls go on, and it heals.

`bench/chaos.py` and `bench/invalidation.py` do the same for minutes, under load.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
import os
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

import msgspec
import pytest
from openai import AsyncOpenAI, OpenAI
from redis.exceptions import RedisClusterException

from askonce import Cache
from askonce.blocking import run
from askonce.errors import StoreError, UpstreamLost
from askonce.model import Entry
from askonce.redis import address, clients, leases, permissions
from askonce.redis.feeds import StreamFeed
from askonce.redis.store import Redis
from askonce.stores.memory import Memory
from askonce.stores.tiered import Tiered
from askonce.testing.clusters import Cluster
from askonce.testing.ports import HOST
from askonce.testing.processes import wait_until
from askonce.testing.proxies import CuttingProxy
from askonce.testing.sentinels import Sentinels
from askonce.testing.servers import Server

SHORT = "timeout=200ms&connect_timeout=300ms"
"""Time-outs where a server is not to answer."""
LONG = "timeout=5&connect_timeout=5"
"""Time-outs where it is, on a machine that runs all of it."""


class Clock:
    """A time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1764000000.0

    def __call__(self) -> float:
        return self.now


class Machine:
    """A program that asks questions through a wrapped client, and looks at every answer."""

    def __init__(self, upstream, url, *, is_async=False, options=SHORT, strict=False) -> None:
        self.clock = Clock()
        self.far = Redis(f"{url}{'&' if '?' in url else '?'}{options}", steady=self.clock)
        # As `Cache(url)` composes it, with a clock of our own.
        self.store = Tiered(Memory(), self.far, self.clock, strict=strict)
        self.cache = Cache(self.store, strict=strict)
        self._runner = asyncio.Runner() if is_async else None
        kind = AsyncOpenAI if is_async else OpenAI
        made = kind(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)
        self._client = self.cache.wrap(made)

    def ask(self, question, tags=()) -> str:
        """Ask, and return how the call ended: hit or miss."""
        messages = [{"role": "user", "content": question}]
        asked = {"model": "gpt-4o", "temperature": 0, "messages": messages}
        with self.cache.recording() as outcomes, self.cache.using(tags=tags):
            answer = self._client.chat.completions.create(**asked)
            if self._runner is not None:
                answer = self._runner.run(answer, context=contextvars.copy_context())
        assert answer.choices[0].message.content == f"Answer to: {question}"
        return outcomes[0].kind

    def state(self):
        return self.cache.stats().store

    def close(self) -> None:
        if self._runner is None:
            self._client.close()
            run(self.store.close())
        else:
            self._runner.run(self._client.close())
            self._runner.run(self.store.close())
            self._runner.close()


@pytest.fixture
def machine(upstream):
    """Make a machine; it ends with the test."""
    with contextlib.ExitStack() as made:

        def begin(url, **more):
            found = Machine(upstream, url, **more)
            made.callback(found.close)
            return found

        yield begin


@pytest.fixture
def server(engine):
    """A server of this test's own, to be broken."""
    with Server(engine("valkey9")) as made:
        yield made


@pytest.fixture(params=["valkey", "redis_cluster"])
def url(request):
    """A namespace of this test's own on a server that is well."""
    shared = request.getfixturevalue(request.param)
    return f"{shared.url}?namespace={uuid.uuid4().hex}&{LONG}"


def warnings(caplog):
    return [it.getMessage() for it in caplog.records if it.name == "askonce"]


def entry(body=b"kept", **more):
    return Entry(body, time.time(), time.time() + 600, "value", **more)


def key():
    return os.urandom(20)


def get(store, name):
    return run(store.get((name,))).entries[0]


# Faults. Each comes to the server when its block begins, and goes when it ends.


@contextmanager
def dead(server):
    server.kill()
    yield
    server.start()


@contextmanager
def paused(server):
    server.pause()
    yield
    server.resume()


@contextmanager
def full(server):
    server.command("CONFIG", "SET", "maxmemory", "1")
    yield
    server.command("CONFIG", "SET", "maxmemory", "0")


@contextmanager
def read_only(server):
    """Its replication was turned round by a failover, and its data is there still."""
    server.command("CONFIG", "SET", "replica-serve-stale-data", "yes")
    server.command("REPLICAOF", HOST, "1")
    yield
    server.command("REPLICAOF", "NO", "ONE")


@contextmanager
def forbidden(server):
    """Its default user may do nothing any more."""
    server.command("ACL", "SETUSER", "default", "-@all", "+acl", "+client")
    yield
    server.command("ACL", "SETUSER", "default", "+@all")


@contextmanager
def without_replicas(server):
    """It takes no writes while it has too few replicas."""
    server.command("CONFIG", "SET", "min-replicas-to-write", "1")
    yield
    server.command("CONFIG", "SET", "min-replicas-to-write", "0")


FAULTS = {
    dead: "failing",
    paused: "failing",
    full: "refusing",
    read_only: "refusing",
    forbidden: "refusing",
    without_replicas: "refusing",
}
"""Each, and the state in which it is found."""
colours = pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "async"])


@colours
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_comes_and_goes_is_noticed_by_nobody(fault, is_async, server, machine, caplog):
    here, elsewhere = machine(server.url, is_async=is_async), machine(server.url)
    assert here.ask("before") == "miss"
    assert elsewhere.ask("from elsewhere") == "miss"
    with fault(server):
        assert here.ask("before") == "hit"
        assert [here.ask("meanwhile") for _ in range(3)] == ["miss", "hit", "hit"]
        here.ask("tagged", tags=["doc:1"])
        assert here.state() == FAULTS[fault]
        assert here.cache.stats().store_failures >= 1
        assert len(warnings(caplog)) == 1, warnings(caplog)
        if here.state() == "refusing" and fault is not forbidden:
            assert here.ask("from elsewhere") == "hit"  # it can be read all the same
    here.clock.now += 2
    assert here.ask("afterwards") == "miss"
    here.clock.now += 2
    assert [here.ask("afterwards, tagged", tags=["doc:1"]) for _ in range(2)] == ["miss", "hit"]
    assert here.state() == "working"
    elsewhere.clock.now += 2
    assert elsewhere.ask("afterwards, tagged", tags=["doc:1"]) == "hit"
    assert len(warnings(caplog)) == 1, warnings(caplog)


@colours
def test_a_server_that_is_not_there_at_the_first_call_is_noticed_by_nobody(
    is_async, server, machine, caplog
):
    server.kill()
    here = machine(server.url, is_async=is_async)
    assert [here.ask("meanwhile") for _ in range(2)] == ["miss", "hit"]
    assert (here.state(), len(warnings(caplog))) == ("failing", 1)
    server.start()
    here.clock.now += 2
    assert here.ask("afterwards") == "miss"
    assert machine(server.url).ask("afterwards") == "hit"


@pytest.mark.parametrize("fault", [dead, paused])
def test_a_strict_cache_raises_instead(fault, server, machine, upstream):
    here = machine(server.url, strict=True)
    assert here.ask("before") == "miss"
    with fault(server):
        for _ in range(2):
            with pytest.raises(StoreError):
                here.ask("meanwhile")
            with pytest.raises(StoreError):
                here.cache.put("value", name="meanwhile")
    assert upstream.calls == 1


def test_a_strict_cache_raises_when_a_full_server_keeps_nothing(server, machine):
    here = machine(server.url, strict=True)
    assert here.ask("before") == "miss"
    with full(server):
        assert here.ask("before") == "hit"
        for _ in range(2):
            with pytest.raises(StoreError):
                here.cache.put("value", name="meanwhile")


def test_a_cluster_of_which_nobody_answers_is_noticed_by_nobody(engine, machine, caplog):
    with Cluster(engine("valkey9"), replicas=0) as cluster:
        machines = [machine(cluster.url, is_async=is_async) for is_async in (False, True)]
        for number, here in enumerate(machines):
            assert here.ask(f"before {number}") == "miss"
        for node in cluster.nodes:
            node.kill()
        for here in machines:
            assert [here.ask("meanwhile") for _ in range(2)] == ["miss", "hit"]
            assert run(here.far.leases.acquire(key()))
            assert here.state() == "failing"
        for node in cluster.nodes:
            node.start()
        cluster.wait_until_ok()
        for number, here in enumerate(machines):
            here.clock.now += 2
            assert here.ask(f"afterwards {number}") == "miss"
        for number, here in enumerate(reversed(machines)):
            assert here.ask(f"afterwards {number}") == "hit"
        # Who listens for what others forget has found its way back too.
        told = SimpleQueue()
        machines[0].far.watch(told.put)
        forget_until_told(machines[1].far, told)


def forget_until_told(store, told):
    """Others listen again some tenths of a second after their server is back."""
    name = key()

    def is_told():
        run(store.forget((name,)))
        with contextlib.suppress(Exception):
            return [name] in iter(lambda: told.get(timeout=0.1), None)
        return False

    wait_until(is_told, "a forgotten entry is told of")


def test_a_primary_of_a_cluster_that_dies_takes_no_call_with_it(engine, machine):
    with Cluster(engine("valkey9")) as cluster:
        here, elsewhere = machine(cluster.url), machine(cluster.url, is_async=True)
        names = [f"question {number}" for number in range(12)]
        for name in names:
            here.ask(name)
        cluster.kill_primary_of(0)
        for name in names:
            elsewhere.clock.now += 2
            elsewhere.ask(name)
        cluster.wait_until_ok()
        for one in (here, elsewhere):
            one.clock.now += 2
            one.ask("afterwards")
        assert here.state() == elsewhere.state() == "working"
        assert machine(cluster.url, options=LONG).ask("afterwards") == "hit"


def test_sentinel_gives_another_primary(engine, machine):
    with Sentinels(engine("redis8")) as watched:
        here, elsewhere = machine(watched.url), machine(watched.url, is_async=True)
        here.ask("before")
        elsewhere.ask("before")
        watched.sentinels[0].kill()  # the first one that everybody asks
        watched.kill_primary()
        for one in (here, elsewhere):
            assert one.ask("meanwhile") == "miss"
        watched.wait_until_ok()
        for one in (here, elsewhere):
            one.clock.now += 2
            one.ask("afterwards")
            assert one.state() == "working"
        assert machine(watched.url, options=LONG).ask("before") == "hit"


def test_sentinels_may_speak_tls_too(engine, certificates):
    primary = Server(engine("redis7"), tls=certificates, config=["tls-replication yes"])
    with primary:
        line = f"sentinel monitor answers {HOST} {primary.port} 1"
        config = ["tls-replication yes", line]
        kind = engine("redis7")
        with Server(kind, tls=certificates, config=config, arguments=["--sentinel"]) as sentinel:
            where = f"rediss+sentinel://{sentinel.address}/answers"
            store = Redis(f"{where}?ssl_ca_certs={certificates.authority}&{LONG}")
            assert get(store, key()) is None
            run(store.close())


@pytest.fixture
def tls_nodes(engine, certificates):
    """Three nodes that share all slots, and speak TLS to everybody."""
    config = ["cluster-enabled yes", "tls-cluster yes"]
    with contextlib.ExitStack() as running:
        nodes = [
            running.enter_context(Server(engine("redis7"), tls=certificates, config=config))
            for _ in range(3)
        ]
        for number, node in enumerate(nodes):
            first, last = 5462 * number, min(16383, 5462 * (number + 1) - 1)
            node.command("CLUSTER", "ADDSLOTSRANGE", first, last)
            node.command("CLUSTER", "MEET", HOST, nodes[0].port)

        def knows_all(node):
            return node.facts("CLUSTER", "INFO")["cluster_state"] == "ok"

        wait_until(lambda: all(map(knows_all, nodes)), "the nodes know one another")
        yield nodes
        # Of a server with TLS that dies while it is listened to, redis-py may leave a socket open.
        wait_until(
            lambda: all(thread.name != "askonce news" for thread in threading.enumerate()),
            "nobody listens any more",
        )


@colours
def test_a_cluster_may_speak_tls(is_async, tls_nodes, certificates, machine, caplog):
    where = "rediss+cluster://" + ",".join(node.address for node in tls_nodes)
    trusting = f"{LONG}&ssl_ca_certs={certificates.authority}"
    here = machine(where, options=trusting, is_async=is_async)
    assert [here.ask(f"question {number}") for number in range(6)] == ["miss"] * 6
    there = machine(where, options=trusting, is_async=is_async)
    assert [there.ask(f"question {number}") for number in range(6)] == ["hit"] * 6
    assert all(node.command("DBSIZE") for node in tls_nodes)
    doubting = machine(where, options=LONG, is_async=is_async)
    assert doubting.ask("meanwhile") == "miss"
    assert doubting.state() == "failing"
    assert "memory serves alone for now" in warnings(caplog)[0]


def test_sentinels_may_want_a_user_of_their_own(engine):
    with Sentinels(engine("redis8")) as watched:
        user = "ACL SETUSER me on >secret -@all +sentinel|masters +client|setinfo"
        for sentinel in watched.sentinels:
            sentinel.command(*user.split())
            sentinel.command("ACL", "SETUSER", "default", "-@all", "+acl")
        store = Redis(f"{watched.url}?{LONG}&sentinel_username=me&sentinel_password=secret")
        assert get(store, key()) is None
        run(store.close())
        for sentinel in watched.sentinels:
            denied = [it for it in sentinel.command("ACL", "LOG") if b"me" in it]
            assert denied == []


# A crowd


def test_of_a_crowd_one_in_a_second_tries_a_server_that_fails(server, machine):
    here = machine(server.url)
    with paused(server):
        assert get(here.store, key()) is None
        for _ in range(3):
            here.clock.now += 2
            before = here.far.breaker.failures

            async def crowd():
                await asyncio.gather(*[here.store.get((key(),)) for _ in range(100)])

            asyncio.run(crowd())
            assert here.far.breaker.failures == before + 1
            assert run(here.far.leases.acquire(key()))
            assert here.far.breaker.failures == before + 1


def test_nobody_waits_for_all_nodes_of_a_cluster_that_hangs():
    crowd, answers, looks = clients.Crowd(0.01), threading.Event(), []

    def look():
        answers.wait()
        looks.append("found")

    for _ in range(2):
        with pytest.raises(RedisClusterException, match="in time"):
            crowd.attempt(look)
    answers.set()
    wait_until(lambda: looks, "the first look has ended")
    assert looks == ["found"]  # the second waited for the same one
    patient = clients.Crowd(30.0)
    patient.attempt(look)
    assert looks == ["found", "found"]
    with pytest.raises(ZeroDivisionError):
        patient.attempt(lambda: 1 // 0)


@colours
def test_who_waits_for_a_turn_is_let_go_when_those_before_fail(is_async, server, machine):
    here = machine(server.url, options=f"{SHORT}&connections=2")
    told, together = [], threading.Barrier(40)

    async def ask():
        try:
            await here.far.get((key(),))
        except StoreError as error:
            told.append(str(error))

    def ask_from_thread():
        together.wait()
        run(ask())

    async def crowd():
        await asyncio.gather(*[ask() for _ in range(40)])

    with paused(server):
        if is_async:
            asyncio.run(crowd())
        else:
            with ThreadPoolExecutor(40) as pool:
                list(pool.map(lambda _: ask_from_thread(), range(40)))
    tried = [it for it in told if "failed those who asked before" not in it]
    # Two had turns. A thread that comes late finds nobody before it, and tries too.
    assert len(told) == 40
    assert len(tried) < 20


def test_a_healthy_crowd_waits_for_its_turns(url):
    store, names = Redis(f"{url}&connections=2"), [key() for _ in range(300)]
    run(store.put(dict.fromkeys(names, entry())))

    async def crowd():
        other = Redis(f"{url}&connections=2")
        found = await asyncio.gather(*[other.get((name,)) for name in names])
        await other.close()
        return found

    assert all(found.entries[0] is not None for found in asyncio.run(crowd()))
    run(store.close())


def test_a_large_answer_has_longer_to_be_sent(server):
    with CuttingProxy(server.port) as proxy:
        store = Redis(f"redis://{HOST}:{proxy.port}?timeout=150ms&connect_timeout=5")
        name = key()
        run(store.put({name: entry()}))
        run(store.put({name: entry(os.urandom(2**21))}))  # connections are there before it is slow
        proxy.delay(0.1)
        with pytest.raises(StoreError):
            run(store.put({name: entry()}))
        run(store.put({name: entry(os.urandom(2**20))}))
        proxy.delay(0.0)
        run(store.close())


# What is invalidated stays dead


def test_an_invalidation_reaches_every_cache_at_once(url):
    here, there = (Cache(url) for _ in range(2))
    with here.using(tags=["doc:1"]):
        here.put("old", name="it")
    with there.using(tags=["doc:1"]):
        assert there.get(name="it") == "old"
        here.invalidate(tag="doc:1")
        assert there.get(name="it") is None
    here.close()
    there.close()


def test_what_is_forgotten_leaves_the_memory_of_others(url, machine):
    here, there = machine(url, options="connections=32"), machine(url, options="connections=32")
    told = SimpleQueue()
    there.far.watch(told.put)
    here.ask("it")
    assert there.ask("it") == "hit"
    assert told.get(timeout=10) is None  # it listens
    assert here.cache.forget(here.cache.last) == 1
    assert told.get(timeout=10) is not None
    assert there.ask("it") == "miss"


def test_a_hash_of_tags_that_was_evicted_makes_entries_dead(url, machine):
    here = machine(url, options="connections=32")
    assert [here.ask("it", tags=["doc:1"]) for _ in range(2)] == ["miss", "hit"]
    for bucket in here.far._names.buckets:
        run(here.far._link.together([("DEL", here.far._names.tags(bucket))]))
    assert [here.ask("it", tags=["doc:1"]) for _ in range(2)] == ["miss", "hit"]


def test_an_invalidation_that_a_failover_could_undo_is_an_error_until_a_replica_has_it(engine):
    config = ["repl-diskless-sync-delay 0", "repl-ping-replica-period 1"]
    with (
        Server(engine("valkey9"), config=config) as primary,
        Server(engine("valkey9"), config=[*config, f"replicaof {HOST} {primary.port}"]) as replica,
    ):
        wait_until(
            lambda: replica.facts("INFO", "replication")["master_link_status"] == "up",
            "the replica is in sync",
        )
        store, name = Redis(f"{primary.url}?{LONG}"), key()
        tags = run(store.get((), ["doc:1"])).versions
        run(store.put({name: entry(tags=tags)}))
        run(store.invalidate("something else"))  # the replica has the entry now
        replica.pause()
        for _ in range(3):  # it is gone from the primary with the first of them
            other = Redis(f"{primary.url}?{LONG}")
            with pytest.raises(StoreError, match="no replica has confirmed"):
                run(other.invalidate("doc:1"))
            run(other.close())
        replica.resume()
        run(store.invalidate("doc:1"))
        primary.kill()
        replica.command("REPLICAOF", "NO", "ONE")
        promoted = Redis(f"{replica.url}?{LONG}")
        assert get(promoted, name) is None
        run(promoted.close())
        run(store.close())


# Users, passwords, TLS


def test_a_password_that_is_changed_is_read_anew(engine, tmp_path, machine, caplog):
    file = tmp_path / "password"
    file.write_text("old")
    with Server(engine("valkey9"), password="old") as server:
        here = machine(f"redis://{server.address}?password_file={file}")
        assert here.ask("before") == "miss"
        server.change_password("new")
        server.command("CLIENT", "KILL", "TYPE", "normal")
        assert [here.ask("meanwhile") for _ in range(2)] == ["miss", "hit"]
        assert here.state() == "failing"
        file.write_text("new\n")
        here.clock.now += 2
        assert here.ask("afterwards") == "miss"
        assert machine(server.url).ask("afterwards") == "hit"
    assert len(warnings(caplog)) == 1
    assert not {"old", "new"} & set(warnings(caplog)[0].split())


def test_a_password_file_that_is_missing_for_a_moment_leaves_no_connection_without_a_user(
    engine, tmp_path
):
    file = tmp_path / "password"
    with Server(engine("valkey9")) as server:
        server.command("ACL", "SETUSER", "bob", "on", ">secret", "~*", "&*", "+@all")
        store = Redis(f"redis://bob@{server.address}/3?password_file={file}&{LONG}")
        with pytest.raises(StoreError):
            run(store.put({bytes(20): Entry(b"early", 1.0)}))
        file.write_text("secret")
        run(store.put({bytes(20): Entry(b"later", 1.0)}))
        assert b"user=bob" in server.command("CLIENT", "LIST")
        assert server.command("DBSIZE") == 0
        run(store.close())


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Server, "valkey9"), (Server, "redis8"), (Server, "redis7"), (Cluster, "valkey9")],
)
def test_a_user_with_the_documented_rights_can_do_all_that_is_needed(kind, name, engine):
    made = Server(engine(name)) if kind is Server else Cluster(engine(name), replicas=0)
    with made:
        servers = [made] if kind is Server else made.nodes
        url = made.url.replace("://", "://me:secret@") + f"?namespace=team&{LONG}"
        rule = permissions.rule(address.read(url), "me").replace(">PASSWORD", ">secret")
        for server in servers:
            server.command(*rule.split())
        use_all(url)
        for server in servers:
            assert server.command("ACL", "LOG") == []


def use_all(url):
    """Use a store from a thread and from a task, with all that there is to it."""
    told = SimpleQueue()

    async def use():
        store = Redis(url)
        store.watch(told.put)
        name = key()
        tags = (await store.get((name,), ["doc:1"])).versions
        await store.put({name: entry(tags=tags)})
        assert (await store.get((name,), ["doc:1"])).entries[0] is not None
        assert await store.leases.acquire(name)
        assert not await store.leases.acquire(name)
        store.leases.release(name, failed=False)
        stream, token = store._names.stream(name, b"t"), b"t"
        head = msgspec.json.encode({"status": 200, "headers": []})
        commands = [("XADD", stream, "0-1", b"h", head), ("XADD", stream, "0-2", b"e", b"")]
        await store._link.together([*commands, ("PEXPIRE", stream, 60_000)])
        feed = await StreamFeed.open(store._link, stream, token, None)
        assert await feed._read()
        await store._link.together([("EXISTS", stream)])
        assert len(await store.scan()) == 1
        await store.invalidate("doc:1")
        assert await store.forget((name,)) == 1
        await store.close()

    store = Redis(url)
    assert get(store, key()) is None
    asyncio.run(use())
    run(store.close())
    assert told.get(timeout=10) is None  # it was let to listen


def test_a_server_with_tls_is_verified(redis_tls, certificates, machine, caplog):
    options = f"namespace={uuid.uuid4().hex}&{LONG}"
    trusting = f"{redis_tls.url}?ssl_ca_certs={certificates.authority}"
    for is_async in (False, True):
        here = machine(trusting, options=options, is_async=is_async)
        assert here.ask(f"{is_async}") == "miss"
        assert machine(trusting, options=options).ask(f"{is_async}") == "hit"
    assert warnings(caplog) == []
    doubting = machine(redis_tls.url, options=options)  # it does not know the authority
    assert doubting.ask("it") == "miss"
    assert "certificate verify failed" in warnings(caplog)[0]


# Forks, and loops that end


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_has_connections_of_its_own(url, machine):
    here = machine(url, options="connections=4")
    here.ask("it")
    read, write = os.pipe()
    # A look under way in another thread is nobody's in the child.
    here.store._fetches.after_fork(child=False)
    pid = os.fork()
    if pid == 0:
        try:
            here.store._near.clear()
            said = [here.ask("it"), here.ask("from the child")]
            os.write(write, " ".join(said).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read, 100) == b"hit miss"
    assert here.ask("from the child") == "hit"
    assert here.ask("from the parent") == "miss"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_ends_takes_its_connections_along(server):
    """Its program should close them in the loop; Python warns of those who do not."""
    store, name = Redis(f"{server.url}?{LONG}"), key()

    async def once():
        await store.put({name: entry()})
        found = await asyncio.gather(*[store.get((name,)) for _ in range(10)])
        assert all(it.entries[0] for it in found)

    def clients():
        return int(server.facts("INFO", "clients")["connected_clients"])

    asyncio.run(once())
    after_one = clients()
    for _ in range(10):
        asyncio.run(once())
    gc.collect()
    assert clients() <= 2 * after_one
    asyncio.run(store.close())
    gc.collect()


@pytest.mark.parametrize("server", ["valkey", "redis_cluster"])
def test_a_store_that_is_closed_in_its_loop_leaves_nothing_behind(server, request):
    shared = request.getfixturevalue(server)

    async def once():
        store, name = Redis(f"{shared.url}?{LONG}"), key()
        await store.put({name: entry()})
        found = await asyncio.gather(*[store.get((name,)) for _ in range(10)])
        assert all(it.entries[0] for it in found)
        await store.close()

    for _ in range(3):
        asyncio.run(once())
    gc.collect()


# Leases, and streams told to others


def test_the_thread_of_the_leases_outlives_quiet_times(server, monkeypatch):
    monkeypatch.setattr(leases, "LEASE", 0.03)
    store, rounds = Redis(f"{server.url}?{LONG}"), SimpleQueue()
    renewals = store.leases._renewals

    def counted():
        rounds.put(None)
        return renewals()

    monkeypatch.setattr(store.leases, "_renewals", counted)
    assert run(store.leases.acquire(key()))
    store.leases._tokens.clear()
    for _ in range(3):
        rounds.get(timeout=10)  # it has nothing to renew
    assert store.leases._thread.is_alive()
    run(store.close())


def test_a_lease_whose_grant_was_lost_on_the_way_is_still_ours(url, monkeypatch):
    store, name = Redis(url), key()
    with monkeypatch.context() as patched:
        patched.setattr(leases.os, "urandom", bytes)
        # The client asks again when an answer is lost, with the same token.
        assert [run(store.leases.acquire(name)) for _ in range(2)] == [True, True]
    assert not run(store.leases.acquire(name))
    run(store.close())


def test_a_release_that_a_dead_server_did_not_hear_is_told_when_it_is_back(server):
    store, other, name = (Redis(f"{server.url}?{SHORT}") for _ in range(2)), None, key()
    store, other = store
    assert run(store.leases.acquire(name))
    assert not run(other.leases.acquire(name))
    server.pause()
    with store.leases._lock:
        sent = threading.Event()
        unsent = store.leases._unsent

        def once(jobs):
            left = unsent(jobs)
            if any(job.until for job in left):
                sent.set()
            return left

        store.leases._unsent = once
    store.leases.release(name, failed=False)
    assert sent.wait(10)
    server.resume()
    other.breaker.worked(other.breaker.failures)
    wait_until(lambda: run(other.leases.acquire(name)), "the lease is free", timeout=2.5)
    run(store.close())
    run(other.close())


@pytest.mark.parametrize(
    ("told", "heard"),
    [
        (["1h", "2p", "3p", "4e"], [b"2p", b"3p", "end"]),
        (["1h", "2p", "2p", "3p", "4e"], [b"2p", b"3p", "end"]),  # sent twice
        (["1h", "2p", "4p", "5e"], [b"2p"]),  # a piece was lost
        (["1h", "2p", "3x"], [b"2p"]),
    ],
)
def test_a_stream_that_others_follow_has_no_gap_and_no_echo(told, heard, url):
    store, name = Redis(url), key()
    stream = store._names.stream(name, b"token")
    head = msgspec.json.encode({"status": 200, "headers": []})
    for text in told:
        value = head if text[1] == "h" else text.encode()
        with contextlib.suppress(StoreError):  # the server refuses what it has already
            run(store._link.together([("XADD", stream, f"0-{text[0]}", text[1], value)]))
    feed = run(StreamFeed.open(store._link, stream, b"token", None))
    found = []
    with contextlib.suppress(UpstreamLost):
        for piece in feed.blocking():
            found.append(piece)  # noqa: PERF402 (it may break off)
        found.append("end")
    assert found == heard
    run(store.close())


def test_a_stream_whose_server_lost_its_beginning_cannot_be_followed(url):
    store, name = Redis(url), key()
    stream = store._names.stream(name, b"token")
    run(store._link.together([("XADD", stream, "0-5", "p", b"late")]))
    with pytest.raises(UpstreamLost):
        run(StreamFeed.open(store._link, stream, b"token", None))
    run(store.close())


# What somebody else wrote


@pytest.mark.parametrize("value", [b"", b"x", b"\xff" * 4, b"\x20\0\0\0short", b"\x05\0\0\0\xff"])
def test_a_value_that_nobody_of_us_wrote_is_absent(value, url):
    store, name, well = Redis(url), key(), key()
    name = well[:1] + name[1:]  # the same bucket of a cluster
    run(store.put({well: entry()}))
    run(store._link.together([("SET", store._names.entry(name), value)]))
    found = run(store.get((name, well))).entries
    assert found[0] is None
    assert found[1] is not None
    run(store.close())


def test_ten_thousand_keys_are_forgotten_at_once(url):
    store, names = Redis(url), [key() for _ in range(10_000)]
    run(store.put({name: entry() for name in names[::1000]}))
    assert run(store.forget(names)) == 10
    run(store.close())


@pytest.fixture(autouse=True)
def _heard(caplog):
    caplog.set_level(logging.WARNING)
