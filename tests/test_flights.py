"""Flights: one upstream call for everybody who asks the same at once, and nobody waits in vain."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from askonce import Cache, Models
from askonce.blocking import run
from askonce.flights import Flights, State
from askonce.stores.leases import Looks
from askonce.stores.memory import Memory
from askonce.testing.fake_script import Reply

QUESTION = {"model": "gpt-4o", "temperature": 0, "messages": [{"role": "user", "content": "Why?"}]}
CROWD = 1000


def text_of(stream):
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


@pytest.fixture
def client(upstream, cache, opened):
    return cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)))


def waiting(cache, count, *, timeout=20.0):
    """Wait until this many callers follow the one flight in the air."""
    gate = threading.Event()
    deadline = timeout / 0.01
    while deadline > 0:
        flights = list(cache.session.engine.flights)
        if flights and len(flights[0].bell._listeners) >= count:
            return
        gate.wait(0.01)
        deadline -= 1
    raise AssertionError("the followers did not come")


def test_a_thousand_threads_make_one_call(client, upstream, cache):
    with upstream.held() as hold, ThreadPoolExecutor(CROWD) as pool:
        calls = [pool.submit(client.chat.completions.create, **QUESTION) for _ in range(CROWD)]
        waiting(cache, CROWD - 1)
        hold.release()
        answers = [call.result() for call in calls]
    assert upstream.calls == 1
    assert len({answer.id for answer in answers}) == 1
    stats = cache.stats()
    assert (stats.miss, stats.collapsed) == (1, CROWD - 1)


def test_a_thousand_tasks_make_one_call(upstream, cache):
    async def main():
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k") as made:
            client = cache.wrap(made)
            with upstream.held() as hold:
                calls = [
                    asyncio.ensure_future(client.chat.completions.create(**QUESTION))
                    for _ in range(CROWD)
                ]
                await asyncio.to_thread(waiting, cache, CROWD - 1)
                hold.release()
            return await asyncio.gather(*calls)

    answers = asyncio.run(main())
    assert upstream.calls == 1
    assert len({answer.id for answer in answers}) == 1


PROCESS = """
import json, sys, threading
from concurrent.futures import ThreadPoolExecutor
from openai import OpenAI
from askonce import Cache, Models

base, url, count, call = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
client = Cache(url).wrap(OpenAI(base_url=base + "/v1", api_key="k", max_retries=0))
client.chat.completions
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(count) as pool:
    calls = [pool.submit(client.chat.completions.create, **call) for _ in range(count)]
    print(json.dumps([made.result().id for made in calls]), flush=True)
"""


def processes(upstream, url, number, threads):
    return [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, upstream.url, url, str(threads), json.dumps(QUESTION)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(number)
    ]


def finish(process):
    with process:
        return json.loads(process.stdout.readline())


def test_eight_processes_make_one_call(upstream, url):
    crowd = processes(upstream, url, 8, 125)
    for process in crowd:
        assert process.stdout.readline() == "ready\n"
    with upstream.held() as hold:
        for process in crowd:
            process.stdin.write("go\n")
            process.stdin.flush()
        upstream.wait_for_calls(1)
        hold.release()
        ids = {made for process in crowd for made in finish(process)}
    assert len(ids) == 1
    assert upstream.calls == 1


def test_a_leader_killed_with_9_frees_its_flight_at_once(upstream, url):
    leader, follower = processes(upstream, url, 2, 1)
    for process in (leader, follower):
        assert process.stdout.readline() == "ready\n"
    with upstream.held() as hold:
        leader.stdin.write("go\n")
        leader.stdin.flush()
        upstream.wait_for_calls(1)
        follower.stdin.write("go\n")
        follower.stdin.flush()
        os.kill(leader.pid, signal.SIGKILL)
        with leader:
            leader.wait()
        upstream.wait_for_calls(2)
        hold.release()
        assert len(finish(follower)) == 1
    assert upstream.calls == 2


def test_a_failing_leader_hands_its_error_to_nobody_and_lets_all_go_at_once(
    client, upstream, cache
):
    failing, answering = threading.Event(), threading.Event()

    def script(request):
        if request.number == 1:
            failing.wait(20)
            return Reply(status=500, error="the leader's own trouble")
        answering.wait(20)
        return None

    upstream.script = script
    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(client.chat.completions.create, **QUESTION) for _ in range(50)]
        waiting(cache, 49)
        failing.set()
        upstream.wait_for_calls(50)
        answering.set()
        failed = [call.exception() for call in calls if call.exception() is not None]
    assert len(failed) == 1
    assert isinstance(failed[0], openai.InternalServerError)


def test_a_cancelled_leader_frees_its_flight_and_one_of_the_others_leads(upstream, cache):
    async def main():
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0) as made:
            client = cache.wrap(made)
            with upstream.held() as hold:
                leader = asyncio.create_task(client.chat.completions.create(**QUESTION))
                await asyncio.to_thread(upstream.wait_for_calls, 1)
                others = [
                    asyncio.create_task(client.chat.completions.create(**QUESTION))
                    for _ in range(20)
                ]
                await asyncio.to_thread(waiting, cache, 20)
                leader.cancel()
                await asyncio.to_thread(upstream.wait_for_calls, 2)
                await asyncio.to_thread(waiting, cache, 19)
                hold.release()
            with pytest.raises(asyncio.CancelledError):
                await leader
            return await asyncio.gather(*others)

    answers = asyncio.run(main())
    assert len({answer.id for answer in answers}) == 1
    assert upstream.calls == 2


def test_a_follower_leaves_at_its_own_read_timeout_and_calls_itself(upstream, cache, opened):
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)))
    hurried = client.with_options(timeout=0.2)
    first = threading.Event()

    def script(request):
        if request.number == 1:
            first.wait(20)

    upstream.script = script
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.chat.completions.create, **QUESTION)
        upstream.wait_for_calls(1)
        assert hurried.chat.completions.create(**QUESTION).id.endswith("2")
        first.set()
        slow.result()


def test_a_follower_of_a_stream_gets_the_frames_so_far_and_then_live_ones(client, upstream, cache):
    with upstream.held(after_frames=3) as hold, ThreadPoolExecutor(1) as pool:
        leader = client.chat.completions.create(stream=True, **QUESTION)
        first = [next(leader), next(leader)]
        follower = client.chat.completions.create(stream=True, **QUESTION)
        assert cache.last.kind == "collapsed"
        assert [next(follower), next(follower)] == first
        rest = pool.submit(list, follower)
        hold.release()
        assert [*first, *rest.result()] == [*first, *leader]
    assert upstream.calls == 1


def test_two_streams_on_one_thread_never_wait_for_each_other(client, upstream):
    one = client.chat.completions.create(stream=True, **QUESTION)
    two = client.chat.completions.create(stream=True, **QUESTION)
    next(one)
    assert text_of(two)
    assert text_of(one)
    assert upstream.calls == 1


def test_a_whole_read_on_the_thread_that_holds_the_stream_does_not_wait(client, upstream):
    stream = client.chat.completions.create(
        stream=True, stream_options={"include_usage": True}, **QUESTION
    )
    next(stream)
    whole = client.chat.completions.create(**QUESTION)
    assert whole.choices[0].message.content.endswith(text_of(stream))
    assert whole.usage.total_tokens
    assert upstream.calls == 1


def test_a_blocking_call_on_the_loop_that_holds_a_stream_calls_upstream(upstream, cache, opened):
    blocking = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")))

    async def main():
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k") as made:
            client = cache.wrap(made)
            stream = await client.chat.completions.create(stream=True, **QUESTION)
            await anext(stream)
            said = text_of(blocking.chat.completions.create(stream=True, **QUESTION))
            rest = [chunk async for chunk in stream]
            return said, rest

    said, rest = asyncio.run(main())
    assert said
    assert rest
    assert upstream.calls == 2


def test_threads_follow_a_stream_that_a_loop_leads_and_tasks_one_that_a_thread_leads(
    upstream, cache, opened
):
    blocking = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")))

    async def main():
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k") as made:
            client = cache.wrap(made)
            stream = await client.chat.completions.create(stream=True, **QUESTION)
            follower = await asyncio.to_thread(
                lambda: text_of(blocking.chat.completions.create(stream=True, **QUESTION))
            )
            led = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
            other = {**QUESTION, "seed": 1}
            leading = blocking.chat.completions.create(stream=True, **other)
            follows = await client.chat.completions.create(stream=True, **other)
            said = "".join([c.choices[0].delta.content or "" async for c in follows if c.choices])
            return follower, led, said, text_of(leading)

    follower, led, said, leading = asyncio.run(main())
    assert follower == led
    assert said == leading
    assert upstream.calls == 2


def test_the_upstream_goes_on_while_one_reader_is_left_and_closes_with_the_last(client, upstream):
    with upstream.held(after_frames=2) as hold:
        leader = client.chat.completions.create(stream=True, **QUESTION)
        next(leader)
        follower = client.chat.completions.create(stream=True, **QUESTION)
        leader.close()
        hold.release()
        assert text_of(follower)
    assert text_of(client.chat.completions.create(stream=True, **QUESTION))
    assert upstream.calls == 1


def test_a_cancelled_task_takes_nothing_from_those_who_read_along(upstream, cache):
    async def main():
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k") as made:
            client = cache.wrap(made)

            async def read(stream):
                return [chunk async for chunk in stream]

            with upstream.held(after_frames=2) as hold:
                leading = await client.chat.completions.create(stream=True, **QUESTION)
                await anext(leading)
                follows = await client.chat.completions.create(stream=True, **QUESTION)
                task = asyncio.create_task(read(leading))
                other = asyncio.create_task(read(follows))
                await asyncio.sleep(0)
                await asyncio.to_thread(upstream.wait_for_calls, 1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                hold.release()
                return await other

    assert len(asyncio.run(main())) > 2
    assert upstream.calls == 1


def test_a_follower_of_a_lost_stream_gets_the_connection_error(client, upstream):
    upstream.script = lambda request: Reply("one two three four five six", cut_after=3)
    with upstream.held(after_frames=2) as hold:
        leader = client.chat.completions.create(stream=True, **QUESTION)
        next(leader)
        follower = client.chat.completions.create(stream=True, **QUESTION)
        next(follower)
        hold.release()
        with pytest.raises(openai.APIConnectionError):
            list(leader)
        with pytest.raises(openai.APIConnectionError):
            list(follower)
    assert upstream.calls == 1


def test_a_collected_stream_frees_its_flight(client, upstream, cache):
    stream = client.chat.completions.create(stream=True, **QUESTION)
    next(stream)
    assert len(cache.session.engine.flights) == 1
    del stream
    gc.collect()
    assert len(cache.session.engine.flights) == 0
    assert text_of(client.chat.completions.create(stream=True, **QUESTION))
    assert upstream.calls == 2


def test_batches_that_share_inputs_never_hold_what_the_other_waits_for(client, upstream):
    words = [f"word {number}" for number in range(30)]

    def embed(turn):
        batch = words[turn:] + words[:turn]
        return client.embeddings.create(model="text-embedding-3-small", input=batch)

    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(embed, range(30)))
    vectors = {tuple(item.embedding) for answer in answers for item in answer.data}
    assert len(vectors) == 30
    asked = [word for request in upstream.requests for word in request.json["input"]]
    assert sorted(asked) == sorted(words)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_opens_its_own(upstream, url, opened):
    cache = Cache(url, strict=True)
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")))
    client.chat.completions.create(**QUESTION)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            client.chat.completions.create(**QUESTION)
            os.write(write, cache.last.kind.encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read, 10) == b"hit"
    client.chat.completions.create(**QUESTION)
    assert cache.last.kind == "hit"
    assert upstream.calls == 1


# What is older than it may be


def test_a_stream_that_began_before_an_invalidation_is_not_followed_after_it(
    client, upstream, cache
):
    upstream.script = lambda request: Reply(f"version {request.number}")
    with upstream.held(after_frames=2) as hold, cache.using(tags=["doc"]):
        before = client.chat.completions.create(stream=True, **QUESTION)
        next(before)
        cache.invalidate(tag="doc")
        after = client.chat.completions.create(stream=True, **QUESTION)
        other = client.chat.completions.create(stream=True, **QUESTION)
        hold.release()
        assert text_of(after) == text_of(other) == "version 2"
        assert text_of(before).endswith("1")
    assert upstream.calls == 2
    with cache.using(tags=["doc"]):
        assert text_of(client.chat.completions.create(stream=True, **QUESTION)) == "version 2"
    assert len(cache.session.engine.flights) == 0


def test_those_without_a_tag_follow_a_call_that_has_one(client, upstream, cache):
    with upstream.held(after_frames=2) as hold:
        with cache.using(tags=["doc"]):
            leader = client.chat.completions.create(stream=True, **QUESTION)
        follower = client.chat.completions.create(stream=True, **QUESTION)
        assert cache.last.kind == "collapsed"
        hold.release()
        assert text_of(follower) == text_of(leader)
    assert upstream.calls == 1


def test_an_older_call_does_not_overwrite_what_a_refresh_kept(client, upstream, cache):
    go = threading.Event()

    def script(request):
        if request.number == 1:
            go.wait(20)
        return Reply(f"answer {request.number}")

    upstream.script = script
    with ThreadPoolExecutor(1) as pool:
        older = pool.submit(client.chat.completions.create, **QUESTION)
        upstream.wait_for_calls(1)
        with cache.using(refresh=True):
            client.chat.completions.create(**QUESTION)
        go.set()
        assert older.result().choices[0].message.content == "answer 1"
    assert client.chat.completions.create(**QUESTION).choices[0].message.content == "answer 2"
    assert upstream.calls == 2


# Nobody waits in vain


def test_a_call_that_ends_after_its_cache_was_closed_lets_all_go(upstream, url, finishes, opened):
    cache = Cache(url)
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", timeout=600)))
    replies = iter([Reply(finish_reason="length")])
    upstream.script = lambda _: next(replies, None)

    def call():
        return client.chat.completions.create(**QUESTION)

    with upstream.held() as hold, ThreadPoolExecutor(2) as pool:
        leader = pool.submit(call)
        upstream.wait_for_calls(1)
        follower = pool.submit(call)
        waiting(cache, 1)
        before = cache.session.engine
        cache.close()
        assert cache.session.engine is not before
        hold.release()
        assert leader.result().choices
        assert finishes(follower.result).choices
    assert len(before.flights) == 0
    assert finishes(call).choices
    cache.close()


def test_one_thread_with_two_caches_on_one_file_does_not_wait_for_itself(
    upstream, url, finishes, opened
):
    one, two = Cache(url), Cache(url)
    first, second = (
        cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", timeout=600)))
        for cache in (one, two)
    )

    def both():
        stream = first.chat.completions.create(stream=True, **QUESTION)
        next(stream)
        whole = second.chat.completions.create(**QUESTION)
        return whole.choices[0].message.content, text_of(stream)

    whole, rest = finishes(both)
    assert whole.endswith(rest)
    one.close()
    two.close()


def test_a_cache_that_is_closed_with_an_open_stream_does_not_wait_for_it(
    upstream, url, finishes, opened
):
    cache = Cache(url)
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", timeout=600)))

    def work():
        stream = client.chat.completions.create(stream=True, **QUESTION)
        next(stream)
        cache.close()
        assert client.chat.completions.create(**QUESTION).choices
        return text_of(stream)

    assert finishes(work)
    cache.close()


def test_a_blocking_call_on_a_loop_does_not_wait_for_another_caches_task_of_it(
    upstream, url, finishes, opened
):
    one, two = Cache(url), Cache(url)
    blocking = two.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", timeout=600)))

    async def main():
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k") as made:
            stream = await one.wrap(made).chat.completions.create(stream=True, **QUESTION)
            await anext(stream)
            answer = blocking.chat.completions.create(**QUESTION)
            await stream.close()
        await one.aclose()
        return answer

    assert finishes(lambda: asyncio.run(main())).choices
    two.close()


def test_callers_that_fill_the_loops_own_threads_do_not_starve_their_leader(
    upstream, url, finishes, opened
):
    cache = Cache(url)
    blocking = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", timeout=600)))

    async def main():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k") as made:
            client = cache.wrap(made)
            with upstream.held() as hold:
                leader = asyncio.ensure_future(client.chat.completions.create(**QUESTION))
                await asyncio.to_thread(upstream.wait_for_calls, 1)
                followers = [
                    asyncio.ensure_future(
                        asyncio.to_thread(blocking.chat.completions.create, **QUESTION)
                    )
                    for _ in range(2)
                ]
                await asyncio.get_running_loop().run_in_executor(pool, waiting, cache, 2)
                hold.release()
                return await asyncio.gather(leader, *followers)

    with ThreadPoolExecutor(1) as pool:
        answers = finishes(lambda: asyncio.run(main()))
    assert len({answer.id for answer in answers}) == 1
    assert upstream.calls == 1
    cache.close()


COLLECT = """
import gc
from askonce.blocking import run
from askonce.colours import THREADS
from askonce.dialects.contract import Facts
from askonce.dialects.plain import PLAIN
from askonce.flights import State
from askonce.plans import Plan
from askonce.policy import Options
from askonce import Cache, Models

engine = Cache("memory://").session.engine
flights = engine.flights

class Circle:
    pass

gc.disable()
for number in range(3000):
    plan = Plan(number.to_bytes(20, "big"), PLAIN, Facts(), Options())
    circle = Circle()
    circle.itself, circle.ticket = circle, run(engine.begin(plan, THREADS))
    del circle
    gc.set_threshold(1 + number % 97)
    gc.enable()
    flight, _ = flights.join(b"%020d" % number)
    gc.disable()
    flights.end(flight, State.FREED)
gc.collect()
print(len(flights))
"""


def test_the_garbage_collector_may_drop_a_ticket_at_any_moment():
    """Also while the same thread is inside the lock of the flights."""
    done = subprocess.run(
        [sys.executable, "-c", COLLECT], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("is_open", [True, False])
def test_a_child_forked_while_another_thread_is_at_work_is_not_held_up(upstream, is_open, opened):
    cache = Cache("memory://")
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")))
    if is_open:
        client.chat.completions.create(**QUESTION)
    held, done = threading.Event(), threading.Event()

    def hold():
        with cache.session._lock, cache.session.journal._lock:
            held.set()
            done.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # a child that hangs is killed
        client.chat.completions.create(**QUESTION)
        os._exit(0)
    done.set()
    assert os.waitpid(pid, 0)[1] == 0
    thread.join()


# No stampedes


def test_those_whom_an_answer_does_not_serve_make_one_call_more(client, upstream, cache):
    """A stream without usage is no whole answer."""
    with upstream.held(after_frames=2) as hold, ThreadPoolExecutor(21) as pool:
        leader = client.chat.completions.create(stream=True, **QUESTION)
        next(leader)
        wholes = [pool.submit(client.chat.completions.create, **QUESTION) for _ in range(20)]
        (flight,) = cache.session.engine.flights
        gate = threading.Event()
        while flight.tape._readers < 21:
            gate.wait(0.01)
        hold.release()
        assert text_of(leader)
        assert all(whole.result().usage for whole in wholes)
    assert upstream.calls == 2


def usage_of(stream):
    return [chunk.usage.total_tokens for chunk in stream if chunk.usage]


@pytest.mark.parametrize("asks", ["the leader too", "the cache for it", "nobody"])
def test_a_caller_that_asks_for_usage_follows_only_a_stream_that_shows_it(upstream, asks):
    """A leader that did not ask for usage has none to show on a host that is not known for it."""
    known = ("127.0.0.1",) if asks == "the cache for it" else ()
    shown = {"stream_options": {"include_usage": True}}
    leaders = shown if asks == "the leader too" else {}
    models = Models.shipped().extended(usage_on_request=known)
    with (
        Cache("memory://", models=models) as cache,
        cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        create = functools.partial(client.chat.completions.create, stream=True, **QUESTION)
        with upstream.held(after_frames=2) as hold:
            leader = create(**leaders)
            next(leader)
            (flight,) = cache.session.engine.flights
            follower = pool.submit(lambda: list(create(**shown)))
            gate = threading.Event()
            while flight.tape._readers < 2:
                gate.wait(0.01)
            hold.release()
            assert len(usage_of(leader)) == len(leaders)
        followed = follower.result()
        assert text_of(followed)
        assert len(usage_of(followed)) == 1
        assert upstream.calls == (2 if asks == "nobody" else 1)


def test_a_stream_whose_host_refused_to_be_asked_shows_no_usage(upstream):
    models = Models.shipped().extended(usage_on_request=("127.0.0.1",))
    asked = threading.Event()

    def script(request):
        if "stream_options" in request.json and not asked.is_set():
            asked.set()
            return Reply(status=400, raw=b'{"error": {"message": "stream_options?"}}')
        return None

    upstream.script = script
    with (
        Cache("memory://", models=models) as cache,
        cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)) as client,
    ):
        stream = client.chat.completions.create(stream=True, **QUESTION)
        next(stream)
        (flight,) = cache.session.engine.flights
        assert not flight.shows_usage
        assert usage_of(stream) == []


@pytest.mark.parametrize("labels", [{}, {"user": "bob", "metadata": {"trace": "bob"}}])
def test_a_follower_of_a_stream_never_sees_the_labels_of_its_leader(
    client, upstream, cache, labels
):
    create = functools.partial(
        client.responses.create, model="gpt-4o", temperature=0, input="Why?", stream=True
    )
    with upstream.held(after_frames=2) as hold, ThreadPoolExecutor(1) as pool:
        leader = create(user="alice", metadata={"trace": "alice"})
        begun = next(leader)
        (flight,) = cache.session.engine.flights
        follower = pool.submit(lambda: list(create(**labels)))
        gate = threading.Event()
        while flight.tape._readers < 2:
            gate.wait(0.01)
        hold.release()
        led = [begun, *leader]
    followed = follower.result()
    assert upstream.calls == 1
    assert len(led) == len(followed)
    for events, told in (
        (led, ("alice", {"trace": "alice"})),
        (followed, (labels.get("user"), labels.get("metadata", {}))),
    ):
        answers = [event.response for event in events if hasattr(event, "response")]
        assert len(answers) == 3
        assert {answer.user for answer in answers} == {told[0]}
        assert [answer.metadata for answer in answers] == [told[1]] * 3
    hit = [event.response for event in create(**labels) if hasattr(event, "response")]
    assert hit == [event.response for event in followed if hasattr(event, "response")]


class Busy:
    """Leases that another process has, until it gives them back."""

    is_free = False

    async def acquire(self, key):
        return self.is_free

    def release(self, key, *, failed):
        assert self.is_free

    def waiting(self, key):
        return contextlib.nullcontext(Looks(lambda: 0))


def test_one_impatient_waiter_does_not_let_the_patient_ones_go(upstream, opened):
    store = Memory()
    store.leases = Busy()
    cache = Cache(store)
    patient = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", timeout=60)))
    hurried = patient.with_options(timeout=0.3)

    with ThreadPoolExecutor(21) as pool:
        first = pool.submit(hurried.chat.completions.create, **QUESTION)
        waiting(cache, 0)
        others = [pool.submit(patient.chat.completions.create, **QUESTION) for _ in range(20)]
        waiting(cache, 20)
        assert first.result().choices
        store.leases.is_free = True
        # The answer is in the store, where the next of them finds it.
        assert all(other.result().choices for other in others)
    assert upstream.calls == 1


def test_a_leader_cancelled_while_its_answer_is_put_lets_one_of_the_others_lead(upstream):
    putting, go = threading.Event(), threading.Event()

    class Slow(Memory):
        blocking = True

        async def put(self, entries):
            if not putting.is_set():
                putting.set()
                go.wait(20)
                raise OSError("never mind")
            await super().put(entries)

    cache = Cache(Slow())

    async def main():
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0) as made:
            client = cache.wrap(made)
            with upstream.held() as hold:
                leader = asyncio.create_task(client.chat.completions.create(**QUESTION))
                await asyncio.to_thread(upstream.wait_for_calls, 1)
                others = [
                    asyncio.create_task(client.chat.completions.create(**QUESTION))
                    for _ in range(20)
                ]
                await asyncio.to_thread(waiting, cache, 20)
                hold.release()
            await asyncio.to_thread(putting.wait, 20)
            leader.cancel()
            answers = await asyncio.gather(*others)
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await leader
            return answers

    answers = asyncio.run(main())
    assert len({answer.id for answer in answers}) == 1
    assert upstream.calls == 2


def test_flights_end_once_and_only_what_flies_counts():
    flights = Flights()
    flight, leading = flights.join(b"k")
    assert leading
    assert flights.join(b"k") == (flight, False)
    newer, leading = flights.join(b"k", {"doc": b"2"})
    assert leading
    assert run(flights.lease(newer))
    assert flights.join(b"k", {"doc": b"2"}) == (newer, False)
    flights.end(flight, State.LANDED)
    flights.end(flight, State.FAILED)
    assert flight.state is State.LANDED
    assert list(flights) == [newer]
    assert flights.join(b"k") == (newer, False)
    flights.end(newer, State.FREED)
    assert len(flights) == 0
