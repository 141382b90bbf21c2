"""Finds pairs as the lane `verifier` meets them: a question, and the nearest one the guards leave.

    PYTHONPATH=../../src:../src:../../bench python mine.py DATA PARTS

DATA is the folder of intents, PARTS what split.py wrote. PARTS/mined gets a file of pairs for each
source: the half of the intents that `bench/agreement.py` was fitted on, and the questions of Quora
in the calibration part, without the pairs that have a label. Questions whose three nearest are of
one intent are left out: the lane of agreement comes first there. Where a source has intents the
label is whether they are equal; for Quora's it is 0 and says nothing. No pair was trained on.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import numpy
from split import Pair, normal, read

from askonce.commands import simulated
from askonce.commands.labelled import Question
from askonce.guards.exactness import exact_only
from askonce.guards.vetoes import veto
from askonce.semantic.agreement import LEAST
from askonce.semantic.lanes import FLOOR, TRIED
from streams import questions

INTENTS = ("banking77", "clinc150", "bitext")
QUORA = "qqp_nearest"
SEED = 1


def of_quora(parts: Path) -> tuple[list[Question], set[frozenset[str]]]:
    """Return the questions of the calibration part, and which pairs of them have a label."""
    pairs = read(parts / "calibration" / "qqp.jsonl.gz")
    texts = {normal(text): text for pair in pairs for text in (str(pair["q1"]), str(pair["q2"]))}
    labelled = {frozenset((normal(str(pair["q1"])), normal(str(pair["q2"])))) for pair in pairs}
    return [Question(text, str(at)) for at, text in enumerate(texts.values())], labelled


def nearest(name: str, known: Sequence[Question], labelled: set[frozenset[str]]) -> Iterator[Pair]:
    """Go through the questions in random order, and yield each beside its nearest earlier one."""
    asked = list({it.text: it for it in known if exact_only(it.text) is None}.values())
    Random(SEED).shuffle(asked)
    vectors = simulated.vectors([it.text for it in asked], lambda _: None)
    for at in range(1, len(asked)):
        cosines = vectors[:at] @ vectors[at]
        order = numpy.argsort(-cosines)[:TRIED]
        if len({asked[other].answer_id for other in order[:LEAST]}) == 1 and at >= LEAST:
            continue
        for other in order:
            old, new = asked[other], asked[at]
            if cosines[other] < FLOOR:
                break
            if veto(old.text, new.text) is None:
                if frozenset((normal(old.text), normal(new.text))) not in labelled:
                    label = int(old.answer_id == new.answer_id)
                    yield {"q1": old.text, "q2": new.text, "label": label, "kind": "", "src": name}
                break


def main(data: Path, parts: Path) -> None:
    """Write the pairs of each source."""
    (parts / "mined").mkdir(parents=True, exist_ok=True)
    sources = {name: (questions(data, name, tuning=True), set()) for name in INTENTS}
    sources[QUORA] = of_quora(parts)
    for name, (known, labelled) in sources.items():
        found = list(nearest(name, known, labelled))
        with gzip.open(parts / "mined" / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(pair, ensure_ascii=False) + "\n" for pair in found)
        print(f"{name}: {len(found)} pairs of {len(known)} questions")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
