"""Crowds, cancellations, failures and sizes, all at once: nothing wrong is said, nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from askonce import Cache
from askonce.blocking import run
from askonce.colours import Workers
from askonce.errors import StoreError
from askonce.model import Entry
from askonce.plans import LARGEST_BODY
from askonce.session import Session
from askonce.stores.sqlite import SQLite
from askonce.testing.fake_script import Reply

QUESTIONS = 20
CHAT = "http://one.test/v1/chat/completions"


def asked(number):
    messages = [{"role": "user", "content": f"Why {number}, and why not?"}]
    return {"model": "gpt-4o", "temperature": 0, "messages": messages}


def right(number):
    return f"Answer to: Why {number}, and why not?"


def piece(chunk):
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


def moods(seed):
    """An upstream that fails half of the time, each time in another way."""
    chance, lock = random.Random(seed), threading.Lock()
    replies = (
        Reply(status=500),
        Reply(status=0),
        Reply(cut_after=2),
        Reply(pause=0.002),
        Reply(delay=0.01),
        *[None] * 5,
    )

    def script(_request):
        with lock:
            return chance.choice(replies)

    return script


def files():
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0


@contextlib.contextmanager
def nothing_is_left(cache, upstream):
    """What is open before is open after, and no more."""
    list(cache.entries())
    before = files(), threading.active_count()
    yield
    gc.collect()
    upstream.wait_until_idle()
    assert len(cache.session.engine.flights) == 0
    leases = getattr(cache.session.engine.store, "leases", None)
    assert leases is None or leases._file is None or not leases._file._held
    cache.close()
    gc.collect()
    with contextlib.suppress(TimeoutError):
        upstream.wait_until_idle()
    # Connections of the upstream end on threads of their own.
    for _ in range(200):
        if threading.active_count() <= before[1] and files() <= before[0]:
            break
        threading.Event().wait(0.01)
    assert threading.active_count() <= before[1]
    assert files() <= before[0]


class Crowd:
    """Callers that ask at random, read whole or not, and look at every word."""

    def __init__(self, cache, seed) -> None:
        self.cache = cache
        self.seed = seed
        self.answered = self.left = 0

    def blocking(self, client, caller):
        chance = random.Random(f"{self.seed} {caller}")
        for _ in range(12):
            number, refresh = chance.randrange(QUESTIONS), chance.random() < 0.15
            # What goes wrong upstream goes wrong here, and nothing else.
            with (
                contextlib.suppress(openai.APIError, httpx2.HTTPError),
                self.cache.using(refresh=refresh),
            ):
                if chance.random() < 0.4:
                    answer = client.chat.completions.create(**asked(number))
                    self._whole(number, answer.choices[0].message.content)
                else:
                    stream = client.chat.completions.create(stream=True, **asked(number))
                    self._read(chance, number, stream)

    def _read(self, chance, number, stream):
        stop = chance.randrange(1, 12) if chance.random() < 0.4 else None
        said = ""
        for place, chunk in enumerate(stream):
            said += piece(chunk)
            if place == stop:
                self._part(number, said)
                if chance.random() < 0.5:
                    stream.close()
                return
        self._whole(number, said)

    async def task(self, client, caller):
        chance = random.Random(f"{self.seed} {caller}")
        for _ in range(12):
            asking = asyncio.create_task(self._ask(client, chance, chance.randrange(QUESTIONS)))
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random() * 0.01)
                asking.cancel()
            with contextlib.suppress(openai.APIError, httpx2.HTTPError, asyncio.CancelledError):
                await asking

    async def _ask(self, client, chance, number):
        if chance.random() < 0.4:
            answer = await client.chat.completions.create(**asked(number))
            self._whole(number, answer.choices[0].message.content)
            return
        stop = chance.randrange(1, 12) if chance.random() < 0.4 else None
        place, said = 0, ""
        stream = await client.chat.completions.create(stream=True, **asked(number))
        async for chunk in stream:
            said += piece(chunk)
            if place == stop:
                self._part(number, said)
                if chance.random() < 0.5:
                    await stream.close()
                return
            place += 1
        self._whole(number, said)

    def _whole(self, number, said):
        assert said == right(number)
        self.answered += 1

    def _part(self, number, said):
        assert right(number).startswith(said)
        self.left += 1


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_crowd_of_threads_with_failures_leaves_nothing_wrong_and_nothing_behind(
    store, upstream, url
):
    upstream.script = moods(1)
    cache = Cache(url if store == "sqlite" else "memory://")
    crowd = Crowd(cache, 2)
    with nothing_is_left(cache, upstream):
        with (
            OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0) as made,
            ThreadPoolExecutor(60) as pool,
        ):
            client = cache.wrap(made)
            for done in [pool.submit(crowd.blocking, client, n) for n in range(60)]:
                done.result()
        del client, made, done
    assert crowd.answered > 200
    assert crowd.left > 20
    assert cache.stats().trouble == 0


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_crowd_of_tasks_with_cancellations_leaves_nothing_wrong_and_nothing_behind(
    store, upstream, url, caplog
):
    upstream.script = moods(3)
    cache = Cache(url if store == "sqlite" else "memory://")
    crowd = Crowd(cache, 4)

    async def main():
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0) as made:
            client = cache.wrap(made)
            await asyncio.gather(*(crowd.task(client, n) for n in range(60)))

    with nothing_is_left(cache, upstream):
        asyncio.run(main())
    assert crowd.answered > 200
    assert crowd.left > 20
    assert cache.stats().trouble == 0
    assert [it for it in caplog.records if it.levelno >= logging.WARNING] == []


class Pieces(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that comes in pieces of some bytes."""

    def __init__(self, body, size) -> None:
        self._pieces = [body[at : at + size] for at in range(0, len(body), size)]

    def __iter__(self):
        return iter(self._pieces)

    async def __aiter__(self):
        for it in self._pieces:
            yield it


def streamed(words):
    chunks = [
        b'data: {"choices":[{"index":0,"delta":{"content":"%s "},"finish_reason":null}]}\n\n' % word
        for word in words
    ]
    end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    return b"".join((*chunks, end))


def canned(body, size):
    headers = {"content-type": "text/event-stream"}
    return httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers=headers, stream=Pieces(body, size))
    )


@pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "async"])
@pytest.mark.parametrize(
    ("body", "size"),
    [
        pytest.param(streamed([b"word"] * 50), 1, id="byte by byte"),
        pytest.param(streamed([b"\xf0\x9f\x98\x80"] * 50), 3, id="cut within letters"),
        pytest.param(streamed([b"x" * 5_000_000]), 1000, id="one giant event"),
    ],
)
def test_an_upstream_that_dribbles_is_passed_on_and_kept_whole(body, size, is_async, cache):
    question = {**asked(1), "stream": True}

    async def tasks():
        transport = cache.transport(canned(body, size))
        async with httpx2.AsyncClient(transport=transport) as client:
            return [(await client.post(CHAT, json=question)).content for _ in range(2)]

    def threads():
        with httpx2.Client(transport=cache.transport(canned(body, size))) as client:
            return [client.post(CHAT, json=question).content for _ in range(2)]

    assert (asyncio.run(tasks()) if is_async else threads()) == [body, body]
    assert (cache.stats().miss, cache.stats().hit) == (1, 1)


@pytest.mark.parametrize(
    ("size", "kinds"), [(LARGEST_BODY, ["miss", "hit"]), (LARGEST_BODY + 1, ["bypass"] * 2)]
)
def test_the_largest_body_is_cached_and_a_larger_one_passed_on(size, kinds, cache):
    body = b'{"model":"gpt-4o","temperature":0,"messages":[{"role":"user","content":"%s"}]}'
    message = {"role": "assistant", "content": "fine"}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    inner = httpx2.MockTransport(lambda _: httpx2.Response(200, json=answer))
    with httpx2.Client(transport=cache.transport(inner)) as client, cache.recording() as calls:
        for _ in range(2):
            filled = body % (b"x" * (size - len(body) + 2))
            assert len(filled) == size
            assert client.post(CHAT, content=filled).json() == answer
    assert [call.kind for call in calls] == kinds


def test_a_stream_that_is_dropped_in_a_cycle_of_references_ends_quietly(cache, caplog):
    async def main():
        transport = cache.transport(canned(streamed([b"word"] * 9), 10_000))
        async with httpx2.AsyncClient(transport=transport) as client:
            request = client.build_request("POST", CHAT, json={**asked(1), "stream": True})
            response = await client.send(request, stream=True)
            pieces = aiter(response.stream)
            await anext(pieces)
            response.itself = response, pieces
            del request, response, pieces
            gc.collect()
            for _ in range(9):
                await asyncio.sleep(0)
            return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1
    assert caplog.records == []


SLOW = """WITH RECURSIVE number(it) AS
    (SELECT 1 UNION ALL SELECT it + 1 FROM number WHERE it < 20000) SELECT max(it) FROM number"""


def test_of_a_hundred_threads_one_writes_at_a_time_and_none_is_turned_away(tmp_path):
    store = SQLite(tmp_path / "answers.db")
    inside, most = [], []

    def work(database):
        inside.append(None)
        database.execute(SLOW).fetchone()
        most.append(len(inside))
        inside.pop()

    def write(writer):
        key = bytes((writer,)) * 20
        store._database.write(work)
        run(store.put({key: Entry(key * 100, created=1.0)}))

    with ThreadPoolExecutor(100) as pool:
        for done in [pool.submit(write, writer) for writer in range(100)]:
            done.result()
    assert set(most) == {1}
    assert len(run(store.scan(limit=2000))) == 100
    run(store.close())


def test_threads_that_wait_to_write_fail_together_when_the_file_is_locked(tmp_path):
    path = tmp_path / "answers.db"
    store, other = SQLite(path, busy=0.5), SQLite(path)
    run(store.put({bytes(20): Entry(b"", created=1.0)}))
    told = []

    def put(writer):
        with pytest.raises(StoreError) as failure:
            run(store.put({bytes((writer,)) * 20: Entry(b"", created=1.0)}))
        told.append(str(failure.value))

    def lock(database):
        database.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(50) as pool:
            for done in [pool.submit(put, writer) for writer in range(50)]:
                done.result()
        database.execute("ROLLBACK")

    other._database.do(lock)
    # One waits half a second; one after another they would wait half a minute.
    assert sum("locked" in it for it in told) < 5
    assert sum("just failed" in it for it in told) > 45
    run(store.put({bytes(20): Entry(b"", created=1.0)}))
    for it in (store, other):
        run(it.close())


def test_work_for_a_thread_that_is_cancelled_before_it_begins_ends_quietly():
    workers, free = Workers(), threading.Event()

    async def wait():
        free.wait(10)

    busy = [workers.start(wait()) for _ in range(Workers.MOST)]
    late = workers.start(wait())
    assert late.cancel()
    free.set()
    # More work after it, so that a thread has passed it over.
    for it in [*busy, *[workers.start(wait()) for _ in range(Workers.MOST)]]:
        it.result()
    del late
    gc.collect()


def test_whoever_sees_an_engine_sees_whose_it_is(monkeypatch):
    """Else a second thread, which holds no lock yet, would take the process for a forked one."""
    seen = []

    def watched(session, name, value):
        object.__setattr__(session, name, value)
        if name in ("_engine", "_pid") and hasattr(session, "_engine"):
            seen.append(session._engine is None or session._pid == os.getpid())

    monkeypatch.setattr(Session, "__setattr__", watched, raising=False)
    cache = Cache("memory://")
    assert cache.session.engine is cache.session.engine
    assert len(seen) > 1
    assert all(seen)
