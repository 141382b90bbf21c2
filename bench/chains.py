"""Chains and tags: a hit, an invalidation, what is served after it, and the end of an answer.

A chain is a cached function with three tags that come from calls inside it. One tag is invalidated
in stores of many and of few entries, each of which carries it or one of ten thousand others. Eight
processes call a chain over one SQLite file while a ninth invalidates its tag (`invalidation.py`).
A crowd calls at once what has just ended, with `stale_while_revalidate`, while the provider holds
the one refresh back: whoever waited for it would not return.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import invalidation
import sqlite
import workload
from askonce import Cache, Policy
from askonce.blocking import run
from askonce.model import Entry
from askonce.stores.contract import Store
from askonce.stores.memory import Memory
from askonce.stores.sqlite import SQLite
from askonce.testing import FakeUpstream
from rows import ANY, Budget, Row, failure
from timing import Pace, Subject, Timed, race

KNOWN = 1_000
"""Different calls of the chain whose hits are timed."""
TAGS = 10_000
"""Documents that the entries are made from, beside the one that all are made from."""
ALL = "index"
GROWTH = Budget(at_most_times=1.5)
"""From few entries to many, in a step that is to cost the same."""
READERS, CHANGES = 8, 1_000
PATIENCE = 120.0
"""Seconds after which a call that has not come back is given up."""


def measure(pace: Pace) -> Iterator[Row]:
    """Measure all of it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        yield from _hits(pace, folder)
        yield from _invalidations(pace, folder)
    yield from _stale_answers(pace)
    yield from _expiries(pace)


# A hit


def _hits(pace: Pace, folder: Path) -> Iterator[Row]:
    yield from race(
        "Hit on a chain of three tags",
        [
            Subject(
                "askonce: in memory over SQLite",
                lambda: _chain(f"sqlite:///{folder}/tagged.db"),
                Budget(most=60),
                note="entries with tags are read from the file",
            ),
            Subject("askonce: in memory alone", lambda: _chain("memory://"), Budget(most=60)),
            Subject(
                "askonce: in memory over SQLite, without tags",
                lambda: _chain(f"sqlite:///{folder}/plain.db", tags=0),
            ),
        ],
        pace,
    )


def _chain(url: str, tags: int = 3) -> Timed:
    cache, runs = Cache(url), itertools.count()

    @cache
    def passage(number: int) -> str:
        with cache.using(tags=[f"doc:{number}"]):
            return workload.ANSWER_TEXT[:300]

    @cache(version="1")  # which counter it has says nothing of its answer
    def answer(question: str, top: int, language: str = "en") -> str:
        next(runs)
        return f"{question} in {language}: {''.join(passage(number) for number in range(top))}"

    numbers = itertools.cycle(range(KNOWN))
    for number in range(KNOWN):
        answer(_question(number), tags)

    def proof() -> None:
        answer(_question(0), tags)
        assert cache.last is not None
        assert (cache.last.kind, len(cache.last.tags)) == ("hit", tags)
        assert next(runs) == KNOWN

    return Timed(lambda asked: answer(asked, tags), lambda: _question(next(numbers)), proof)


def _question(number: int) -> str:
    return f"Question {number}: {workload.ANSWER_TEXT[:200]}"


# Invalidation


def _invalidations(pace: Pace, folder: Path) -> Iterator[Row]:
    counts = (pace.few, pace.many)
    files = {}
    for count in counts:
        path = folder / f"{count}.db"
        yield sqlite.build(path, count, _tags)
        files[count] = SQLite(path, limit="100GB")
    yield from _races("SQLite", files, pace)
    for store in files.values():
        run(store.close())
    yield from _races("memory", {count: _in_memory(count) for count in counts}, pace)


def _tags(number: int) -> Sequence[str]:
    return ALL, f"doc:{number % TAGS}"


def _in_memory(count: int) -> Memory:
    store = Memory("100GB")
    names = {tag for number in range(min(count, TAGS)) for tag in _tags(number)}
    versions = run(store.get((), names)).versions
    carried = [{tag: versions[tag] for tag in _tags(number)} for number in range(min(count, TAGS))]
    for number in range(count):
        entry = Entry(workload.ANSWER_JSON, time.time(), tags=carried[number % TAGS])
        store.keep({sqlite.key(number): entry})
    return store


def _races(where: str, stores: dict[int, Store], pace: Pace) -> Iterator[Row]:
    for what, all_of_it in (("one of many tags", False), ("the tag of every entry", True)):
        subjects = [
            Subject(
                f"askonce: {where}, {count:,} entries",
                lambda count=count, store=store, every=all_of_it: _invalidate(store, count, every),
                budget,
            )
            for (count, store), budget in zip(stores.items(), (ANY, GROWTH), strict=True)
        ]
        yield from race(f"Invalidation of {what}, {where}", subjects, pace)


def _invalidate(store: Store, count: int, every: bool) -> Timed:
    numbers = itertools.cycle(range(1, min(count, TAGS)))

    def proof() -> None:
        # Document 0 is not among these.
        spared, dead = run(store.get((sqlite.key(0), sqlite.key(1)))).entries
        assert dead is None
        assert (spared is None) == every

    return Timed(
        lambda tag: run(store.invalidate(tag)),
        lambda: ALL if every else f"doc:{next(numbers)}",
        proof,
    )


# What is served after an invalidation


def _stale_answers(pace: Pace) -> Iterator[Row]:
    """Let processes call while another one invalidates, and the same where that does nothing."""
    changes = max(10, CHANGES * pace.crowd // 1000)
    group = f"{READERS} processes call a chain while its document changes {changes:,} times"
    for kind, what, budget in (
        ("chain", "askonce: answers from before an invalidation, begun after it", Budget(most=0)),
        ("untagged", "the same without the tag: what this check sees then", ANY),
    ):
        try:
            yield _played(group, kind, what, budget, changes if kind == "chain" else 50)
        except Exception as error:
            yield failure(group, what, error, budget=budget)


def _played(group: str, kind: str, what: str, budget: Budget, changes: int) -> Row:
    with TemporaryDirectory() as folder, invalidation.one_file() as stage:
        played = invalidation.play(kind, stage, Path(folder), readers=READERS, most=changes)
    late = invalidation.stale(played)
    if kind == "untagged" and not late:
        raise AssertionError("this check cannot fail")
    note = f"of {len(played.calls):,} calls, {played.hits:.0%} of them hits; {changes:,} changes"
    return Row(group, what, "answers", len(late), budget=budget, note=note)


# The end of an answer


def _expiries(pace: Pace) -> Iterator[Row]:
    for name, crowd in (("threads", _threads), ("tasks", _tasks)):
        group = f"{pace.crowd:,} calls at once of what has just ended, {name}"
        what = "askonce: upstream calls for the next answer"
        try:
            with FakeUpstream() as upstream:
                taken, whole, calls = crowd(upstream, pace.crowd)
        except Exception as error:
            yield failure(group, what, error, budget=Budget(most=1))
            continue
        note = f"{len(taken):,} answered while the provider held the next answer back"
        yield Row(group, what, "calls", calls, budget=Budget(most=1), note=note)
        ordered = sorted(taken)
        yield Row(
            group,
            "askonce: the slowest call",
            "ms",
            1000 * ordered[-1],
            note=f"half of them took {1000 * ordered[len(taken) // 2]:.3g} ms or less, "
            f"all together {whole:.2f} s; stale answers pass through the SDK",
        )


class _Ended:
    """A cache with one answer, which is about to end."""

    def __init__(self) -> None:
        self.now = 0.0
        policy = Policy(ttl=3600, stale_while_revalidate=3600)
        self.cache = Cache("memory://", policy=policy, clock=lambda: self.now)

    def end(self) -> None:
        self.now = 3601.0

    def check(self, count: int) -> None:
        """Raise unless that many were given the old answer."""
        assert self.cache.stats().stale == count


Crowd = tuple[list[float], float, int]
"""Seconds that each call took, and all of them together; upstream calls."""


def _threads(upstream: FakeUpstream, count: int) -> Crowd:
    from openai import OpenAI

    ended, gate = _Ended(), threading.Barrier(count + 1)
    client = ended.cache.wrap(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0))
    taken: list[float] = []
    client.chat.completions.create(**REQUEST)
    ended.end()
    upstream.forget()

    def call() -> None:
        gate.wait()
        began = time.perf_counter()
        client.chat.completions.create(**REQUEST)
        taken.append(time.perf_counter() - began)

    callers = [threading.Thread(target=call, daemon=True) for _ in range(count)]
    with upstream.held():
        for caller in callers:
            caller.start()
        let_go = time.perf_counter()
        gate.wait()
        _join(callers)
        whole = time.perf_counter() - let_go
        upstream.wait_for_calls(1)
        assert len(taken) == count
    upstream.wait_until_idle()
    ended.check(count)
    return taken, whole, upstream.calls


def _join(callers: list[threading.Thread]) -> None:
    deadline = time.monotonic() + PATIENCE
    for caller in callers:
        caller.join(max(0.0, deadline - time.monotonic()))


def _tasks(upstream: FakeUpstream, count: int) -> Crowd:
    from openai import AsyncOpenAI

    async def crowd() -> Crowd:
        ended, taken = _Ended(), []
        url = f"{upstream.url}/v1"
        async with AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
            ended.cache.wrap(client)
            await client.chat.completions.create(**REQUEST)
            ended.end()
            upstream.forget()

            async def call() -> None:
                began = time.perf_counter()
                await client.chat.completions.create(**REQUEST)
                taken.append(time.perf_counter() - began)

            with upstream.held():
                async with asyncio.timeout(PATIENCE):
                    let_go = time.perf_counter()
                    await asyncio.gather(*(call() for _ in range(count)))
                whole = time.perf_counter() - let_go
                await asyncio.to_thread(upstream.wait_for_calls, 1)
            await asyncio.to_thread(upstream.wait_until_idle)
            ended.check(count)
            return taken, whole, upstream.calls

    return asyncio.run(crowd())


REQUEST = {
    "model": workload.MODEL,
    "temperature": 0,
    "messages": [{"role": "user", "content": "What is RAG?"}],
}
