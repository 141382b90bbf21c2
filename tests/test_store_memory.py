from __future__ import annotations

import gc
import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from askonce.blocking import run
from askonce.codec import decode, encode
from askonce.errors import ConfigError
from askonce.model import Entry
from askonce.stores.memory import MOST_TAGS, Memory, weight


def key(number: int) -> bytes:
    return number.to_bytes(20, "big")


def entry(size: int) -> Entry:
    return Entry(bytes(size), created=1.0)


def found(store: Memory, *numbers: int) -> list[bool]:
    return [it is not None for it in run(store.get([key(n) for n in numbers])).entries]


ONE = weight(key(0), entry(1000))


def test_the_least_recently_used_goes_first():
    store = Memory(3 * ONE)
    for number in (0, 1, 2):
        run(store.put({key(number): entry(1000)}))
    run(store.get((key(0),)))
    run(store.put({key(3): entry(1000)}))
    assert found(store, 0, 1, 2, 3) == [True, False, True, True]


def test_an_entry_larger_than_the_limit_is_not_kept_and_leaves_no_older_one():
    store = Memory(3 * ONE)
    run(store.put({key(0): entry(10), key(1): entry(10)}))
    run(store.put({key(0): entry(3 * ONE)}))
    assert found(store, 0, 1) == [False, True]


def test_entries_that_do_not_fit_together_are_not_kept_at_all():
    store = Memory(3 * ONE)
    run(store.put({key(number): entry(1000) for number in range(4)}))
    assert found(store, 0, 1, 2, 3) == [False] * 4


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3000), st.booleans()), max_size=60))
@settings(deadline=None)
def test_the_count_of_bytes_is_right_and_never_over_the_limit(steps):
    store = Memory(5 * ONE)
    for number, size, forget in steps:
        if forget:
            run(store.forget((key(number),)))
        else:
            run(store.put({key(number): entry(size)}))
        kept = run(store.scan())
        assert store._bytes == sum(weight(name, it) for name, it in kept) <= 5 * ONE


def test_the_weight_of_an_entry_is_what_it_takes_within_a_tenth():
    made = [
        (
            name,
            encode(
                name,
                Entry(
                    os.urandom(800),
                    1764000000.5,
                    1764000001.5,
                    headers=(("content-type", "application/json"), ("x-request-id", name.hex())),
                    dialect="openai.chat",
                    model="gpt-4o-2024-08-06",
                    usage={"input": 300, "output": 400, "total": 700},
                    tags={"doc:42": os.urandom(16)},
                ),
            ),
        )
        for name in [os.urandom(20) for _ in range(2000)]
    ]
    store = Memory("1GB")
    gc.collect()
    tracemalloc.start()
    for name, data in made:
        it = decode(bytes(bytearray(name)), data)
        assert it is not None
        store.keep({bytes(bytearray(name)): it})
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert store._bytes == pytest.approx(taken, rel=0.1)


def test_tags_beyond_the_most_drop_all_of_them_so_what_carries_one_is_dead():
    store = Memory()
    version = run(store.get((), ("doc:42",))).versions
    run(store.put({key(0): Entry(b"", 1.0, tags=version), key(1): entry(1)}))
    run(store.get((), [str(number) for number in range(MOST_TAGS - 1)]))
    assert found(store, 0, 1) == [True, True]
    run(store.get((), ("one more",)))
    assert found(store, 0, 1) == [False, True]
    assert run(store.get((), ("doc:42",))).versions != version


def test_threads_neither_lose_count_nor_break_the_order():
    store = Memory(50 * ONE)

    def work(mine: int) -> None:
        for turn in range(300):
            run(store.put({key(mine * 1000 + turn % 20): entry(turn)}))
            run(store.get((key(turn % 8 * 1000),)))
            if turn % 7 == 0:
                run(store.forget((key(mine * 1000 + turn % 5),)))

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, number) for number in range(8)]:
            done.result()
    assert store._bytes == sum(weight(name, it) for name, it in run(store.scan(limit=10**6)))


@pytest.mark.parametrize("limit", [0, -1, "much", "64XB"])
def test_a_limit_that_is_no_size_is_refused_where_it_is_given(limit):
    with pytest.raises(ConfigError):
        Memory(limit)
