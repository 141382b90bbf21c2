"""Replays a labelled stream by the code that serves, and by what it is compared with."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from askonce.commands import rates
from askonce.commands.error_bound import ErrorBound
from askonce.commands.labelled import Question
from askonce.commands.rates import Rates
from askonce.commands.strategies import Judge, Layered, Static, Strategy, replay
from askonce.embedders.local import Local
from askonce.embedders.vectors import EmbedderError
from askonce.guards.vetoes import veto
from askonce.semantic import calibration, lanes
from askonce.semantic.contract import Embedder

TOGETHER = 64
PARTS = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """How to replay. `static` and `deltas` are the settings of what it is compared with."""

    max_error: float
    audits: float = 0.05
    noise: float = 0.0
    calibrated: bool = True
    seed: int = 1
    static: Sequence[float] = ()
    deltas: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it. Each comparison has its method, setting, and rates: whole and last half."""

    embedder: str
    whole: Rates
    last_half: Rates
    over_time: Sequence[tuple[int, Rates]]
    openings: lanes.Openings
    compared: Sequence[tuple[str, float, Rates, Rates]]


def vectors(
    texts: Sequence[str], progress: Callable[[float], None], embedder: Embedder | None = None
) -> NDArray[numpy.float32]:
    """Return a vector for each text; of zeros, which is near to nothing, for one that has none."""
    embedder = embedder or Local()
    found = numpy.zeros((len(texts), embedder.dimension), numpy.float32)
    for begin in range(0, len(texts), TOGETHER):
        some = texts[begin : begin + TOGETHER]
        try:
            found[begin : begin + len(some)] = embedder.embed(some)
        except EmbedderError:
            for place, text in enumerate(some, begin):
                found[place] = _vector(embedder, text)
        progress(min(1.0, (begin + TOGETHER) / len(texts)))
    return found


def _vector(embedder: Embedder, text: str) -> NDArray[numpy.float32]:
    try:
        found: NDArray[numpy.float32] = embedder.embed([text])[0]
    except EmbedderError:
        return numpy.zeros(embedder.dimension, numpy.float32)
    return found


def run(
    stream: Sequence[Question],
    found: NDArray[numpy.float32],
    plan: Plan,
    progress: Callable[[float], None] = lambda _: None,
) -> Found:
    """Replay a stream."""
    shipped = calibration.shipped() if plan.calibrated else {}
    judge = Judge(plan.noise, random.Random(plan.seed))  # noqa: S311 (no secret)
    ours = Layered(
        stream, judge, plan.max_error, plan.audits, shipped, verifier(), guards=remembered(veto)
    )
    others: list[tuple[str, float, Strategy]] = [
        ("static cosine", threshold, Static(stream, threshold)) for threshold in plan.static
    ]
    for delta in plan.deltas:
        chance = random.Random(plan.seed)  # noqa: S311 (no secret)
        others.append(("error bound", delta, ErrorBound(stream, delta, chance)))
    served, *logs = replay(found, [ours, *(it for _, _, it in others)], progress)
    half = len(stream) // 2
    ends = sorted({len(stream) * part // PARTS for part in range(1, PARTS + 1)} - {0})
    return Found(
        "all-MiniLM-L6-v2",
        rates.of(stream, served),
        rates.of(stream, served, half),
        [
            (end, rates.of(stream, served, begin, end))
            for begin, end in zip([0, *ends], ends, strict=False)
        ],
        ours.openings,
        [
            (method, setting, rates.of(stream, log), rates.of(stream, log, half))
            for (method, setting, _), log in zip(others, logs, strict=True)
        ],
    )


def verifier() -> lanes.Verify | None:
    """Return what reads two questions side by side, where its weights are installed."""
    from askonce.searching import verify

    return verify()


def remembered(guards: lanes.Guards) -> lanes.Guards:
    """Ask the guards once about each pair, whatever number of strategies comes across it."""
    known: dict[tuple[str, str], str | None] = {}

    def ask(old: str, new: str) -> str | None:
        if (old, new) not in known:
            known[old, new] = guards(old, new)
        return known[old, new]

    return ask


def once(verify: lanes.Verify) -> lanes.Verify:
    """Ask the verifier once about each pair."""
    known: dict[tuple[str, str], float] = {}

    def ask(old: str, new: str) -> float:
        if (old, new) not in known:
            known[old, new] = verify(old, new)
        return known[old, new]

    return ask
