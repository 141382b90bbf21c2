"""A hit from a SQLite file, small and large, with nothing in memory that could answer.

The engine stands on the SQLite store alone: there is no memory tier. Each call asks for another
entry, at random, with a fresh request object of 4 KB; its digest is part of the time. "Alias known"
means that the process has followed this alias before, "first sight" that it has not, and reads the
alias from the file too. The file lies in the system's page cache; SQLite itself keeps 2 MB of it.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import peers
import workload
from askonce import keys
from askonce.blocking import run
from askonce.engine import Engine
from askonce.journal import Journal
from askonce.model import NOTHING, Entry, Versions
from askonce.policy import Options
from askonce.stores.sqlite import SQLite
from rows import Budget, Row
from timing import Pace, Subject, Timed, race

REQUEST = workload.REQUESTS["4 KB"]
KNOWN = 20_000
"""Aliases an engine has at hand while those of one file are asked for; it would keep 50,000."""
BATCH = 10_000
LANGCHAIN = 500
"""Entries in LangChain's file: each takes it some milliseconds to write."""

Numbers = Callable[[], int]


def measure(pace: Pace) -> Iterator[Row]:
    """Build the files, and measure hits from them side by side."""
    with TemporaryDirectory() as folder:
        stores, built = {}, []
        for count in (pace.few, pace.many):
            path = Path(folder) / f"{count}.db"
            built.append(build(path, count))
            stores[count] = SQLite(path, limit="100GB")
        yield from built
        yield from _known(stores, pace, folder)
        yield from _first_sight(stores, pace)
        yield from _alone(stores, pace)
        for store in stores.values():
            run(store.close())


def _known(stores: dict[int, SQLite], pace: Pace, folder: str) -> Iterator[Row]:
    budgets = (Budget(most=20), Budget(most=20, at_most_times=1.3))
    subjects = [
        Subject(
            f"askonce: {count:,} entries",
            lambda count=count: _recall_known(stores[count], count),
            budget,
        )
        for count, budget in zip(stores, budgets, strict=True)
    ]
    subjects += [
        Subject(f"DSPy: Cache.get, disk, {pace.few:,} entries", lambda: _dspy(pace.few, folder)),
        Subject(f"LangChain: SQLiteCache, {LANGCHAIN} entries", lambda: _langchain(folder)),
        Subject("LiteLLM: Cache.get_cache, disk", lambda: _litellm(folder)),
    ]
    yield from race("Hit from SQLite, alias known, 4 KB", subjects, pace)


def _first_sight(stores: dict[int, SQLite], pace: Pace) -> Iterator[Row]:
    subjects = [
        Subject(
            f"askonce: {count:,} entries",
            lambda count=count, store=store: _recall_unknown(store, count),
            Budget(most=30),
        )
        for count, store in stores.items()
    ]
    yield from race("Hit from SQLite at first sight, 4 KB", subjects, pace)


def _alone(stores: dict[int, SQLite], pace: Pace) -> Iterator[Row]:
    subjects = [
        Subject(f"askonce: {count:,} entries", lambda count=count, store=store: _get(store, count))
        for count, store in stores.items()
    ]
    yield from race("Of which: the store's get of one key", subjects, pace)


# The entries


def _alias(asked: Any) -> bytes:
    return keys.digest(asked)


def key(number: int) -> bytes:
    """Return the key of an entry of `build`."""
    return keys.digest(["wire", number])


def _entry(number: int, tags: Versions = NOTHING) -> Entry:
    return Entry(
        body=workload.ANSWER_JSON + b" " * (number % 64),
        created=time.time(),
        expires=time.time() + 7 * 86_400,
        headers=workload.ANSWER_HEADERS,
        dialect="openai.chat",
        model=workload.MODEL,
        usage={"input": 900, "output": 240, "total": 1140},
        tags=tags,
    )


def build(path: Path, count: int, tags: Callable[[int], Sequence[str]] = lambda _: ()) -> Row:
    """Write `count` answers and as many aliases, in the order in which they would come."""
    store, began = SQLite(path, limit="100GB"), time.perf_counter()
    asked = json.loads(REQUEST)
    last, text = asked["messages"][-1], asked["messages"][-1]["content"]
    for start in range(0, count, BATCH):
        rows: dict[bytes, Entry] = {}
        numbers = range(start, min(count, start + BATCH))
        carried = {tag for number in numbers for tag in tags(number)}
        versions = run(store.get((), carried)).versions
        for number in numbers:
            last["content"] = workload.numbered(text, number)
            rows[key(number)] = _entry(number, {tag: versions[tag] for tag in tags(number)})
            rows[_alias(asked)] = Entry(key(number), time.time(), kind="alias")
        run(store.put(dict(sorted(rows.items()))))
    run(store.close())
    took = time.perf_counter() - began
    size = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
    return Row(
        "The files",
        f"askonce: {count:,} answers of {len(workload.ANSWER_JSON)} bytes, each with its alias",
        "B/entry",
        size / count,
        note=f"{size / 2**20:,.0f} MB in all, written in {took:.0f} s",
    )


def _at_random(count: int) -> Numbers:
    """Go through the numbers of up to 20,000 entries in an order of chance, again and again."""
    chosen = random.Random(count).sample(range(count), min(count, KNOWN))
    at = -1

    def following() -> int:
        nonlocal at
        at = (at + 1) % len(chosen)
        return chosen[at]

    return following


def _fresh(numbers: Numbers) -> Callable[[], Any]:
    return lambda: json.loads(workload.numbered(REQUEST, numbers()))


# The calls


def _recall_known(store: SQLite, count: int) -> Timed:
    engine, options = Engine(store, Journal()), Options()
    fresh = _fresh(_at_random(count))
    for _ in range(min(count, KNOWN)):
        assert run(engine.recall(_alias(fresh()), options)) is not None

    def recall(asked: Any) -> Any:
        found = run(engine.recall(_alias(asked), options))
        assert found is not None
        return found

    return Timed(recall, fresh)


def _recall_unknown(store: SQLite, count: int) -> Timed:
    options, journal, request = Options(), Journal(), _fresh(_at_random(count))

    def recall(asked: tuple[Engine, Any]) -> Any:
        engine, arguments = asked
        found = run(engine.recall(_alias(arguments), options))
        assert found is not None
        return found

    # A new engine has no alias at hand.
    return Timed(recall, lambda: (Engine(store, journal), request()))


def _get(store: SQLite, count: int) -> Timed:
    numbers = _at_random(count)
    return Timed(lambda asked: run(store.get((asked,))), lambda: key(numbers()))


def _dspy(count: int, folder: str) -> Timed:
    cache, answer, fresh = peers.dspy_cache(folder), workload.answer(), _fresh(_at_random(count))
    for number in range(count):
        cache.put(json.loads(workload.numbered(REQUEST, number)), answer)

    def get(asked: Any) -> Any:
        found = cache.get(asked)
        assert found is not None
        return found

    return Timed(get, fresh)


def _langchain(folder: str) -> Timed:
    cache = peers.langchain_sqlite(str(Path(folder) / "langchain.db"))
    lookup, update = peers.langchain_cache(cache)
    numbers = _at_random(LANGCHAIN)

    def messages(number: int) -> list[Any]:
        return peers.langchain_messages(json.loads(workload.numbered(REQUEST, number)))

    for number in range(LANGCHAIN):
        update(messages(number))

    def get(asked: list[Any]) -> Any:
        found = lookup(asked)
        assert found is not None
        return found

    return Timed(get, lambda: messages(numbers()))


def _litellm(folder: str) -> Timed:
    cache, answer = peers.litellm_cache("disk", disk_cache_dir=folder), peers.litellm_response()
    fresh = _fresh(_at_random(KNOWN))
    cache.add_cache(answer, **fresh())
    return Timed(lambda asked: cache.get_cache(**asked), fresh)
