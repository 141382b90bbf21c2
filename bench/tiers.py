"""One table: what each tier serves of labelled pairs that nothing was trained or calibrated on.

    python bench/tiers.py FOLDER

FOLDER holds `SET.jsonl.gz` of `{"q1", "q2", "label"}`: the part `test` that
`models/training/split.py` writes, which shares no question with the others. Coverage is the part of
the pairs with one answer that is served; false hits are those of the pairs with different answers,
by their labels, with the interval of Clopper and Pearson at 95 %. Vectors are those of the shipped
embedder; 0.80 is what GPTCache is shipped with, 0.90 what RedisVL is.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from askonce.commands import evaluated, labelled, simulated
from askonce.commands.evaluated import Result
from askonce.commands.labelled import Pair
from askonce.guards.vetoes import veto
from askonce.semantic import bounds, calibration, lanes
from askonce.semantic.contract import Neighbour, Wording
from askonce.semantic.evidence import VERIFIER, Evidence, Threshold

COSINES = (0.80, 0.85, 0.88, 0.90, 0.92, 0.94, 0.95, 0.96, 0.97)
MAX_ERRORS = (0.01, 0.02, 0.05)
LEFT_OUT = ("mrpc",)
"""News: no questions, and "the same" is meant more loosely there."""
CLOSED = lanes.open_lanes(Evidence(), 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    for path in sorted(folder.glob("*.jsonl.gz")):
        name = path.name.partition(".")[0]
        if name not in LEFT_OUT:
            pairs = labelled.read(path, Pair, "")
            print(f"\n{name}: {len(pairs):,} pairs, {sum(it.label for it in pairs):,} the same\n")
            print("| tier | coverage | false hits | of served, 95 % |")
            print("|---|---|---|---|", flush=True)
            for said, result in rows(pairs):
                print(row(said, result), flush=True)


def rows(pairs: Sequence[Pair]) -> Iterator[tuple[str, Result]]:
    """Yield what each tier serves, the simplest first."""
    found = evaluated.run(pairs, MAX_ERRORS, COSINES)
    by_tier = {(it.tier, it.operating_point): it for it in found.results}
    for point in COSINES:
        yield f"cosine >= {point:.2f}", by_tier["cosine", point]
    similar = evaluated.similarities(pairs)
    free = [veto(it.q1, it.q2) is None for it in pairs]
    for point in (0.80, 0.90, 0.95):
        served = [at for at, it in enumerate(similar) if it >= point and free[at]]
        yield f"guards, cosine >= {point:.2f}", evaluated.result(pairs, "", point, served)
    yield "canonical text", by_tier["canonical", 1.0]
    opening = first_opening()
    if opening is not None:
        least = opening.score
        scored = scores(pairs, similar, lambda *_: None)
        served = [at for at, it in enumerate(scored) if it >= least]
        yield f"verifier >= {least:.3f}", evaluated.result(pairs, "", least, served)
    for point in MAX_ERRORS:
        yield f"all tiers, max_error={point}", by_tier["direct", point]


def first_opening() -> Threshold | None:
    """Return where the verifier's lane opens at the strictest bound at which it does."""
    shipped = Evidence({}, calibration.shipped())
    openings = (shipped.threshold(VERIFIER, it) for it in MAX_ERRORS)
    return next((it for it in openings if isinstance(it, Threshold)), None)


def scores(pairs: Sequence[Pair], similar: Sequence[float], guards: lanes.Guards) -> list[float]:
    """Return the score that the verifier's lane gives each pair; 0 where it is not asked."""
    verify = simulated.verifier()
    made = []
    for pair, similarity in zip(pairs, similar, strict=True):
        kept = Neighbour(Wording(b"kept", b"", b"kept", pair.q1), similarity)
        offers = lanes.decide(pair.q2, [kept], CLOSED, verify, guards=guards).offers
        made.append(next((it.score for it in offers if it.lane == VERIFIER), 0.0))
    return made


def row(said: str, it: Result) -> str:
    """Write one line of the table."""
    wrong, served = len(it.false), it.true_hits + len(it.false)
    low, high = bounds.interval(wrong, served) if served else (0.0, 1.0)
    most = bounds.interval(wrong, it.negatives)[1] if it.negatives else 0.0
    return (
        f"| {said} | {it.coverage:.1%} | {wrong} of {it.negatives} (<= {most:.2%}) | "
        f"{wrong} of {served} [{low:.1%}, {high:.1%}] |"
    )


if __name__ == "__main__":
    main()
