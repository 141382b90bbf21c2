"""Any function, cached by its arguments."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import enum
import re
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import pytest
from pydantic import BaseModel, Field

from askonce import Cache, ConfigError, Policy
from askonce.errors import UpstreamLost


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.0


class City(BaseModel):
    name: str
    founded: datetime.date


class Row(TypedDict):
    name: str
    size: int


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Plain:
    a: int


@dataclass
class Richer(Plain):
    b: int


class Inner(BaseModel):
    pass


class Further(Inner):
    more: int


class Holder(BaseModel):
    item: Inner


class Guarded(BaseModel):
    word: str = Field(exclude=True)


class Level(enum.IntEnum):
    LOW = 1


class Slippery:
    def __eq__(self, other):
        raise RuntimeError("nobody compares me")

    __hash__ = None


@dataclass
class Greeter:
    name: str

    def greet(self):
        return f"{self.name}: hi"


def test_a_function_runs_once_for_equal_arguments(cache):
    calls = []

    @cache
    def double(number, *, times=1):
        calls.append(number)
        return number * 2 * times

    assert double(2) == double(number=2) == double(2, times=1) == 4
    assert double(3) == 6
    assert calls == [2, 3]
    assert cache.last.kind == "miss"
    assert double.__name__ == "double"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, "1"),
        (1, True),
        ([1, 2], [2, 1]),
        ([1, [2]], [[1], 2]),
        ({"a": 1}, [["a", 1]]),
        (["list", 1], [1]),
        ("red", Colour.RED),
        (Point(1), {"x": 1, "y": 0.0}),
        (Point(1), Point(2)),
        ("2024-01-01", datetime.date(2024, 1, 1)),
        ({1, 2}, [1, 2]),
        (City(name="Rome", founded="2000-01-01"), City(name="Rome", founded="2000-01-02")),
        (b"a", "YQ=="),
        (Path("a"), "a"),
        (Path("a"), Path("b")),
        (re.compile("a"), re.compile("b")),
        (re.compile("a"), re.compile("a", re.IGNORECASE)),
        (re.compile("a"), re.compile(b"a")),
    ],
)
def test_arguments_that_differ_have_other_keys(cache, one, other):
    @cache
    def same(value):
        return 1

    assert same.key(one) != same.key(other)
    assert same.key(one) == same.key(one)


def test_map_order_makes_no_difference_but_the_type_of_a_value_does(cache):
    @cache
    def same(value):
        return 1

    assert same.key({"a": 1, "b": 2}) == same.key({"b": 2, "a": 1})
    kinds = [0, 0.0, -0.0, False, "0", None, [0], (0,), {0}, frozenset({0}), {0: 0}, b"0"]
    kinds += [Plain(0), Richer(0, 1)]
    assert len({same.key(value) for value in kinds}) == len(kinds)
    assert same.key(Holder(item=Inner())) != same.key(Holder(item=Further(more=1)))
    assert same.key(Holder(item=Further(more=1))) != same.key(Holder(item=Further(more=2)))
    assert same.key(Guarded(word="one")) != same.key(Guarded(word="two"))


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "odd",
    [{"n": 2**70}, {2**70}, {"\ud800": 1}, nested(5000), Holder.model_construct(item=object())],
    ids=["number", "set", "surrogate", "deep", "object"],
)
def test_an_argument_that_no_key_can_hold_is_a_bypass_and_the_call_goes_on(cache, odd):
    @cache
    def answer(value):
        return "fine"

    assert answer(odd) == "fine"
    assert (cache.last.kind, cache.last.reason.code) == ("bypass", "ambiguous")


def test_lambdas_and_functions_made_by_functions_are_told_apart(cache):
    plus, times = cache(lambda x: x + 1), cache(lambda x: x * 10)
    assert (plus(3), times(3)) == (4, 30)

    def make(number):
        @cache
        def scaled(value):
            return value * number

        return scaled

    assert (make(1)(3), make(2)(3), make(1)(3)) == (3, 6, 3)
    assert cache.last.kind == "hit"


def test_methods_of_two_objects_are_told_apart(cache):
    def method(of):
        return cache(of.greet)

    assert (method(Greeter("ann"))(), method(Greeter("bob"))()) == ("ann: hi", "bob: hi")


SCRIPT = """
import sys
from askonce import Cache
with Cache(sys.argv[1]) as cache:
    @cache
    def answer(text):
        return BODY
    print(answer("x"))
"""


def test_two_scripts_with_functions_of_one_name_never_share_an_entry(tmp_path, url):
    said = []
    for number in (1, 2):
        script = tmp_path / f"script{number}.py"
        script.write_text(SCRIPT.replace("BODY", str(number)))
        done = subprocess.run([sys.executable, script, url], capture_output=True, check=True)
        said.append(done.stdout.strip())
    assert said == [b"1", b"2"]


CURRENT = {}


class Mild(enum.Enum):
    MILD = "mild"


class Hot(enum.Enum):
    HOT = "hot"


Mild.__qualname__ = Hot.__qualname__ = "Taste"


def made(kind, **values):
    return kind, kind(**values)


OLDER, NEWER = [("text", str)], [("text", str), ("sources", int)]
VERSIONS = {
    "fields": (
        made(dataclasses.make_dataclass("Answer", OLDER), text="one"),
        made(dataclasses.make_dataclass("Answer", NEWER), text="one", sources=2),
    ),
    "members": ((Mild, Mild.MILD), (Hot, Hot.HOT)),
}


@pytest.mark.parametrize("versions", VERSIONS.values(), ids=VERSIONS)
def test_a_class_that_has_changed_does_not_meet_its_older_answers(cache, versions):
    def version(kind, result):
        CURRENT["result"] = result

        def answer():
            return CURRENT["result"]

        answer.__annotations__["return"] = kind
        answer.__qualname__ = "answer"  # as if it stood in a module
        return cache(answer)

    for kind, result in versions:
        assert version(kind, result)() == result
        assert cache.last.stored
    assert version(*versions[-1])() == versions[-1][1]
    assert cache.last.kind == "hit"


def loop():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "result",
    [[Level.LOW], OrderedDict(a=1), Slippery(), [frozenset({1})], loop(), nested(5000)],
    ids=["enum", "map", "unequal", "set", "loop", "deep"],
)
def test_a_result_of_a_type_that_json_would_lose_is_not_kept(cache, result):
    @cache(version="1")  # it closes over what no key can hold
    def answer() -> list[set[int]] if isinstance(result, list) else object:
        return result

    assert answer() is result
    assert cache.last.reason.code == "result"


def test_results_come_back_as_their_annotated_type(cache):
    @cache
    def city() -> City:
        return City(name="Rome", founded="2000-01-01")

    @cache
    def points() -> list[Point]:
        return [Point(1, 2.5)]

    @cache
    def row() -> Row:
        return {"name": "a", "size": 1}

    @cache
    def pair() -> tuple[int, str]:
        return 1, "a"

    for function in (city, points, row, pair):
        assert function() == function()
        assert cache.last.kind == "hit", function.__name__


def test_a_hit_is_an_object_of_its_own(cache):
    @cache
    def table():
        return {"rows": [1]}

    table()["rows"].append(2)
    table()["rows"].append(3)
    assert table() == {"rows": [1]}


def test_a_result_that_would_come_back_as_something_else_is_not_kept(cache, caplog):
    @cache
    def pair():
        return (1, 2)

    assert pair() == pair() == (1, 2)
    assert cache.last.kind == "miss"
    assert "annotate the return type" in cache.last.reason.advice
    assert "annotate the return type" in caplog.text


def test_an_argument_without_a_value_is_a_bypass_that_names_the_fix(cache, caplog):
    @cache
    def call(thing):
        return 1

    assert call(object()) == 1
    assert cache.last.kind == "bypass"
    assert "pydantic" in cache.last.reason.advice
    assert "pydantic" in caplog.text


def test_what_a_function_raises_is_passed_on_and_not_kept(cache):
    calls = []

    @cache
    def fail():
        calls.append(1)
        raise KeyError("mine")

    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            fail()
    assert len(calls) == 2
    assert cache.last.reason.code == "raised"


def test_versions_and_code_are_part_of_the_key_when_asked(cache):
    def first():
        return 1

    def second():
        return 2

    first.__qualname__ = second.__qualname__ = "same"
    assert cache(first).key() == cache(second).key()
    assert cache(version="1")(first).key() != cache(version="2")(first).key()
    assert cache(code=True)(first).key() != cache(code=True)(second).key()
    assert cache(code=True)(first).key() == cache(code=True)(first).key()


def test_time_to_live_and_tags_of_a_decorator(tmp_path):
    now = [0.0]
    cache = Cache("memory://", clock=lambda: now[0])
    calls = []

    @cache(ttl="1d", tags=["doc:1"])
    def read():
        calls.append(1)
        return len(calls)

    assert read() == read() == 1
    now[0] = 86_400
    assert read() == 2
    cache.invalidate(tag="doc:1")
    assert read() == read() == 3


def test_a_policy_that_caches_nothing_caches_nothing(cache):
    calls = []

    @cache(policy=Policy(enabled=False))
    def live():
        calls.append(1)
        return 1

    live()
    live()
    assert len(calls) == 2
    assert cache.last.reason.code == "policy"


def test_threads_that_call_at_once_run_the_function_once(cache):
    started, gate = threading.Event(), threading.Event()
    calls = []

    @cache
    def slow(number):
        calls.append(number)
        started.set()
        gate.wait(20)
        return number

    with ThreadPoolExecutor(20) as pool:
        running = [pool.submit(slow, 1) for _ in range(20)]
        started.wait(20)
        gate.set()
        assert {call.result() for call in running} == {1}
    assert calls == [1]


def test_coroutines_run_once_too_and_never_wait_for_themselves(cache):
    calls = []

    @cache
    async def slow(number):
        calls.append(number)
        await asyncio.sleep(0)
        return number

    @cache
    async def nested(depth):
        return 1 if len(calls) > 3 else await _again(depth)

    async def _again(depth):
        calls.append(depth)
        return await nested(depth)

    async def main():
        assert await asyncio.gather(*(slow(1) for _ in range(20))) == [1] * 20
        assert calls == [1]
        assert await nested(0) == 1

    asyncio.run(main())


def test_recursion_goes_through_the_cache(cache):
    @cache
    def fibonacci(number: int) -> int:
        return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)

    assert fibonacci(40) == 102_334_155


def test_a_generator_is_recorded_and_replayed(cache):
    calls = []

    @cache
    def tokens(text: str) -> Iterator[Point]:
        calls.append(text)
        for number in range(3):
            yield Point(number)

    assert list(tokens("a")) == list(tokens("a")) == [Point(0), Point(1), Point(2)]
    assert cache.last.kind == "hit"
    assert calls == ["a"]


def test_a_generator_left_early_is_not_kept_and_one_in_flight_is_followed(cache):
    calls = []

    @cache
    def tokens():
        calls.append(1)
        yield from "abc"

    early = tokens()
    assert next(early) == "a"
    early.close()
    leading, following = tokens(), tokens()
    assert next(leading) == "a"
    assert list(following) == ["a", "b", "c"]
    assert list(leading) == ["b", "c"]
    assert calls == [1, 1]
    assert list(tokens()) == ["a", "b", "c"]
    assert calls == [1, 1]


def test_a_generator_that_raises_is_not_kept(cache):
    @cache
    def tokens():
        yield "a"
        raise KeyError("mine")

    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            list(tokens())


ITEMS = [0.5, 1, (2, 3), Slippery()]


def test_an_item_that_cannot_be_kept_is_passed_on_and_names_the_fix(cache, caplog):
    calls = []

    @cache
    def tokens() -> Iterator[float]:
        calls.append(1)
        yield from ITEMS

    @cache
    async def later() -> AsyncIterator[float]:
        calls.append(1)
        for item in ITEMS:
            yield item

    async def main():
        return [item async for item in later()]

    for function in (lambda: list(tokens()), lambda: asyncio.run(main())):
        for _ in range(2):
            assert function() == ITEMS
            assert cache.last.kind == "miss"
            assert cache.last.reason.code == "result"
    assert len(calls) == 4
    assert "Iterator[...]" in caplog.text


def test_who_follows_a_generator_is_told_that_an_item_cannot_be_shared(cache):
    @cache
    def tokens():
        yield "a"
        yield (1, 2)

    leading, following = tokens(), tokens()
    assert next(leading) == next(following) == "a"
    with pytest.raises(UpstreamLost, match="shared"):
        next(following)
    assert list(leading) == [(1, 2)]


def test_an_async_generator_is_recorded_followed_and_replayed(cache):
    calls = []

    @cache
    async def tokens(text: str) -> AsyncIterator[str]:
        calls.append(text)
        for token in text:
            await asyncio.sleep(0)
            yield token

    async def main():
        leading = tokens("abc")
        assert await anext(leading) == "a"
        assert [token async for token in tokens("abc")] == ["a", "b", "c"]
        assert [token async for token in leading] == ["b", "c"]
        assert [token async for token in tokens("abc")] == ["a", "b", "c"]

    asyncio.run(main())
    assert calls == ["abc"]


def test_entries_outlive_the_process(url):
    def answer(question: str) -> City:
        return City(name=question, founded="2000-01-01")

    with Cache(url) as cache:
        first = cache(answer)("Rome")
    with Cache(url) as cache:
        assert cache(answer)("Rome") == first
        assert cache.last.kind == "hit"


def test_a_call_waits_for_an_equal_one_as_long_as_it_is_told_to(cache, finishes):
    """Two functions that call each other through threads wait for each other."""
    pool = ThreadPoolExecutor(4)

    def search(question: str) -> str:
        return plan(question)

    def think(question: str) -> str:
        depth = _depth.pop() if _depth else 0
        return "leaf" if depth else pool.submit(found, question).result()

    found, plan = cache(patience=0.1)(search), cache(patience=0.1)(think)
    _depth[:] = [1, 0]
    assert finishes(lambda: plan("x")) == "leaf"
    pool.shutdown()
    with pytest.raises(ConfigError, match="positive"):
        cache(patience=-1)(search)


_depth: list[int] = []


def test_a_task_begun_inside_a_call_is_not_inside_it_for_ever(cache):
    begun, go = [], []

    async def double(number: int) -> int:
        if not begun:
            begun.append(asyncio.create_task(later()))
        return number * 2

    async def later():
        await go[0].wait()
        return await cached(1)

    cached = cache(double)

    async def main():
        go.append(asyncio.Event())
        assert await cached(1) == 2
        go[0].set()
        with cache.recording() as calls:
            assert await begun[0] == 2
        return [call.kind for call in calls]

    assert asyncio.run(main()) == ["hit"]


def test_a_function_that_fails_after_its_cache_was_closed_lets_all_go(url, finishes):
    cache = Cache(url)
    inside, go = threading.Event(), threading.Event()

    def fail(number: int) -> int:
        inside.set()
        go.wait(20)
        raise KeyError(number)

    cached = cache(fail)
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(cached, 1)
        inside.wait(20)
        engine = cache.session.engine
        cache.close()
        assert cache.session.engine is not engine
        go.set()
        assert isinstance(leader.exception(), KeyError)
    assert len(engine.flights) == 0
    with pytest.raises(KeyError):
        finishes(lambda: cached(1))
    cache.close()
