"""Streams of questions through the tiers: hits, wrong hits, and the same by what others do.

Nothing here was tuned on: the intents are those that `agreement.py` leaves out, and Quora's
questions were never looked at. The data is named, never copied: a folder of
`intents/*.jsonl.gz` (`{"text", "intent"}`) and `qqp.jsonl.gz` (`{"q1", "q2", "label"}`, of which
the questions that are duplicates by any chain of labels are one answer).

    python bench/streams.py FOLDER [--vectors FOLDER] [--sets NAMES] [--seeds 3] [--most 15000]

`--vectors` is where the vectors of texts are kept from run to run.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy
from numpy.typing import NDArray

from askonce.commands import rates, simulated
from askonce.commands.error_bound import ErrorBound
from askonce.commands.labelled import Question
from askonce.commands.rates import Rates
from askonce.commands.strategies import Judge, Layered, Static, Strategy, replay
from askonce.guards.vetoes import veto
from askonce.semantic import bounds, calibration, lanes

SETS = ("banking77", "clinc150", "bitext", "quora")
MAX_ERRORS = (0.01, 0.02, 0.05)
NOISES = (0.0, 0.003, 0.01, 0.03)
STATIC = [place / 100 for place in range(70, 100)]
DELTAS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
PARTS = ("whole stream", "last half")


def for_tuning(intent: str) -> bool:
    """Say whether an intent was tuned on: half of them, by a hash."""
    return hashlib.sha256(f"askonce-agreement:{intent}".encode()).digest()[0] % 2 == 0


def rows(path: Path) -> Iterator[dict[str, str | int]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def questions(folder: Path, name: str, *, tuning: bool = False) -> list[Question]:
    """Return the questions of one set in a fixed order: those tuned on, or the others."""
    if name == "quora":
        return [] if tuning else clusters(folder / "qqp.jsonl.gz")
    found = rows(folder / "intents" / f"{name}.jsonl.gz")
    return [
        Question(str(row["text"]), str(row["intent"]))
        for row in found
        if for_tuning(str(row["intent"])) == tuning
    ]


def clusters(path: Path) -> list[Question]:
    """Return the questions that have a duplicate, with the first of each chain as their answer."""
    above: dict[str, str] = {}

    def top(text: str) -> str:
        above.setdefault(text, text)
        while above[text] != text:
            above[text] = above[above[text]]
            text = above[text]
        return text

    for row in rows(path):
        one, other = top(str(row["q1"])), top(str(row["q2"]))
        if row["label"] == 1:
            above[other] = one
    sizes = Counter(map(top, above))
    return [Question(text, top(text)) for text in above if sizes[top(text)] > 1]


class Vectors:
    """Makes the vectors of texts, and keeps them in a folder if there is one."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def of(self, name: str, texts: Sequence[str]) -> NDArray[numpy.float32]:
        if self._folder is None:
            return simulated.vectors(texts, lambda _: None)
        digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
        path = self._folder / f"{name}-{digest}.npy"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            numpy.save(path, simulated.vectors(texts, lambda _: None))
        found: NDArray[numpy.float32] = numpy.load(path)
        return found


def strategies(
    stream: Sequence[Question], verify: lanes.Verify | None, guards: lanes.Guards, seed: int
) -> dict[tuple[str, float, float], Strategy]:
    """Return ours by (calibration, max_error, noise), and what it is compared with."""
    found: dict[tuple[str, float, float], Strategy] = {}
    for shipped, counts in (("shipped", calibration.shipped()), ("none", {})):
        for max_error in MAX_ERRORS:
            for noise in NOISES if shipped == "shipped" else NOISES[:1]:
                judge = Judge(noise, random.Random(seed))
                found[shipped, max_error, noise] = Layered(
                    stream, judge, max_error, 0.05, counts, verify, guards=guards
                )
    for threshold in STATIC:
        found["static", threshold, 0.0] = Static(stream, threshold)
    for delta in DELTAS:
        found["error bound", delta, 0.0] = ErrorBound(stream, delta, random.Random(seed))
    return found


def at_error(points: Sequence[Rates], error: float) -> float:
    """Return the hit rate that a method reaches at this error among hits, between its settings."""
    curve = sorted((it.error, it.hit_rate) for it in points if it.hits)
    best = max((rate for it, rate in curve if it <= error), default=0.0)
    for (low, below), (high, above) in pairwise(curve):
        if low <= error < high:
            best = max(best, below + (above - below) * (error - low) / (high - low))
    return best


def together(parts: Sequence[Rates]) -> Rates:
    """Add up the same part of several streams."""
    tiers: Counter[str] = Counter()
    for it in parts:
        tiers.update(it.tiers)
    return Rates(
        sum(it.questions for it in parts),
        sum(it.hits for it in parts),
        sum(it.wrong for it in parts),
        tiers,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most", type=int, default=15000, help="questions of a stream")
    arguments = parser.parse_args()
    guards = simulated.remembered(veto)
    verify = simulated.verifier()
    if verify is not None:
        verify = simulated.once(verify)
    for name in arguments.sets.split(","):
        known = questions(arguments.folder, name)
        vectors = Vectors(arguments.vectors).of(name, [it.text for it in known])
        logs: dict[str, dict[tuple[str, float, float], list[Rates]]] = {
            part: defaultdict(list) for part in PARTS
        }
        for seed in range(1, arguments.seeds + 1):
            order = numpy.random.default_rng(seed).permutation(len(known))[: arguments.most]
            stream = [known[place] for place in order]
            ways = strategies(stream, verify, guards, seed)
            for way, served in zip(ways, replay(vectors[order], [*ways.values()]), strict=True):
                for part, begin in zip(PARTS, (0, len(stream) // 2), strict=True):
                    logs[part][way].append(rates.of(stream, served, begin))
        report(name, len(order), logs)


def report(
    name: str, size: int, logs: dict[str, dict[tuple[str, float, float], list[Rates]]]
) -> None:
    """Print a line for each of our settings, with what the others reach at the same error."""
    print(f"\n## {name}: {size:,} questions, {len(next(iter(logs[PARTS[0]].values())))} orders")
    for part, found in logs.items():
        all_of_it = {way: together(it) for way, it in found.items()}
        others = {
            kind: [it for (other, *_), it in all_of_it.items() if other == kind]
            for kind in ("static", "error bound")
        }
        for (kind, setting, noise), it in all_of_it.items():
            if kind in others:
                continue
            static, error_bound = (at_error(others[other], it.error) for other in others)
            best = max(static, error_bound)
            highest = max(bounds.upper(one.wrong, one.hits) for one in found[kind, setting, noise])
            ratio = f"{it.hit_rate / best:.1f} x" if best else "-"
            tiers = ", ".join(
                f"{tier} {count / it.questions:.1%}" for tier, count in it.tiers.items()
            )
            print(
                f"{part}, {kind}, max_error {setting:g}, noise {noise:.1%}: "
                f"hits {it.hit_rate:.1%}, "
                f"wrong {it.error:.2%}, at most {bounds.upper(it.wrong, it.hits):.2%} "
                f"(worst order {highest:.2%}); at this error static {static:.1%}, "
                f"error bound {error_bound:.1%}: {ratio} ({tiers})",
                flush=True,
            )
        for kind, settings in (("static", (0.8, 0.9, 0.92, 0.95)), ("error bound", DELTAS[2:5])):
            told = (
                f"{setting:g} {all_of_it[kind, setting, 0.0].hit_rate:.1%} hits "
                f"{all_of_it[kind, setting, 0.0].error:.2%} wrong"
                for setting in settings
            )
            print(f"{part}, {kind}: {'; '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
