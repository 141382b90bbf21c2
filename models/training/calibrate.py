"""Fits the scale of the scores on the calibration part and counts right and wrong by cell.

    PYTHONPATH=../../src python calibrate.py JUDGED MINED READINGS OUT

JUDGED is what judge.py wrote of the calibration part, MINED of the pairs that mine.py found.
READINGS says of pairs, by their digest, what a reader found: of labelled ones where the label may
be wrong, of mined ones of all that were drawn to be read; no other mined pair is counted. OUT is
calibration.json; the scale and the shift are for `likeness.SHIPPED`, are printed and kept in it.

The score becomes the probability that a pair is right: two numbers, fitted on pairs that the guards
let pass, after J. Platt, "Probabilistic outputs for support vector machines" (1999).
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from pathlib import Path

from figures import Row, judged

from askonce.semantic.evidence import CELLS, cell

FITTED_ON = ("qqp", "mqp", "paws_en_dev")


def probability(at: float) -> float:
    """Return the probability of these log-odds."""
    return 1 / (1 + math.exp(-at))


def fitted(points: list[tuple[float, int]]) -> tuple[float, float]:
    """Return scale and shift of the logistic curve of greatest likelihood, by Newton's method."""
    scale, shift = 0.5, -0.5 * sum(x for x, _ in points) / len(points)
    for _ in range(50):
        g0 = g1 = h00 = h01 = h11 = 0.0
        for x, y in points:
            p = probability(scale * x + shift)
            g1 += (p - y) * x
            g0 += p - y
            w = p * (1 - p)
            h11 += w * x * x
            h01 += w * x
            h00 += w
        det = h11 * h00 - h01 * h01
        scale -= (h00 * g1 - h01 * g0) / det
        shift -= (h11 * g0 - h01 * g1) / det
    return scale, shift


def readings(path: Path) -> dict[str, int]:
    """Return 1 or 0 for pairs that were read: the same answer, or not."""
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return {row["pair"]: int(row["same"]) for row in rows}


def counted(rows: list[Row], scale: float, shift: float, truth: str) -> dict[str, list[int]]:
    """Return counts of right and wrong by cell."""
    right, wrong = [0] * CELLS, [0] * CELLS
    for row in rows:
        at = cell(probability(scale * row["total"] + shift))
        (right if row[truth] else wrong)[at] += 1
    return {"right": right, "wrong": wrong}


def main(path: Path, mined: Path, read: Path, out: Path) -> None:
    """Fit, count and write."""
    known = readings(read)
    rows = [row for row in judged(path) if not row["canonical"]]
    rows += [row for row in judged(mined) if row["pair"] in known]
    for row in rows:
        row["truth"] = known.get(row["pair"], row["label"])
    passed = [row for row in rows if not row["guard"]]
    points = [(row["total"], row["truth"]) for row in passed if row["set"] in FITTED_ON]
    scale, shift = (round(value, 4) for value in fitted(points))
    used = Counter(row["set"] for row in rows)
    made = {
        "lanes": {"verifier": counted(passed, scale, shift, "truth")},
        "without_guards": {"verifier": counted(rows, scale, shift, "truth")},
        "by_labels_alone": {"verifier": counted(passed, scale, shift, "label")},
        "scale": scale,
        "shift": shift,
        "made_from": {
            "pairs": dict(sorted(used.items())),
            "read": sum(row["pair"] in known for row in rows),
            "read_against_the_label": sum(row["truth"] != row["label"] for row in rows),
            "part": "calibration, of models/training/split.py, and what mine.py found",
        },
    }
    out.write_text(json.dumps(made, indent=1) + "\n")
    print(f"--scale {scale} --shift {shift}")


if __name__ == "__main__":
    main(*(Path(given) for given in sys.argv[1:5]))
