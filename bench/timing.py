"""Times calls side by side: on one core, in turns, each call on an argument that is new to it.

Python keeps the UTF-8 form of a text once it was asked for, so a request that is used twice makes
its second key cheaper than any real caller's. Each call here gets a fresh object, made outside the
timing.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from rows import ANY, Budget, Row, failure

BACKGROUND = 0.05
"""Seconds in which a peer's background threads end their work before the next one's turn."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how large a run is."""

    rounds: int
    seconds: float
    """For each subject in each round."""
    few: int
    """Entries in a small store."""
    many: int
    """Entries in a large store."""
    crowd: int
    """Calls made at once."""
    repeats: int
    """Processes started to measure one import."""


FULL = Pace(rounds=9, seconds=0.3, few=10_000, many=1_000_000, crowd=1_000, repeats=11)
QUICK = Pace(rounds=2, seconds=0.05, few=1_000, many=5_000, crowd=50, repeats=2)


@dataclass(frozen=True, slots=True)
class Timed:
    """A call that is ready to be timed."""

    call: Callable[[Any], Any]
    fresh: Callable[[], Any]
    """Makes the call's argument, outside the timing."""
    proof: Callable[[], None] = field(default=lambda: None)
    """Raises, after the timing, if the calls were not what they are said to be."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Something to be timed. `prepare` imports, fills and checks it, and may fail."""

    what: str
    prepare: Callable[[], Timed]
    budget: Budget = ANY
    note: str = ""
    ratio_of: Literal["p50", "mean"] = "p50"
    """The mean, for a peer that leaves work to a thread which holds up some later call."""


def race(
    group: str, subjects: Sequence[Subject], pace: Pace, runner: asyncio.Runner | None = None
) -> Iterator[Row]:
    """Time subjects in turns; with a runner, their calls are awaited on its loop.

    Ratios are those to the first subject, which is ours. A subject that cannot be prepared is a
    row that says why.
    """
    failures: dict[str, Exception] = {}
    ready = _prepared(subjects, failures)
    with one_core():
        taken = _in_turns(ready, pace, runner, failures)
    first: dict[str, float] = {}
    for subject in subjects:
        if subject.what in failures:
            yield failure(group, subject.what, failures[subject.what], budget=subject.budget)
            continue
        row = _row(group, subject, taken[subject.what], first)
        if subject is subjects[0]:
            first = {"p50": row.p50, "mean": row.mean or 0.0}
        yield row


def _row(
    group: str, subject: Subject, stints: Sequence[Sequence[float]], first: Mapping[str, float]
) -> Row:
    calls = sorted(call for stint in stints for call in stint)
    # Of the rounds' means the middle one: another program that cuts in spoils a round or two.
    mean = statistics.median(statistics.fmean(stint) for stint in stints)
    figures = {"p50": quantile(calls, 0.50), "mean": mean}
    return Row(
        group,
        subject.what,
        "us",
        **figures,
        p99=quantile(calls, 0.99),
        ratio=figures[subject.ratio_of] / first[subject.ratio_of] if first else None,
        ratio_of=subject.ratio_of,
        budget=subject.budget,
        note=subject.note,
        calls=len(calls),
        rounds=[quantile(sorted(stint), 0.50) for stint in stints],
    )


def _prepared(subjects: Sequence[Subject], failures: dict[str, Exception]) -> dict[str, Timed]:
    ready = {}
    for subject in subjects:
        with _noting(failures, subject.what):
            ready[subject.what] = subject.prepare()
    return ready


def _in_turns(
    ready: Mapping[str, Timed],
    pace: Pace,
    runner: asyncio.Runner | None,
    failures: dict[str, Exception],
) -> dict[str, list[list[float]]]:
    taken: dict[str, list[list[float]]] = {what: [] for what in ready}
    for _ in range(1 + pace.rounds):
        for what in [name for name in ready if name not in failures]:
            with _noting(failures, what):
                taken[what].append(_turn(ready[what], pace.seconds, runner))
    for what, timed in ready.items():
        with _noting(failures, what):
            timed.proof()
    # The first round only warms up.
    return {what: stints[1:] for what, stints in taken.items()}


def _turn(timed: Timed, seconds: float, runner: asyncio.Runner | None) -> list[float]:
    gc.collect()
    if runner is None:
        taken = _stint(timed, seconds)
        time.sleep(BACKGROUND)
        return taken
    taken = runner.run(_async_stint(timed, seconds))
    runner.run(asyncio.sleep(BACKGROUND))
    return taken


@contextmanager
def _noting(failures: dict[str, Exception], what: str) -> Iterator[None]:
    """Let one subject fail without the others."""
    try:
        yield
    except Exception as error:
        failures.setdefault(what, error)


def _stint(timed: Timed, seconds: float) -> list[float]:
    """Call for so many seconds, and return the microseconds that each call took."""
    call, fresh, clock = timed.call, timed.fresh, time.perf_counter_ns
    taken = []
    end = clock() + int(seconds * 1e9)
    while clock() < end or not taken:
        argument = fresh()
        began = clock()
        call(argument)
        taken.append((clock() - began) / 1e3)
    return taken


async def _async_stint(timed: Timed, seconds: float) -> list[float]:
    call, fresh, clock = timed.call, timed.fresh, time.perf_counter_ns
    taken = []
    end = clock() + int(seconds * 1e9)
    while clock() < end or not taken:
        argument = fresh()
        began = clock()
        await call(argument)
        taken.append((clock() - began) / 1e3)
    return taken


def quantile(ordered: Sequence[float], part: float) -> float:
    """Return the value below which this part of all lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


@contextmanager
def one_core() -> Iterator[None]:
    """Stay on one core, so that no call is moved in its middle; where the system can say so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    # The last one: interrupts are mostly served by the first.
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
