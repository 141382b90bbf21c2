"""Tells how often a verifier is right, alone and with guards, by set and by kind.

    PYTHONPATH=../../src python figures.py JUDGED [THRESHOLD ...]

JUDGED is what judge.py wrote. Wrong is what carries the label "different"; what that label is
worth is another question (see the card).
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from askonce.semantic.bounds import interval

Row = dict[str, Any]


def judged(path: Path) -> list[Row]:
    """Read what judge.py wrote."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def area(rows: list[Row]) -> float:
    """Return the area under the ROC curve: how often a true pair is above a false one."""
    ordered = sorted(rows, key=lambda row: row["score"])
    below, wins, true = 0, 0, 0
    for row in ordered:
        if row["label"]:
            true += 1
            wins += below
        else:
            below += 1
    return wins / (true * below) if true and below else float("nan")


def line(name: str, rows: list[Row], least: float, *, guards: bool) -> str:
    """Return coverage of true pairs, and hits labelled wrong among all hits and among negatives."""
    hits = [row for row in rows if row["score"] >= least and not (guards and row["guard"])]
    true = sum(row["label"] for row in rows)
    wrong = sum(not row["label"] for row in hits)
    right = len(hits) - wrong
    negatives = len(rows) - true
    low, high = interval(wrong, len(hits)) if hits else (0.0, 1.0)
    of_negatives = interval(wrong, negatives)[1] if negatives else 0.0
    return (
        f"  {name[:44]:44} {right:5}/{true:5} {100 * right / true if true else 0:5.1f} %"
        f"   {wrong:4}/{len(hits):5} [{100 * low:5.2f}, {100 * high:6.2f}] %"
        f"   {wrong:4}/{negatives:5} <= {100 * of_negatives:5.2f} %"
    )


def main(path: Path, thresholds: list[float]) -> None:
    """Print the table."""
    rows = judged(path)
    sets: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        sets[row["set"]].append(row)
        if row["set"].startswith("checklist"):
            sets[f"  {row['kind']}"].append(row)
    for name in ("qqp", "mqp", "paws_en_dev"):
        if name in sets:
            print(f"area under the curve, {name}: {area(sets[name]):.4f}")
    print(f"  {'':44} {'covered':>19}   {'wrong of served, 95 %':>28}   wrong of negatives")
    for least in thresholds:
        for guards in (False, True):
            print(f"score >= {least}{' and guards' if guards else ''}")
            for name, mine in sets.items():
                print(line(name, mine, least, guards=guards))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [float(given) for given in sys.argv[2:]] or [0.9])
