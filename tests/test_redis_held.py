"""Connections that are held: each answer goes to the one who asked, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from askonce.blocking import run
from askonce.model import Entry
from askonce.redis.held import LANES, LoopConnections, ThreadConnections, packed
from askonce.redis.store import Redis
from askonce.stores.contract import Found
from askonce.testing.servers import Server


@pytest.fixture
def names(valkey):
    """Keys of this test's own, each of which holds its own name."""
    made = [f"{uuid.uuid4().hex}:{number}" for number in range(300)]
    for name in made:
        valkey.command("SET", name, name)
    return made


@pytest.fixture
def pool(valkey):
    made = redis.ConnectionPool.from_url(valkey.url, socket_timeout=5)
    yield made
    made.close()


def opened(server):
    """Count the connections that clients have, but for the one that counts."""
    lines = server.command("CLIENT", "LIST", "TYPE", "NORMAL").splitlines()
    return sum(b"laddr=127.0.0.1" in line for line in lines)


@pytest.mark.parametrize("words", [("GET", "döc"), ("SET", b"\r\n\x00", "", 5, 1.5), ("PING",)])
def test_commands_are_written_as_redis_py_writes_them(words):
    connection = redis.Connection()
    assert packed([words, words]) == 2 * b"".join(connection.pack_command(*words))


def test_a_hit_is_read_without_a_script_and_never_against_the_versions_of_its_tags(engine):
    with Server(engine("valkey9")) as server:
        store, key = Redis(f"{server.url}?timeout=5&connect_timeout=5"), bytes(20)

        def get(*tags):
            return run(store.get((key,), tags))

        def scripts():
            return server.facts("INFO", "commandstats").get("cmdstat_evalsha")

        versions = get("one", "two").versions
        one = Entry(b"kept", 1.0, tags={"one": versions["one"]})
        run(store.put({key: one}))
        before = scripts()
        assert get("one", "two") == Found((one,), versions)
        assert get("two", "one").entries == (one,)
        assert scripts() == before
        # Tags that were not asked for are compared inside the server.
        assert get().entries == get("two").entries == (one,)
        assert scripts() != before
        run(store.invalidate("one"))
        assert get().entries == get("two").entries == get("one").entries == (None,)
        run(store.close())


def test_an_entry_with_tags_that_are_not_asked_for_is_one_round_trip_from_its_second_hit_on(engine):
    with Server(engine("valkey9")) as server:
        store, key = Redis(f"{server.url}?timeout=5&connect_timeout=5"), bytes(20)
        kept = Entry(b"kept", 1.0, tags=run(store.get((), ["one"])).versions)
        run(store.put({key: kept}))

        def gets():
            count = server.facts("INFO", "commandstats").get("cmdstat_get", "calls=0,")
            return int(count.partition("=")[2].partition(",")[0])

        assert run(store.get((key,))).entries == (kept,)
        before = gets()
        assert run(store.get((key,))).entries == (kept,)
        assert gets() == before + 1
        run(store.invalidate("one"))
        assert run(store.get((key,))).entries == (None,)
        run(store.close())


# Threads


def test_each_thread_gets_the_answers_to_what_it_asked(pool, names):
    held = ThreadConnections(pool)

    def ask(first):
        some = names[first : first + 3]
        return some == [name.decode() for name in held.ask([("GET", name) for name in some])]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(290)))


def test_an_error_of_one_command_is_among_the_answers(pool, names):
    held = ThreadConnections(pool)
    answers = held.ask([("GET", names[0]), ("HGET", names[0], "field"), ("GET", names[1])])
    assert answers[::2] == [name.encode() for name in names[:2]]
    assert isinstance(answers[1], ResponseError)


def test_an_interrupt_between_two_answers_leaves_none_for_the_next_one(pool, names, monkeypatch):
    held, read = ThreadConnections(pool), redis.Connection.read_response

    def interrupted(connection, *given, **named):
        monkeypatch.undo()
        read(connection, *given, **named)
        raise KeyboardInterrupt

    held.ask([("PING",)])
    monkeypatch.setattr(redis.Connection, "read_response", interrupted)
    with pytest.raises(KeyboardInterrupt):
        held.ask([("GET", names[0]), ("GET", names[1])])
    assert held.ask([("GET", names[2])]) == [names[2].encode()]


def test_a_server_that_was_restarted_is_found_again_at_once(engine):
    with Server(engine("valkey9")) as server:
        once_more = Retry(NoBackoff(), 1)
        pool = redis.ConnectionPool.from_url(server.url, socket_timeout=5, retry=once_more)
        held = ThreadConnections(pool)
        held.ask([("SET", "name", "before")])
        server.restart()
        assert held.ask([("GET", "name")]) == [None]
        pool.close()


# Tasks


def with_loop(url, use):
    async def main():
        pool = redis.asyncio.ConnectionPool.from_url(url, socket_timeout=5)
        try:
            return await use(LoopConnections(pool))
        finally:
            await pool.disconnect()

    return asyncio.run(main())


async def get(held, name):
    return await held.ask([("GET", name)]) == [name.encode()]


def test_each_task_gets_the_answer_to_what_it_asked_over_a_few_connections(valkey, names):
    before = opened(valkey)

    async def use(held):
        answers = await asyncio.gather(*[get(held, name) for name in names])
        return answers, opened(valkey) - before

    answers, more = with_loop(valkey.url, use)
    assert all(answers)
    assert more == LANES


def test_a_task_that_is_cancelled_takes_nobody_along(valkey, names):
    async def use(held):
        for turns in range(20):
            tasks = [asyncio.create_task(get(held, name)) for name in names[:60]]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks[::7]:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(answer is True for answer in answers[1::7])
            # What was answered in time may be kept.
            assert {True, False} >= {it for it in answers if not isinstance(it, BaseException)}
            assert False not in answers
        return True

    assert with_loop(valkey.url, use)


def test_an_error_that_one_task_gets_is_its_own(valkey, names):
    async def use(held):
        wrong = [held.ask([("HGET", name, "field")]) for name in names[:50]]
        right = [get(held, name) for name in names[50:100]]
        mixed = [it for pair in zip(wrong, right, strict=True) for it in pair]
        return await asyncio.gather(*mixed)

    answers = with_loop(valkey.url, use)
    assert all(isinstance(answer, ResponseError) for [answer] in answers[::2])
    assert all(answers[1::2])


def test_a_server_that_dies_fails_all_who_wait_and_is_found_again(engine):
    with Server(engine("valkey9")) as server:

        async def use(held):
            await held.ask([("SET", "name", "name")])
            server.kill()
            failed = await asyncio.gather(
                *[get(held, "name") for _ in range(50)], return_exceptions=True
            )
            server.start()
            await held.ask([("SET", "name", "name")])
            return failed, await asyncio.gather(*[get(held, "name") for _ in range(50)])

        failed, answers = with_loop(server.url, use)
    assert all(isinstance(error, RedisError) for error in failed)
    assert answers == [True] * 50


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_who_serves_the_others_and_is_cancelled_takes_no_connection_along(valkey, names, steps):
    async def use(held):
        asked = [asyncio.create_task(get(held, name)) for name in names[:40]]
        for _ in range(10_000):
            if held._serving:
                break
            await asyncio.sleep(0)
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in list(held._serving):
            task.cancel()
        async with asyncio.timeout(10):
            ends = await asyncio.gather(*asked, return_exceptions=True)
            again = await asyncio.gather(*(get(held, name) for name in names[:40]))
        return ends, again

    ends, again = with_loop(valkey.url, use)
    assert all(end is True or isinstance(end, RedisError) for end in ends)
    assert all(again)
