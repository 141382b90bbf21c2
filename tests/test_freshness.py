"""How old an answer may be, and what happens at its end: with the clock in the test's hands."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from openai import APIConnectionError, AsyncOpenAI, InternalServerError, OpenAI

from askonce import Cache, ConfigError, NotCached, Policy, Rule
from askonce.presets import FAQ
from askonce.testing.fake_script import Reply

HOUR = 3600.0
DAY = 24 * HOUR
REVALIDATED = Policy(ttl=HOUR, stale_while_revalidate=HOUR)
INSURED = Policy(ttl=HOUR, stale_if_error=DAY)


class Clock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = 1_764_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory://", "sqlite"])
def timed(request, clock, url) -> Iterator[Cache]:
    with Cache(url if request.param == "sqlite" else request.param, clock=clock, strict=True) as it:
        yield it


@pytest.fixture
def client(upstream) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0) as made:
        yield made


def ask(client, text="What is RAG?", **more):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(
        model="gpt-4o", messages=messages, **{"temperature": 0, **more}
    )


def embed(client, *texts):
    made = client.embeddings.create(model="text-embedding-3-small", input=list(texts))
    return [item.embedding for item in made.data]


def ends(work, seconds=10.0):
    """Wait until something in another thread has come about."""
    deadline = time.monotonic() + seconds
    while not work():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


async def ends_in_task(make, ready):
    """Do the same in a task: make something again and again until it is as wanted."""
    async with asyncio.timeout(10):
        while True:
            made = await make()
            if ready(made):
                return made
            await asyncio.sleep(0.005)


# The table's cases


def test_a_faq_answer_is_kept_for_a_day_and_gone_a_second_later(timed, client, clock, upstream):
    timed.wrap(client, policy="faq")
    ask(client)
    clock.now += DAY - 1
    ask(client)
    assert timed.last.kind == "hit"
    clock.now += 2
    ask(client)
    assert (timed.last.kind, upstream.calls) == ("miss", 2)


def test_jitter_only_shortens_and_not_for_all_alike(timed, client, clock):
    timed.wrap(client, policy=replace(FAQ, jitter=0.5))
    for number in range(40):
        ask(client, f"question {number}")
    left = [it.expires - clock.now for _, it in timed.entries() if it.kind == "answer"]
    assert len(left) == 40
    assert all(DAY / 2 <= it <= DAY for it in left)
    assert len(set(left)) == 40
    assert max(left) - min(left) > DAY / 4


@pytest.mark.parametrize("jitter", [-0.1, 1.1, float("nan")])
def test_a_jitter_that_is_no_part_is_refused(jitter):
    with pytest.raises(ConfigError, match="0 to 1"):
        Policy(jitter=jitter)


def test_nothing_older_than_max_age_is_served(timed, client, clock, upstream):
    timed.wrap(client)
    ask(client)
    clock.now += HOUR
    with timed.using(max_age="2h"):
        ask(client)
    assert timed.last.kind == "hit"
    with timed.using(max_age="59m"):
        ask(client)
    assert (timed.last.kind, upstream.calls) == ("miss", 2)
    with timed.using(max_age="59m"):
        ask(client)
    assert timed.last.kind == "hit"


# Stale while revalidate


def test_a_stale_answer_is_given_at_once_and_the_next_one_fetched_behind(
    timed, client, clock, upstream
):
    timed.wrap(client, policy=REVALIDATED)
    first = ask(client)
    clock.now += HOUR + 1
    with upstream.held() as hold:
        stale = ask(client)
        assert (timed.last.kind, timed.last.reason.code) == ("stale", "stale_while_revalidate")
        upstream.wait_for_calls(2)
        hold.release()
    assert stale.id == first.id
    ends(lambda: ask(client).id != first.id and timed.last.kind == "hit")
    assert upstream.calls == 2


def test_of_a_thousand_callers_at_the_end_one_refreshes_and_none_waits(
    timed, client, clock, upstream
):
    timed.wrap(client, policy=REVALIDATED)
    first = ask(client)
    clock.now += HOUR + 1
    with upstream.held(), ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: ask(client).id, range(1000)))
    assert set(answers) == {first.id}
    upstream.wait_until_idle()
    assert upstream.calls == 2

    ends(lambda: timed.stats().miss == 2)
    assert timed.stats().stale == 1000


def test_of_a_thousand_tasks_at_the_end_one_refreshes_and_none_waits(timed, clock, upstream):
    async def main():
        url = f"{upstream.url}/v1"
        async with AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
            timed.wrap(client, policy=REVALIDATED)
            first = await ask(client)
            clock.now += HOUR + 1
            with upstream.held() as hold:
                answers = await asyncio.gather(*(ask(client) for _ in range(1000)))
                hold.release()
            await ends_in_task(lambda: ask(client), lambda answer: answer.id != first.id)
            return first, answers

    first, answers = asyncio.run(main())
    assert {answer.id for answer in answers} == {first.id}
    assert upstream.calls == 2


def test_past_its_grace_an_answer_is_a_miss(timed, client, clock, upstream):
    timed.wrap(client, policy=REVALIDATED)
    ask(client)
    clock.now += 2 * HOUR + 1
    ask(client)
    assert (timed.last.kind, upstream.calls) == ("miss", 2)


def test_a_refresh_that_fails_leaves_the_stale_answer_and_is_tried_again(
    timed, client, clock, upstream
):
    timed.wrap(client, policy=REVALIDATED)
    first = ask(client)
    clock.now += HOUR + 1
    upstream.script = lambda request: Reply(status=503)
    assert ask(client).id == first.id
    upstream.wait_for_calls(2)
    upstream.wait_until_idle()
    ends(lambda: ask(client).id == first.id and upstream.calls >= 3)
    upstream.script = None
    ends(lambda: ask(client).id != first.id)
    assert timed.last.kind == "hit"


def test_a_stale_stream_is_given_at_once_too(timed, client, clock, upstream):
    timed.wrap(client, policy=REVALIDATED)

    def told():
        return {chunk.id for chunk in ask(client, stream=True)}

    first = told()
    clock.now += HOUR + 1
    assert told() == first
    assert timed.last.kind == "stale"
    ends(lambda: told() != first)
    assert upstream.calls == 2


def test_a_stale_result_of_a_function_is_given_at_once(timed, clock):
    calls = []
    done = threading.Event()

    @timed(policy=REVALIDATED)
    def answer(question: str) -> int:
        calls.append(threading.current_thread())
        if len(calls) > 1:
            done.set()
        return len(calls)

    assert answer("q") == 1
    clock.now += HOUR + 1
    assert answer("q") == 1
    assert timed.last.kind == "stale"
    assert done.wait(10)
    ends(lambda: answer("q") == 2)
    assert len(calls) == 2
    assert calls[1] is not threading.main_thread()


def test_arguments_that_change_meanwhile_do_not_get_into_the_refreshed_result(timed, clock):
    started, go_on = threading.Event(), threading.Event()
    calls = []

    @timed(policy=REVALIDATED)
    def total(numbers: list[int]) -> int:
        calls.append(list(numbers))
        if len(calls) > 1:
            started.set()
            go_on.wait(10)
        return sum(numbers)

    numbers = [1, 2]
    assert total(numbers) == 3
    clock.now += HOUR + 1
    assert total(numbers) == 3
    assert started.wait(10)
    numbers.append(10)
    go_on.set()
    ends(lambda: len(calls) >= 2)
    assert total([1, 2]) == 3


def test_stale_generators_of_both_colours_are_given_at_once(timed, clock):
    calls = []

    @timed(policy=REVALIDATED)
    def words(count: int) -> Iterator[int]:
        calls.append("words")
        yield from range(len(calls), len(calls) + count)

    @timed(policy=REVALIDATED)
    async def tasks(count: int):
        calls.append("tasks")
        for number in range(len(calls), len(calls) + count):
            yield number

    async def collected():
        return [item async for item in tasks(2)]

    assert list(words(2)) == [1, 2]
    assert asyncio.run(collected()) == [2, 3]
    clock.now += HOUR + 1
    assert list(words(2)) == [1, 2]
    ends(lambda: list(words(2)) == [3, 4])

    async def refreshed():
        before = await collected()
        return before, await ends_in_task(collected, lambda items: items != before)

    assert asyncio.run(refreshed()) == ([2, 3], [4, 5])


# Stale if error


@pytest.mark.parametrize("status", [408, 429, 500, 503, 529])
def test_the_last_good_answer_stands_in_for_a_provider_that_is_down(
    timed, client, clock, upstream, status
):
    timed.wrap(client, policy=INSURED)
    first = ask(client)
    clock.now += 2 * HOUR
    upstream.script = lambda request: Reply(status=status)
    assert ask(client).id == first.id
    assert timed.last.kind == "stale"
    assert timed.last.reason.advice == f"the provider answered {status}"
    upstream.script = None
    assert ask(client).id != first.id


def test_it_stands_in_for_a_connection_that_is_lost(timed, client, clock, upstream):
    timed.wrap(client, policy=INSURED)
    first = ask(client)
    clock.now += 2 * HOUR
    upstream.script = lambda request: Reply(status=0)
    assert ask(client).id == first.id
    assert timed.last.reason.code == "stale_if_error"


def test_it_does_not_stand_in_for_a_call_that_is_wrong(timed, client, clock, upstream):
    timed.wrap(client, policy=INSURED)
    ask(client)
    clock.now += 2 * HOUR
    upstream.script = lambda request: Reply(status=404)
    with pytest.raises(Exception, match="404"):
        ask(client)


def test_without_the_policy_or_past_its_time_the_error_is_the_callers(
    timed, client, clock, upstream
):
    timed.wrap(client, policy=INSURED)
    ask(client)
    clock.now += 2 * HOUR
    upstream.script = lambda request: Reply(status=503)
    with timed.using(policy=Policy()), pytest.raises(InternalServerError):
        ask(client)
    upstream.script = lambda request: Reply(status=0)
    clock.now += DAY
    with pytest.raises(APIConnectionError):
        ask(client)


def test_it_stands_in_for_tasks_and_streams_and_for_all_who_wait(timed, clock, upstream):
    async def main():
        url = f"{upstream.url}/v1"
        async with AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
            timed.wrap(client, policy=INSURED)
            first = await ask(client)
            clock.now += 2 * HOUR
            upstream.script = lambda request: Reply(status=503)
            with upstream.held() as hold:
                waiting = [asyncio.create_task(ask(client)) for _ in range(20)]
                await asyncio.to_thread(upstream.wait_for_calls, 2)
                hold.release()
                answers = await asyncio.gather(*waiting)
            stream = [chunk async for chunk in await ask(client, stream=True)]
            return first, answers, stream

    first, answers, stream = asyncio.run(main())
    assert {answer.id for answer in answers} == {first.id} == {stream[0].id}
    assert timed.stats().stale == 21


def test_a_function_that_raises_gives_its_last_good_result(timed, clock):
    broken = []

    @timed(policy=INSURED)
    def answer(question: str) -> str:
        if broken:
            raise OSError("no network")
        return question.upper()

    @timed(policy=INSURED)
    async def task(question: str) -> str:
        return answer.__wrapped__(question)

    assert answer("q") == "Q" == asyncio.run(task("q"))
    clock.now += 2 * HOUR
    broken.append(True)
    assert answer("q") == "Q" == asyncio.run(task("q"))
    assert timed.last is not None
    assert timed.last.reason.advice == "the call raised OSError"
    with pytest.raises(OSError, match="no network"):
        answer("another")


def test_embeddings_stand_in_only_if_all_that_are_missing_can(timed, client, clock, upstream):
    timed.wrap(client, policy=INSURED)

    known = embed(client, "a", "b")
    clock.now += 2 * HOUR
    upstream.script = lambda request: Reply(status=503)
    assert embed(client, "a", "b") == known
    assert timed.last.kind == "stale"
    with pytest.raises(InternalServerError):
        embed(client, "a", "c")


# Only if cached


def test_only_if_cached_makes_no_call(timed, client, upstream):
    timed.wrap(client)
    with timed.using(only_if_cached=True), pytest.raises(NotCached, match="no call is made"):
        ask(client)
    assert upstream.calls == 0
    assert timed.last.reason.code == "only_if_cached"
    ask(client)
    with timed.using(only_if_cached=True):
        ask(client)
    assert (timed.last.kind, upstream.calls) == ("hit", 1)


def test_only_if_cached_is_504_on_a_bare_transport(timed, upstream):
    import httpx2

    transport = timed.transport(httpx2.HTTPTransport())
    with httpx2.Client(transport=transport) as http, timed.using(only_if_cached=True):
        body = {"model": "gpt-4o", "messages": [], "temperature": 0}
        answer = http.post(f"{upstream.url}/v1/chat/completions", json=body)
    assert (answer.status_code, upstream.calls) == (504, 0)
    assert answer.json()["error"]["code"] == "only_if_cached"


def test_only_if_cached_holds_for_batches_tasks_and_functions(timed, upstream):
    @timed
    def double(number: int) -> int:
        return 2 * number

    async def main():
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k") as client:
            timed.wrap(client)
            with timed.using(only_if_cached=True):
                with pytest.raises(NotCached):
                    await ask(client)
                with pytest.raises(NotCached):
                    await client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
                with pytest.raises(NotCached):
                    double(2)

    asyncio.run(main())
    assert upstream.calls == 0


# Sample slots


def test_samples_are_kept_apart_and_replayed_in_order(timed, client, upstream):
    timed.wrap(client)

    def three():
        with timed.using(sample=3):
            return [ask(client, temperature=0.8).id for _ in range(4)]

    first = three()
    assert len(set(first)) == 3
    assert first[3] == first[0]
    assert three() == first
    assert upstream.calls == 3


def test_a_retried_call_keeps_its_slot(timed, upstream):
    url = f"{upstream.url}/v1"
    replies = iter([Reply(status=503, headers={"retry-after-ms": "1"})])
    upstream.script = lambda request: next(replies, None)
    with OpenAI(base_url=url, api_key="k", max_retries=2) as client:
        timed.wrap(client)
        with timed.using(sample=2):
            first = [ask(client, temperature=1).id for _ in range(2)]
        with timed.using(sample=2):
            assert [ask(client, temperature=1).id for _ in range(2)] == first
    assert upstream.calls == 3


def test_samples_of_a_function_are_kept_apart(timed):
    calls = []

    @timed
    def idea(topic: str) -> int:
        calls.append(topic)
        return len(calls)

    with timed.using(sample=2):
        assert [idea("x"), idea("x"), idea("x")] == [1, 2, 1]
    assert idea("x") == 1


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_a_number_of_samples_that_is_none_is_refused(count, timed):
    with pytest.raises(ConfigError, match="from 1"):
        timed.using(sample=count)


def test_a_function_that_asks_itself_behind_its_stale_result_does_not_wait_for_itself(timed, clock):
    runs = []
    done = threading.Event()

    @timed(policy=REVALIDATED)
    def answer(question: str) -> int:
        runs.append(question)
        if len(runs) == 2:
            timed.forget(answer.key(question))
            answer(question)
            done.set()
        return len(runs)

    answer("q")
    clock.now += HOUR + 1
    answer("q")
    assert done.wait(10)
    assert len(runs) == 3


# What a fresh pair of eyes found


def test_a_reader_whose_ttl_is_shorter_is_served_nothing_older(timed, clock, upstream):
    url = f"{upstream.url}/v1"
    with OpenAI(base_url=url, api_key="k") as one, OpenAI(base_url=url, api_key="k") as other:
        timed.wrap(one, policy="summary")
        timed.wrap(other, policy="faq")
        first = ask(one).id
        assert ask(other).id == first
        clock.now += 30 * DAY
        assert ask(one).id == first
        assert ask(other).id != first


def test_rules_of_a_shorter_ttl_are_asked_at_each_hit(url, clock, upstream):
    rules = [Rule(Policy(ttl=HOUR), metadata={"use": "prices"})]
    with (
        Cache(url, clock=clock, rules=rules) as ruled,
        OpenAI(base_url=f"{upstream.url}/v1", api_key="k") as client,
    ):
        ruled.wrap(client)
        first = ask(client).id
        clock.now += 2 * HOUR
        assert ask(client).id == first
        assert ask(client, metadata={"use": "prices"}).id != first


def test_items_of_arguments_that_changed_meanwhile_are_not_kept_under_the_old_ones(timed, clock):
    begun, go, runs = threading.Event(), threading.Event(), []

    @timed(policy=REVALIDATED)
    def items(words: list[str]) -> Iterator[str]:
        runs.append(words)
        if len(runs) == 2:
            begun.set()
            go.wait(10)
        yield from words

    list(items(["a"]))
    clock.now += HOUR + 1
    words = ["a"]
    assert list(items(words)) == ["a"]
    assert begun.wait(10)
    words[0] = "b"
    go.set()
    ends(lambda: not len(timed.session.engine.flights))
    assert list(items(["a"])) == ["a"]


@pytest.mark.parametrize("how", ["invalidated", "too late"])
def test_what_stands_in_is_looked_at_when_the_call_fails(timed, client, clock, upstream, how):
    timed.wrap(client, policy=INSURED, tags=["doc"])
    ask(client)
    clock.now += 2 * HOUR

    def script(request):
        if how == "invalidated":
            timed.invalidate(tag="doc")
        else:
            clock.now += 2 * DAY
        return Reply(status=503)

    upstream.script = script
    with pytest.raises(InternalServerError):
        ask(client)


def test_a_slow_refresh_does_not_overwrite_a_newer_answer(timed, client, upstream):
    timed.wrap(client, tags=["doc"])
    first, go, calls = threading.Event(), threading.Event(), []

    def script(request):
        calls.append(request)
        if len(calls) == 1:
            first.set()
            go.wait(10)

    upstream.script = script

    def slow():
        with timed.using(refresh=True):
            ask(client)

    thread = threading.Thread(target=slow)
    thread.start()
    assert first.wait(10)
    timed.invalidate(tag="doc")
    good = ask(client).id
    go.set()
    thread.join()
    assert ask(client).id == good
    assert len(calls) == 2


def test_a_refresh_on_a_loop_that_was_closed_holds_nobody_up(timed, clock, finishes):
    @timed(policy=REVALIDATED, version="1")
    async def answer(question: str) -> str:
        if clock.now > 1_764_000_000.0 + HOUR and not over:
            await asyncio.Event().wait()
        return question

    over = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(answer("q"))
    clock.now += HOUR + 1
    loop.run_until_complete(answer("q"))
    loop.close()
    over.append(True)
    clock.now += 2 * HOUR
    assert finishes(lambda: asyncio.run(answer("q"))) == "q"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_begins_with_no_refresh_under_way(clock, url):
    go = threading.Event()
    slow = []
    with Cache(url, clock=clock) as cache:

        @cache(policy=REVALIDATED)
        def answer(number: int) -> int:
            if slow:
                go.wait(10)
            return number

        for number in range(40):
            answer(number)
        clock.now += HOUR + 1
        slow.append(True)
        for number in range(33):
            answer(number)
        slow.clear()
        child = os.fork()
        if child == 0:
            try:
                answer(39)
                ends(lambda: answer(39) == 39 and cache.last.kind == "hit")
                os._exit(0)
            finally:
                os._exit(1)
        go.set()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_only_if_cached_makes_no_call_that_would_be_bypassed(timed, client, upstream):
    timed.wrap(client)
    runs = []

    @timed(policy="live")
    def price(name: str) -> str:
        runs.append(name)
        return name

    with timed.using(only_if_cached=True):
        with pytest.raises(NotCached, match="temperature is not set"):
            client.chat.completions.create(model="gpt-4o", messages=[])
        with pytest.raises(NotCached, match="live"):
            price("gold")
    assert (upstream.calls, runs) == (0, [])


def test_only_if_cached_does_not_compute_what_its_type_cannot_read(timed):
    def made(kind):
        def answer(question: str):
            return question

        answer.__annotations__["return"] = kind
        return timed(version="1")(answer)

    with timed.using(only_if_cached=True), pytest.raises(NotCached):
        made(str)("q")


def test_a_stale_batch_is_given_at_once_and_fetched_behind(timed, client, clock, upstream):
    timed.wrap(client, policy=REVALIDATED)

    known = embed(client, "a", "b")
    clock.now += HOUR + 1
    with upstream.held() as hold:
        assert embed(client, "a", "b") == known
        assert timed.last.kind == "stale"
        hold.release()
    ends(lambda: embed(client, "a", "b") == known and timed.last.kind == "hit")
    assert upstream.calls == 2


def test_what_is_stale_is_fetched_along_with_what_is_missing(timed, client, clock, upstream):
    timed.wrap(client, policy=REVALIDATED)

    def kind(*texts):
        embed(client, *texts)
        return timed.last.kind

    kind("a", "b")
    clock.now += HOUR + 1
    assert [kind("a", "b", "c"), kind("a", "b", "c")] == ["miss", "hit"]
    assert upstream.calls == 2


def test_a_call_behind_that_brings_nothing_is_told(timed, client, clock, upstream, caplog):
    timed.wrap(client, policy=REVALIDATED)
    ask(client)
    clock.now += HOUR + 1
    upstream.script = lambda request: Reply(status=503)
    ask(client)
    ends(lambda: "brought none: status: the provider answered 503" in caplog.text)
    assert timed.stats().miss == 2


def test_more_samples_than_before_are_new_ones_inside_functions_too(timed, client):
    timed.wrap(client)

    @timed
    def idea(topic: str) -> str:
        return ask(client, topic, temperature=1).id

    with timed.using(sample=2):
        idea("x")
        idea("x")
    with timed.using(sample=3):
        assert len({idea("x") for _ in range(3)}) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"ttl": "72h"},
        {"ttl": -1},
        {"ttl": 0},
        {"ttl": float("nan")},
        {"ttl": True},
        {"stale_if_error": "1h"},
        {"stale_while_revalidate": -1},
    ],
)
def test_a_policy_with_a_time_that_is_none_is_refused_where_it_is_made(wrong):
    with pytest.raises(ConfigError, match=r"use seconds, such as 72 \* 3600"):
        Policy(**wrong)


def test_an_alias_ends_with_its_answer(timed, client, clock):
    timed.wrap(client, policy=Policy(ttl=HOUR, stale_if_error=DAY))
    ask(client)
    ends = {(entry.kind, entry.end) for _, entry in timed.entries()}
    assert ends == {(kind, clock.now + HOUR + DAY) for kind in ("answer", "alias")}


def test_a_fresh_answer_that_came_meanwhile_stands_in_for_a_failed_call(timed, clock):
    broken = []

    @timed(policy=INSURED, version="1")
    def answer(question: str) -> str:
        if broken:
            broken.clear()
            with timed.using(refresh=True):
                answer(question)
            raise OSError
        return question

    answer("q")
    clock.now += 2 * HOUR
    broken.append(True)
    assert answer("q") == "q"
