"""Fits the score of the lane of agreement, and counts the evidence that it is shipped with.

Half of the intents, by a hash of their names, are for this; `streams.py` reports on the others.
The weights are fitted on all sets of intents, each with the same say. The counts are those of
banking77 alone, whose intents are nearest to each other: evidence from easier traffic would open
the lane too far for harder traffic.

    python bench/agreement.py FOLDER [--vectors FOLDER] [--counts OUT.json]

OUT.json has the form of the lane's entry in `calibration.json` of askonce-models.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy
from numpy.typing import NDArray

from askonce.commands import simulated
from askonce.commands.labelled import Question
from askonce.commands.strategies import Judge, Layered, replay
from askonce.guards.vetoes import veto
from askonce.semantic import agreement, evidence, lanes
from askonce.semantic.agreement import Agreement
from askonce.semantic.contract import Neighbour
from streams import Vectors, questions

SETS = ("banking77", "clinc150", "bitext")
SIZES = (1.0, 0.5, 0.25, 0.12)
"""Parts of a set that make a stream: how far neighbours are depends on how many there are."""
HARDEST = "banking77"
CLOSED = 1e-9


@dataclass(slots=True)
class Watched(Layered):
    """Notes how the neighbours of each question agree, and whether their answer is right."""

    seen: list[tuple[Agreement, bool]] = field(default_factory=list)

    def _learn(self, place: int, near: Sequence[Neighbour], decision: lanes.Decision) -> None:
        found = agreement.among([it for it in near if not it.wording.barred])
        if found is not None:
            asked, other = self.stream[place], int.from_bytes(near[0].wording.answer, "big")
            self.seen.append((found, self.stream[other].answer_id == asked.answer_id))
        Layered._learn(self, place, near, decision)


def watch(
    known: Sequence[Question], vectors: NDArray[numpy.float32], size: float, guards: lanes.Guards
) -> Watched:
    """Replay a part of a set, with nothing served and everything judged."""
    order = numpy.random.default_rng(int(size * 100)).permutation(len(known))
    order = order[: int(size * len(known))]
    stream = [known[place] for place in order]
    watched = Watched(stream, Judge(0.0, random.Random(1)), CLOSED, 0.05, guards=guards)
    replay(vectors[order], [watched])
    return watched


def fitted(
    features: NDArray[numpy.float64], right: NDArray[numpy.float64], weight: NDArray[numpy.float64]
) -> NDArray[numpy.float64]:
    """Fit a logistic by Newton's method."""
    beta = numpy.zeros(features.shape[1])
    for _ in range(50):
        chance = 1.0 / (1.0 + numpy.exp(-features @ beta))
        gradient = features.T @ (weight * (right - chance))
        information = features.T @ (features * (weight * chance * (1.0 - chance))[:, None])
        step = numpy.linalg.solve(information + 1e-9 * numpy.eye(len(beta)), gradient)
        beta = beta + step
        if abs(step).max() < 1e-9:
            break
    return beta


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--counts", type=Path)
    arguments = parser.parse_args()
    guards = simulated.remembered(veto)
    seen: dict[str, list[tuple[Agreement, bool]]] = {}
    for name in SETS:
        known = questions(arguments.folder, name, tuning=True)
        vectors = Vectors(arguments.vectors).of(f"{name}-tuning", [it.text for it in known])
        watched = [watch(known, vectors, size, guards) for size in SIZES]
        seen[name] = [row for it in watched for row in it.seen]
        if name == HARDEST:
            tally = evidence.read(watched[0].counts)[evidence.AGREEMENT]
    for left_out in ("", *SETS):
        used = {name: it for name, it in seen.items() if name != left_out}
        table = [
            (1.0, it.similarity, it.margin, it.share, it.run / agreement.NEAREST, right, len(rows))
            for rows in used.values()
            for it, right in rows
        ]
        array = numpy.array(table)
        beta = fitted(array[:, :5], array[:, 5], 1.0 / array[:, 6])
        told = ", ".join(f"{value:.2f}" for value in beta)
        print(f"weights without {left_out or 'none'}: {told} ({len(table):,} cases)")
    print(f"counts of {HARDEST}: {sum(tally.right)} right, {sum(tally.wrong)} wrong")
    if arguments.counts is not None:
        counts = {"right": list(tally.right), "wrong": list(tally.wrong)}
        arguments.counts.write_text(json.dumps({"lanes": {"agreement": counts}}) + "\n", "ascii")


if __name__ == "__main__":
    main()
