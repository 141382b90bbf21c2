"""Scores every pair of a part, and asks the guards about it.

    PYTHONPATH=../../src:../src python judge.py PART MODEL TOKENIZER OUT

PART is a folder that split.py wrote. OUT gets a line for each pair: its digest, set, kind, label,
score, the guard that fired, and whether canonical text alone finds the two to be one question.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from pathlib import Path

from split import Pair, read

from askonce.guards.vetoes import veto
from askonce.semantic.canonical import Canonical, canonical
from askonce.semantic.verifier import Verifier

LEFT_OUT = ("mrpc",)
"""News: no questions, and "the same" is meant more loosely there."""


def digest(pair: Pair) -> str:
    """Return a name for a pair that does not tell its text."""
    return hashlib.sha256(f"{pair['q1']}\n{pair['q2']}".encode()).hexdigest()[:16]


def one_text(q1: str, q2: str) -> bool:
    """Say whether canonical text finds the two to be one question."""
    first, second = canonical(q1), canonical(q2)
    return isinstance(first, Canonical) and first == second


def main(part: Path, model: Path, tokenizer: Path, out: Path) -> None:
    """Score a part and write what was found."""
    verifier = Verifier(weights=model, tokenizer=tokenizer)
    with gzip.open(out, "wt", encoding="utf-8") as file:
        for path in sorted(part.glob("*.jsonl.gz")):
            name = path.name.partition(".")[0]
            if name in LEFT_OUT:
                continue
            for pair in read(path):
                q1, q2 = str(pair["q1"]), str(pair["q2"])
                row = {
                    "pair": digest(pair),
                    "set": name,
                    "kind": pair["kind"],
                    "label": pair["label"],
                    "score": round(verifier.scores([(q1, q2)])[0], 6),
                    "guard": veto(q1, q2),
                    "canonical": one_text(q1, q2),
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(*(Path(given) for given in sys.argv[1:5]))
