"""What a cached function carries with it: other clients, other objects, other answers."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from anthropic import Anthropic
from openai import AsyncOpenAI, AzureOpenAI, OpenAI
from pydantic import BaseModel

from askonce import Cache
from askonce.errors import Ambiguous


class Thing:
    """An object that says nothing of what it is."""

    def __init__(self, says: str = "") -> None:
        self.says = says

    def answer(self) -> str:
        return self.says


@dataclass
class Settings:
    tone: str


class Answer(BaseModel):
    text: str


def openai(**given) -> OpenAI:
    return OpenAI(**{"api_key": "k", "base_url": "http://127.0.0.1:1/v1", **given})


def closing_over(cache, held, **options):
    @cache(**options)
    def answer():
        return str(held)

    return answer


def test_a_function_over_an_object_that_no_key_can_hold_is_not_cached(cache, caplog):
    def make(thing):
        @cache
        def answer():
            return thing.says

        return answer

    assert (make(Thing("one"))(), make(Thing("two"))()) == ("one", "two")
    assert (cache.last.kind, cache.last.reason.code) == ("bypass", "ambiguous")
    assert cache.last.reason.advice == (
        "thing is a Thing, which no key can hold; "
        "make it an argument with a value, or tell by version= or depends_on= which it is"
    )
    assert [record.message for record in caplog.records] == [
        f"{__name__}.test_a_function_over_an_object_that_no_key_can_hold_is_not_cached.<locals>"
        f".make.<locals>.answer is not cached: {cache.last.reason.advice}"
    ]


@pytest.mark.parametrize("option", ["version", "depends_on"])
def test_a_version_or_a_dependency_tells_which_object_a_function_has(cache, option):
    def make(thing):
        @cache(**{option: thing.says})
        def answer():
            return thing.says

        return answer

    said = [make(Thing(says))() for says in ("one", "two", "one")]
    assert said == ["one", "two", "one"]
    assert cache.last.kind == "hit"


def test_the_code_of_a_function_says_nothing_of_its_objects(cache):
    with pytest.raises(Ambiguous, match="held is a Thing"):
        closing_over(cache, Thing(), code=True).key()


def test_a_method_of_an_object_without_a_value_is_told_apart_by_its_version(cache):
    with pytest.raises(Ambiguous, match="it is a method of a Thing"):
        cache(Thing("one").answer).key()
    one, two = (cache(version=says)(Thing(says).answer) for says in ("one", "two"))
    assert (one(), two(), one()) == ("one", "two", "one")
    assert cache.last.kind == "hit"


CLIENTS = {
    "openai": openai(),
    "another place": openai(base_url="http://127.0.0.1:2/v1"),
    "another organization": openai(organization="org"),
    "another project": openai(project="project"),
    "another header": openai(default_headers={"x-variant": "b"}),
    "another query": openai(default_query={"variant": "b"}),
    "async": AsyncOpenAI(api_key="k", base_url="http://127.0.0.1:1/v1"),
    "azure": AzureOpenAI(
        api_key="k", azure_endpoint="http://127.0.0.1:1", api_version="1", azure_deployment="a"
    ),
    "another deployment": AzureOpenAI(
        api_key="k", azure_endpoint="http://127.0.0.1:1", api_version="1", azure_deployment="b"
    ),
    "anthropic": Anthropic(api_key="k", base_url="http://127.0.0.1:1"),
    "another anthropic": Anthropic(api_key="k", base_url="http://127.0.0.1:2"),
}


def test_official_clients_count_by_where_their_calls_go(cache):
    keys = {name: closing_over(cache, client).key() for name, client in CLIENTS.items()}
    assert len(set(keys.values())) == len(keys)
    # A credential is no part of a key, nor how patient one is.
    for alike in (openai(api_key="other"), openai().with_options(timeout=1, max_retries=7)):
        assert closing_over(cache, alike).key() == keys["openai"]
        alike.close()


@pytest.mark.parametrize(
    "part", [lambda client: client.chat.completions, lambda client: client.chat.completions.create]
)
def test_parts_of_a_client_count_by_their_client(cache, part):
    one, other, again = (
        closing_over(cache, part(CLIENTS[name])).key()
        for name in ("openai", "another place", "openai")
    )
    assert one == again != other


@pytest.mark.parametrize(
    "alike",
    [
        lambda: logging.getLogger("here"),
        threading.Lock,
        threading.RLock,
        threading.Event,
        lambda: threading.BoundedSemaphore(2),
        lambda: asyncio.Semaphore(3),
        asyncio.Lock,
        lambda: ThreadPoolExecutor(1),
        lambda: Cache("memory://"),
        lambda: math,
        lambda: len,
        lambda: Thing,
        lambda: Answer,
        lambda: list[Answer],
        lambda: Answer | None,
        lambda: openai,
        lambda: functools.partial(openai, timeout=3),
        lambda: {"a": math.sin, "b": [Thing]},
    ],
)
def test_what_has_a_name_or_says_nothing_about_the_answer_leaves_a_function_cached(cache, alike):
    assert closing_over(cache, alike()).key() == closing_over(cache, alike()).key()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (math.sin, math.cos),
        (math, logging),
        (Answer, Thing),
        (list[Answer], list[Settings]),
        (Settings("kind"), Settings("curt")),
        (functools.partial(openai, timeout=3), functools.partial(openai, timeout=4)),
        ({"a": math.sin}, {"a": math.cos}),
        ([CLIENTS["openai"]], [CLIENTS["another place"]]),
        ("kind".startswith, "curt".startswith),
    ],
)
def test_closed_over_values_that_differ_have_other_keys(cache, one, other):
    assert closing_over(cache, one).key() != closing_over(cache, other).key()


def test_what_a_helper_closes_over_counts_too(cache):
    def make(number):
        def helper(value):
            return value * number

        @cache
        def scaled(value):
            return helper(value)

        return scaled

    assert (make(1)(3), make(2)(3), make(1)(3)) == (3, 6, 3)
    assert cache.last.kind == "hit"


def test_what_is_bound_after_the_function_was_made_counts_too(cache):
    def make(number):
        @cache
        def scaled(value):
            return helper(value)

        def helper(value):
            return value * number if value else scaled(value + 1)

        return scaled

    assert (make(1)(3), make(2)(3), make(1)(3)) == (3, 6, 3)
    assert cache.last.kind == "hit"


def times(number, policy=None):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(value):
            return function(value) * number, policy and policy.says

        return wrapper

    return decorate


def same(value):
    return value


def test_what_a_decorator_below_was_given_counts_too(cache):
    one, two = (cache(times(number)(same)) for number in (1, 2))
    assert (one(3), two(3)) == ((3, None), (6, None))


def test_an_object_of_a_decorator_is_the_affair_of_a_function_that_there_is_once(cache):
    cache(times(1, Thing("retry twice"))(same)).key(3)

    def make(thing):
        @cache
        @times(1, thing)
        def answer(value):
            return value

        return answer

    assert [make(Thing(says))(3)[1] for says in ("one", "two")] == ["one", "two"]
    assert cache.last.reason.code == "ambiguous"


def test_a_cached_function_may_close_over_another(cache):
    def make(number):
        @cache
        def inner(value):
            return value * number

        @cache
        def outer(value):
            return inner(value)

        return outer

    assert (make(1)(3), make(2)(3), make(1)(3)) == (3, 6, 3)
    assert cache.last.kind == "hit"


def test_functions_that_call_each_other_have_a_key(cache):
    def even(number):
        return number == 0 or odd(number - 1)

    def odd(number):
        return number != 0 and even(number - 1)

    @cache
    def is_even(number):
        return even(number)

    assert is_even(4) is is_even(4) is True
    assert cache.last.kind == "hit"


SCRIPT = """
from openai import OpenAI
from askonce import Cache
def make(client, tools):
    def helper(text): return client, text
    @Cache("memory://")
    def answer(text): return helper(text), tools
    return answer
client = OpenAI(api_key="k", base_url="http://127.0.0.1:1/v1", default_headers={"a": "b"})
print(make(client, {"len": len, "client": client}).key("x").hex())
"""


def test_such_a_key_is_the_same_in_every_process():
    said = {
        subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True).stdout
        for _ in range(2)
    }
    assert len(said) == 1
