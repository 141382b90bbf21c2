"""Draws pairs to be read: some of each mined set that the lane `verifier` would serve.

    PYTHONPATH=../../src python sample.py MINED JUDGED LEAST COUNT > to_read.jsonl

MINED is the folder that mine.py wrote, JUDGED what judge.py wrote of it. Of each set COUNT pairs
with a score of LEAST or more are drawn, in the order of their digests: a label has no say in it.
What a reader found goes into readings.jsonl, a line a pair: {"pair", "label", "same", "why"}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from figures import judged
from judge import digest
from split import read


def main(mined: Path, scores: Path, least: float, count: int) -> None:
    """Print the pairs."""
    texts = {digest(pair): pair for path in mined.glob("*.jsonl.gz") for pair in read(path)}
    drawn: dict[str, int] = {}
    for row in sorted(judged(scores), key=lambda row: row["pair"]):
        served = row["score"] >= least and not row["guard"] and not row["canonical"]
        if served and drawn.get(row["set"], 0) < count:
            drawn[row["set"]] = drawn.get(row["set"], 0) + 1
            pair = texts[row["pair"]]
            shown = {"pair": row["pair"], "set": row["set"], "q1": pair["q1"], "q2": pair["q2"]}
            print(json.dumps(shown, ensure_ascii=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
