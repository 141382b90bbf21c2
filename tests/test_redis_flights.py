"""Flights among machines: one upstream call, followers woken at once, streams followed live."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from askonce import Cache
from askonce.blocking import run
from askonce.redis.store import Redis
from askonce.testing.fake_script import Reply
from askonce.testing.servers import Server

QUESTION = {"model": "gpt-4o", "temperature": 0, "messages": [{"role": "user", "content": "Why?"}]}

PROCESS = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from openai import OpenAI
from askonce import Cache

base, url, count, call = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
with Cache(url) as cache:
    client = cache.wrap(OpenAI(base_url=base + "/v1", api_key="k", max_retries=0))

    def ask(_):
        answer = client.chat.completions.create(**call)
        if not call.get("stream"):
            return answer.id
        for chunk in answer:
            print("chunk", flush=True)
            last = chunk.id
        return last

    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(count) as pool:
        print(json.dumps(list(pool.map(ask, range(count)))), flush=True)
"""


class Process:
    """Another machine's program, which calls when it is told."""

    def __init__(self, upstream, url, threads=1, **more) -> None:
        call = json.dumps({**QUESTION, **more})
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, upstream.url, url, str(threads), call],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "ready"

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def line(self):
        return self.process.stdout.readline().strip()

    def ids(self):
        with self.process:
            while (line := self.line()) == "chunk":
                pass
            return json.loads(line)

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        with self.process:
            self.process.wait()


@pytest.fixture(params=["valkey", "redis_cluster"])
def url(request):
    """A store of this test's own. The time-outs are for a machine that runs all of it."""
    server = request.getfixturevalue(request.param)
    return f"{server.url}?namespace={uuid.uuid4().hex}&timeout=5&connect_timeout=5"


@pytest.fixture
def client_of(upstream):
    """Make a client of a cache of its own: another machine, as far as anybody can tell."""
    made = []

    def make(url):
        cache = Cache(url)
        client = cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0))
        made.append((cache, client))
        return client

    yield make
    for cache, client in made:
        client.close()
        cache.close()


def test_eight_processes_of_125_threads_make_one_call(upstream, url):
    crowd = [Process(upstream, url, 125) for _ in range(8)]
    with upstream.held() as hold:
        for process in crowd:
            process.go()
        upstream.wait_for_calls(1)
        hold.release()
        ids = {made for process in crowd for made in process.ids()}
    assert len(ids) == 1
    assert upstream.calls == 1


def test_another_machine_finds_what_was_kept(upstream, url, client_of):
    one, two = client_of(url), client_of(url)
    first = one.chat.completions.create(**QUESTION)
    assert two.chat.completions.create(**QUESTION) == first
    assert upstream.calls == 1


def test_after_a_leader_is_killed_one_of_those_who_wait_leads(upstream, url):
    leader, *others = [Process(upstream, url) for _ in range(4)]
    with upstream.held() as hold:
        leader.go()
        upstream.wait_for_calls(1)
        for process in others:
            process.go()
        leader.kill()
        upstream.wait_for_calls(2)
        hold.release()
        ids = {made for process in others for made in process.ids()}
    assert len(ids) == 1
    assert upstream.calls == 2


def test_a_failing_leader_lets_all_go_at_once(upstream, url, client_of):
    replies = iter([Reply(status=500), Reply(text="fine")])
    upstream.script = lambda _: next(replies)
    leader, follower = client_of(url), Process(upstream, url)
    with upstream.held() as hold, ThreadPoolExecutor(1) as pool:
        failing = pool.submit(leader.chat.completions.create, **QUESTION)
        upstream.wait_for_calls(1)
        follower.go()
        hold.release()
        with pytest.raises(openai.InternalServerError):
            failing.result()
    assert len(follower.ids()) == 1
    assert upstream.calls == 2


def test_every_follower_has_its_first_token_before_the_leaders_stream_ends(upstream, url):
    leader, *followers = [Process(upstream, url, stream=True) for _ in range(4)]
    with upstream.held(after_frames=2) as hold:
        leader.go()
        assert leader.line() == "chunk"
        for process in followers:
            process.go()
        for process in followers:
            assert process.line() == "chunk"  # the upstream has not sent the rest yet
        hold.release()
    ids = {made for process in (leader, *followers) for made in process.ids()}
    assert len(ids) == 1
    assert upstream.calls == 1


def test_a_follower_in_the_middle_of_a_stream_gets_the_connection_error(upstream, url, client_of):
    leader, follower = Process(upstream, url, stream=True), client_of(url)
    with upstream.held(after_frames=2):
        leader.go()
        assert leader.line() == "chunk"
        stream = follower.chat.completions.create(stream=True, **QUESTION)
        assert next(stream)
        leader.kill()
        with pytest.raises(openai.APIConnectionError):
            list(stream)
    assert upstream.calls == 1


def test_a_whole_read_waits_for_the_stream_of_another_machine(upstream, url, client_of):
    follower, usage = client_of(url), {"stream_options": {"include_usage": True}}
    leader = Process(upstream, url, stream=True, **usage)
    with upstream.held(after_frames=2) as hold, ThreadPoolExecutor(1) as pool:
        leader.go()
        assert leader.line() == "chunk"
        whole = pool.submit(follower.chat.completions.create, **QUESTION)
        hold.release()
        assert [whole.result().id] == leader.ids()
    assert upstream.calls == 1


@pytest.mark.parametrize("more", [{}, {"stream": True}], ids=["whole", "streamed"])
def test_two_caches_of_one_thread_do_not_wait_for_each_other(
    more, upstream, url, client_of, finishes
):
    def both():
        one, two = client_of(url), client_of(url)
        stream = one.chat.completions.create(stream=True, **QUESTION)
        first = next(stream)
        second = two.chat.completions.create(**more, **QUESTION)
        return {first.id}, {chunk.id for chunk in second} if more else {second.id}

    first, second = finishes(both)
    assert first.isdisjoint(second)
    assert upstream.calls == 2


def test_a_lease_knows_the_thread_of_this_process_that_took_it(url):
    one, two = Redis(url), Redis(url)
    key = bytes(20)
    assert run(one.leases.acquire(key))
    assert not run(two.leases.acquire(key))
    assert two.leases.holder(key) == threading.get_ident()
    one.leases.release(key, failed=False)
    assert two.leases.holder(key) is None
    for store in (one, two):
        run(store.close())


def test_a_caller_that_asks_for_usage_does_not_follow_a_machine_that_did_not(
    upstream, url, client_of
):
    leader = client_of(url)
    asked = {"stream": True, "stream_options": {"include_usage": True}, **QUESTION}
    with (
        Cache(url) as cache,
        cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")) as follower,
        upstream.held(after_frames=2) as hold,
        ThreadPoolExecutor(1) as pool,
    ):
        leading = leader.chat.completions.create(stream=True, **QUESTION)
        next(leading)
        stream = pool.submit(lambda: list(follower.chat.completions.create(**asked)))
        gate = threading.Event()
        while not any(flight.tape for flight in cache.session.engine.flights):
            gate.wait(0.01)
        hold.release()
        assert not any(chunk.usage for chunk in leading)
        assert [chunk.usage.total_tokens > 0 for chunk in stream.result() if chunk.usage] == [True]
    assert upstream.calls == 2


def test_a_follower_on_another_machine_does_not_see_the_labels_of_its_leader(
    upstream, url, client_of
):
    leader, follower = client_of(url), client_of(url)
    asked = {"model": "gpt-4o", "temperature": 0, "input": "Why?", "stream": True}
    with upstream.held(after_frames=2) as hold, ThreadPoolExecutor(1) as pool:
        leading = leader.responses.create(user="alice", **asked)
        assert next(leading).response.user == "alice"
        # From another thread: nobody waits for a stream that its own thread holds.
        following = pool.submit(follower.responses.create, user="bob", **asked).result()
        begun = pool.submit(next, following).result()
        hold.release()
        assert list(leading)[-1].response.user == "alice"
        assert {begun.response.user, list(following)[-1].response.user} == {"bob"}
    assert upstream.calls == 1


@pytest.fixture
def machines(upstream, url):
    """Two machines' caches, each with a client."""
    with Cache(url) as one, Cache(url) as other:
        yield [
            (cache, cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)))
            for cache in (one, other)
        ]


def streamed(cache, client, tags):
    with cache.using(tags=tags):
        return client.chat.completions.create(stream=True, **QUESTION)


def begun(*asked):
    """Return the first chunk of a stream, and the stream."""
    stream = streamed(*asked)
    return next(stream), stream


def ids_of(*asked):
    return {chunk.id for chunk in streamed(*asked)}


@pytest.mark.parametrize(
    ("led", "followed"),
    [(["doc:1"], ["doc:1"]), (["doc:1", "doc:2"], ["doc:2"]), (["doc:1"], [])],
    ids=["same", "fewer", "none"],
)
def test_a_stream_with_tags_is_followed_by_another_machine(upstream, machines, led, followed):
    leader, follower = machines
    with upstream.held(after_frames=2) as hold, ThreadPoolExecutor(1) as pool:
        leading = streamed(*leader, led)
        first = next(leading)
        following = pool.submit(streamed, *follower, followed).result()
        assert pool.submit(next, following).result().id == first.id
        hold.release()
        assert {chunk.id for chunk in [*leading, *following]} == {first.id}
    assert upstream.calls == 1


def test_who_knows_of_an_invalidation_does_not_follow_a_stream_that_began_before(
    upstream, machines
):
    leader, follower = machines
    with upstream.held(after_frames=2) as hold, ThreadPoolExecutor(3) as pool:
        leading = streamed(*leader, ["doc:1"])
        first = next(leading)
        follower[0].invalidate(tag="doc:1")
        later = [pool.submit(begun, *follower, ["doc:1"]) for _ in range(3)]
        # All three are on their way before anything is kept.
        streams = [begin.result() for begin in later]
        hold.release()
        assert {chunk.id for chunk in leading} == {first.id}
        rests = pool.map(list, [stream for _, stream in streams])
        made = {chunk.id for chunk in chain([one for one, _ in streams], *rests)}
    assert len(made) == 1
    assert made != {first.id}
    assert upstream.calls == 2
    # Whichever was kept last.
    assert ids_of(*leader, ["doc:1"]) != {first.id}


def test_a_stream_without_a_tag_is_not_followed_by_who_asks_for_it(upstream, machines):
    leader, follower = machines
    with upstream.held(after_frames=2) as hold, ThreadPoolExecutor(1) as pool:
        leading = streamed(*leader, [])
        first = next(leading)
        later = pool.submit(ids_of, *follower, ["doc:1"])
        upstream.wait_for_calls(2)
        hold.release()
        assert {chunk.id for chunk in leading} == {first.id}
        assert later.result() != {first.id}
    assert upstream.calls == 2


def test_tasks_follow_the_stream_of_another_machine(upstream, url):
    async def main():
        cache = Cache(url)
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k") as made:
            client = cache.wrap(made)
            streams = [
                await client.chat.completions.create(stream=True, **QUESTION) for _ in range(3)
            ]
            first = [await anext(stream) for stream in streams]
            hold.release()
            ids = {chunk.id for stream in streams async for chunk in stream}
        await cache.aclose()
        return first, ids

    leader = Process(upstream, url, stream=True)
    with upstream.held(after_frames=2) as hold:
        leader.go()
        assert leader.line() == "chunk"
        first, ids = asyncio.run(main())
    assert len(first) == 3
    assert ids == set(leader.ids())
    assert upstream.calls == 1


def test_a_follower_goes_on_when_the_server_is_gone_before_it_had_anything(
    upstream, engine, client_of
):
    with Server(engine("valkey9")) as server:
        url = f"{server.url}?timeout=5&connect_timeout=5"
        leader, follower = client_of(url), client_of(url)
        with upstream.held() as hold, ThreadPoolExecutor(2) as pool:
            leading = pool.submit(leader.chat.completions.create, **QUESTION)
            upstream.wait_for_calls(1)
            following = pool.submit(follower.chat.completions.create, **QUESTION)
            server.kill()
            upstream.wait_for_calls(2)
            hold.release()
            assert leading.result().choices
            assert following.result().choices
