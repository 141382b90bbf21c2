"""Shared streams: whole or an error, and whoever reads along neither waits in vain nor disturbs."""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from askonce import Cache, StoreError
from askonce.blocking import run
from askonce.colours import TASKS, THREADS
from askonce.stores.memory import Memory
from askonce.streams import LoopSource, Reader, ThreadSource
from askonce.tape import Tape
from askonce.testing.fake_script import Reply

QUESTION = {"model": "gpt-4o", "temperature": 0, "messages": [{"role": "user", "content": "Why?"}]}
USAGE = {"stream_options": {"include_usage": True}}


def text_of(stream):
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


@pytest.fixture
def blocking(upstream, cache, opened):
    client = opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0, timeout=60))
    return cache.wrap(client)


def wrapped(upstream, cache, **more):
    client = AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0, **more)
    return cache.wrap(client)


async def led(upstream, cache):
    """Begin a stream on this loop, and read a piece of it."""
    client = wrapped(upstream, cache)
    stream = await client.chat.completions.create(stream=True, **QUESTION)
    await anext(stream)
    return client, stream


# Whole, or an error


async def signalling(closed):
    """Tell when the loop that this was begun on closes its generators."""
    try:
        yield
    finally:
        closed.set()


def test_a_stream_whose_loop_ends_is_not_taken_for_a_whole_one(upstream, cache, blocking):
    """The loop has closed its generators, and waits for its threads; one of them reads along."""
    attached, closed, said = threading.Event(), threading.Event(), []

    def follow():
        stream = blocking.chat.completions.create(stream=True, **QUESTION)
        said.append(cache.last.kind)
        attached.set()
        assert closed.wait(20)
        with pytest.raises(openai.APIConnectionError):
            said.append(text_of(stream))

    async def main():
        left = await led(upstream, cache)
        signal = signalling(closed)
        await anext(signal)
        following = asyncio.get_running_loop().run_in_executor(None, follow)
        await asyncio.to_thread(attached.wait, 20)
        return left, signal, following

    with upstream.held(after_frames=4):
        left, _, following = asyncio.run(main())
    following.result()
    assert said == ["collapsed"]
    del left


def test_a_cached_generator_that_is_cut_by_the_end_of_its_loop_is_not_kept(cache):
    """Another loop reads along, in a thread that the leader's loop waits for."""
    attached, closed = threading.Event(), threading.Event()

    @cache
    async def words():
        for word in ("one", "two", "three", "four"):
            yield word

    async def follow():
        following = words()
        await anext(following)
        attached.set()
        assert await asyncio.to_thread(closed.wait, 20)
        with pytest.raises(ConnectionError):
            await anext(following)

    async def lead():
        left, signal = words(), signalling(closed)
        await anext(left)
        await anext(signal)
        following = asyncio.get_running_loop().run_in_executor(None, asyncio.run, follow())
        await asyncio.to_thread(attached.wait, 20)
        return left, signal, following

    left, _, following = asyncio.run(lead())
    following.result()

    async def again():
        return [word async for word in words()]

    with cache.recording() as calls:
        assert asyncio.run(again()) == ["one", "two", "three", "four"]
    assert [call.kind for call in calls] == ["miss"]
    del left


def test_a_source_that_was_closed_from_outside_is_lost_not_ended():
    async def pieces():
        yield b"data: 1\n\n"
        yield b"data: 2\n\n"

    async def settle(body):
        raise AssertionError(body)

    async def main():
        chunks, failed = pieces(), []
        source = LoopSource(chunks, chunks.aclose)
        tape = Tape(source, terminal=lambda _: False, settle=settle, abandon=failed.append)
        tape.attach()
        reader = Reader(tape, TASKS)
        assert await reader.next() == b"data: 1\n\n"
        await chunks.aclose()
        with pytest.raises(ConnectionError):
            await reader.next()
        return failed

    assert asyncio.run(main()) == [True]


def test_a_stream_whose_loop_is_closed_is_not_followed_and_frees_its_flight():
    async def pieces():
        yield b"data: 1\n\n"

    async def settle(body):
        raise AssertionError(body)

    failed = []

    async def main():
        chunks = pieces()
        source = LoopSource(chunks, chunks.aclose)
        tape = Tape(source, terminal=lambda _: False, settle=settle, abandon=failed.append)
        assert tape.attach()
        return tape

    tape = asyncio.run(main())
    assert not tape.attach()
    assert failed == [True]


def test_a_follower_who_had_nothing_yet_never_meets_the_leaders_failure(
    upstream, blocking, finishes
):
    upstream.script = lambda request: (
        Reply("one two", cut_after=0) if request.number == 1 else Reply("fine")
    )

    def both():
        leading = blocking.chat.completions.create(stream=True, **QUESTION)
        follower = blocking.chat.completions.create(stream=True, **QUESTION)
        with pytest.raises(openai.APIConnectionError):
            text_of(leading)
        return text_of(follower)

    assert finishes(both) == "fine"
    assert upstream.calls == 2


class Gated(Memory):
    """Keeps an answer when it is told to."""

    blocking = True

    def __init__(self) -> None:
        super().__init__()
        self.putting, self.go = threading.Event(), threading.Event()

    async def put(self, entries):
        self.putting.set()
        self.go.wait(20)
        await super().put(entries)


def test_what_came_before_a_cancellation_is_still_given_out(upstream, finishes, opened):
    """The loop ends while the answer is put; a thread that reads along gets all of it."""
    store = Gated()
    cache = Cache(store)
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", timeout=60)))
    attached = threading.Event()

    def follow():
        stream = client.chat.completions.create(stream=True, **QUESTION)
        attached.set()
        return text_of(stream)

    async def main():
        left = await led(upstream, cache)
        following = pool.submit(finishes, follow)
        await asyncio.to_thread(attached.wait, 20)
        hold.release()
        await asyncio.to_thread(store.putting.wait, 20)
        threading.Timer(0.2, store.go.set).start()  # the loop waits for its threads when it ends
        return left, following

    with upstream.held(after_frames=3) as hold, ThreadPoolExecutor(1) as pool:
        left, following = asyncio.run(main())
        assert following.result() == "Answer to: Why?"
    del left


def test_the_leader_meets_what_a_strict_store_raises(upstream, opened):
    class Full(Memory):
        async def put(self, entries):
            raise StoreError("full")

    cache = Cache(Full(), strict=True)
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)))
    with pytest.raises(StoreError, match="full"):
        list(client.chat.completions.create(stream=True, **QUESTION))
    assert len(cache.session.engine.flights) == 0


# Who pulls


def test_an_interrupt_meets_only_whoever_pulled():
    def chunks():
        yield b"data: 1\n\n"
        raise KeyboardInterrupt

    async def settle(body):
        raise AssertionError(body)

    failed = []
    source = ThreadSource(chunks(), lambda: None)
    tape = Tape(source, terminal=lambda _: False, settle=settle, abandon=failed.append)
    assert tape.attach()
    assert tape.attach()
    puller, other = Reader(tape, THREADS), Reader(tape, THREADS)
    assert run(puller.next())
    with pytest.raises(KeyboardInterrupt):
        run(puller.next())
    assert run(other.next())
    with pytest.raises(ConnectionError):
        run(other.next())
    assert failed == [True]


def test_a_follower_leaves_a_threads_stream_at_its_own_read_timeout(blocking, upstream):
    hurried = blocking.with_options(timeout=0.3)
    with upstream.held(after_frames=2) as hold:
        leader = blocking.chat.completions.create(stream=True, **QUESTION)
        next(leader)
        follower = hurried.chat.completions.create(stream=True, **QUESTION)
        next(follower)
        with pytest.raises(openai.APITimeoutError):
            list(follower)
        hold.release()
        assert text_of(leader)
    assert upstream.calls == 1


def test_a_whole_read_of_a_stream_that_drips_ends_with_its_own_patience(blocking, upstream):
    """Piece after piece comes in time, the whole does not: then it calls for itself."""
    dripping = threading.Event()

    def script(request):
        if request.number == 1:
            return Reply(" ".join("w" * 400), pause=0.05)
        dripping.set()
        return None

    upstream.script = script
    hurried = blocking.with_options(timeout=0.5)
    leader = blocking.chat.completions.create(stream=True, **USAGE, **QUESTION)
    next(leader)
    assert hurried.chat.completions.create(**QUESTION).choices
    assert dripping.is_set()
    leader.close()


def test_a_batch_has_one_patience_for_all_of_its_inputs(blocking, upstream, cache, finishes):
    words = [f"word {number}" for number in range(400)]
    hurried = blocking.with_options(timeout=0.2)

    def embed(client, words):
        return client.embeddings.create(model="text-embedding-3-small", input=words)

    with upstream.held() as hold, ThreadPoolExecutor(1) as pool:
        leader = pool.submit(embed, blocking, words)
        upstream.wait_for_calls(1)
        # With a patience for each of the 400 this would take 80 seconds.
        with pytest.raises(openai.APITimeoutError):
            finishes(lambda: embed(hurried, words))
        hold.release()
        leader.result()


def test_a_leader_without_a_timeout_waits_as_long_as_its_upstream(
    upstream, cache, blocking, monkeypatch
):
    """A follower pulls, for longer than the patience of those who say nothing of theirs."""
    monkeypatch.setattr("askonce.surfaces.exchange.PATIENCE", 0.05)

    async def main():
        client = wrapped(upstream, cache, timeout=None)
        stream = await client.chat.completions.create(stream=True, **QUESTION)
        reading = asyncio.ensure_future(_said(stream))
        await asyncio.sleep(0.3)
        hold.release()
        said = await reading
        await client.close()
        return said

    with upstream.held(after_frames=2) as hold:
        assert asyncio.run(main()) == "Answer to: Why?"


async def _said(stream):
    return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])


# Generators of the program's own

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


async def _with_a_variable(number):
    token = variable.set(number)
    try:
        yield 1
        yield variable.get()
    finally:
        variable.reset(token)


async def _with_a_task_group(number):
    async with anyio.create_task_group():
        yield 1
        yield number


async def _with_a_timeout(number):
    async with asyncio.timeout(20):
        yield 1
        yield number


@pytest.mark.parametrize("function", [_with_a_variable, _with_a_task_group, _with_a_timeout])
def test_a_cached_async_generator_runs_in_one_task_and_context(cache, function):
    cached = cache(function)

    async def read():
        return [item async for item in cached(7)]

    with cache.recording() as calls:
        assert asyncio.run(read()) == asyncio.run(read()) == [1, 7]
    assert [call.kind for call in calls] == ["miss", "hit"]


def test_an_async_generator_that_is_left_is_closed_when_its_caller_goes_on(cache):
    closed = []

    async def items(number: int) -> AsyncIterator[int]:
        token = variable.set(number)
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            variable.reset(token)
            closed.append(number)

    cached = cache(items)

    async def read():
        leaving = cached(1)
        await anext(leaving)
        await leaving.aclose()
        return list(closed)

    assert asyncio.run(read()) == [1]


def test_a_time_out_inside_a_cached_async_generator_fires(cache):
    @cache
    async def slow():
        async with asyncio.timeout(0.05):
            yield 1
            await asyncio.sleep(60)

    async def read():
        return [item async for item in slow()]

    with pytest.raises(TimeoutError):
        asyncio.run(read())


def test_an_async_generator_that_asks_for_itself_does_not_wait_for_itself(cache, finishes):
    calls = []

    async def nested() -> AsyncIterator[int]:
        calls.append(1)
        if len(calls) < 2:
            async for item in cached():
                yield item
        yield 1

    cached = cache(nested)

    async def read():
        return [item async for item in cached()]

    assert finishes(lambda: asyncio.run(read())) == [1, 1]


def test_a_generator_that_asks_for_itself_does_not_wait_for_itself(cache, finishes):
    calls = []

    def nested() -> Iterator[int]:
        calls.append(1)
        if len(calls) < 2:
            yield 0
            yield from cached()
        yield 1

    cached = cache(nested)
    assert finishes(lambda: list(cached())) == [0, 1, 1]


def test_a_generator_is_pulled_by_its_own_thread_only(cache, finishes):
    """SQLite's connections are of use in the thread that made them, and nowhere else."""
    calls, begun = [], threading.Event()

    def rows() -> Iterator[int]:
        calls.append(1)
        database = sqlite3.connect(":memory:")
        for number in range(3):
            yield database.execute("SELECT ?", (number,)).fetchone()[0]
        database.close()

    cached = cache(rows)

    def follow():
        begun.set()
        return list(cached())

    leading = cached()
    assert next(leading) == 0
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(finishes, follow)
        assert begun.wait(20)
        assert list(leading) == [1, 2]
        assert following.result() == [0, 1, 2]
    assert calls == [1]
