"""Scores every pair of a part as the lane `verifier` does, and asks the guards about it.

    PYTHONPATH=../../src:../src python judge.py PART MODEL TOKENIZER OUT

PART is a folder that split.py wrote. OUT gets a line for each pair: its digest, set, kind, label,
`read`, what the verifier says, `total`, the log-odds of that and the cosine together before they
are fitted, `score` after it, the guard that fired, and whether canonical text alone finds the two
to be one question.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from pathlib import Path

from split import Pair, read

from askonce.embedders import EmbedderError, Local
from askonce.guards.vetoes import veto
from askonce.semantic import likeness
from askonce.semantic.canonical import Canonical, canonical
from askonce.semantic.verifier import Verifier

LEFT_OUT = ("mrpc",)
"""News: no questions, and "the same" is meant more loosely there."""


NEVER = -5.0
"""Log-odds of a pair that the verifier cannot read: below all others."""


def digest(pair: Pair) -> str:
    """Return a name for a pair that does not tell its text."""
    return hashlib.sha256(f"{pair['q1']}\n{pair['q2']}".encode()).hexdigest()[:16]


def one_text(q1: str, q2: str) -> bool:
    """Say whether canonical text finds the two to be one question."""
    first, second = canonical(q1), canonical(q2)
    return isinstance(first, Canonical) and first == second


def cosine(embedder: Local, q1: str, q2: str) -> float:
    """Return the cosine of two texts; 0 where one cannot be read."""
    try:
        one, other = embedder.embed([q1, q2])
    except EmbedderError:
        return 0.0
    return float(one @ other)


def judged(read: float, similarity: float, q1: str, q2: str) -> dict[str, float]:
    """Return what the verifier says, and what it and the cosine say together."""
    is_read = 0.0 < read < 1.0
    total = likeness.total(read, similarity, q1, q2) if is_read else NEVER
    score = likeness.score(read, similarity, q1, q2)
    return {"read": round(read, 6), "total": round(total, 4), "score": round(score, 6)}


def main(part: Path, model: Path, tokenizer: Path, out: Path) -> None:
    """Score a part and write what was found."""
    verifier, embedder = Verifier(weights=model, tokenizer=tokenizer), Local()
    with gzip.open(out, "wt", encoding="utf-8") as file:
        for path in sorted(part.glob("*.jsonl.gz")):
            name = path.name.partition(".")[0]
            if name in LEFT_OUT:
                continue
            for pair in read(path):
                q1, q2 = str(pair["q1"]), str(pair["q2"])
                scored = judged(verifier.scores([(q1, q2)])[0], cosine(embedder, q1, q2), q1, q2)
                row = {
                    "pair": digest(pair),
                    "set": name,
                    "kind": pair["kind"],
                    "label": pair["label"],
                    **scored,
                    "guard": veto(q1, q2),
                    "canonical": one_text(q1, q2),
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(*(Path(given) for given in sys.argv[1:5]))
