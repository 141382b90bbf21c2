"""Mixes one epoch of training pairs from the training part, families and edits. See the card."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import edits
from families import definitions
from families_more import ALL
from split import read

from askonce.semantic.canonical import Canonical, canonical

CHECKLIST_PER_KIND = 300
SWAPS = 7_000
FAMILIES = 22_000
EDITS = 14_000
REPEATS = {"mqp": 3, "paws_en_dev": 3}
MRPC = 2_000
SMOOTHED = {"qqp": 0.06, "mrpc": 0.1}
"""How far a label is moved from 0 and 1 where people labelled in haste."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class Example(NamedTuple):
    """A pair, what the verifier should say of it, and where it is from."""

    q1: str
    q2: str
    target: float
    source: str


def contradicts(q1: str, q2: str, label: int) -> bool:
    """Say whether a label must be wrong: one text is "different", two numbers are "the same"."""
    if label:
        one, other = set(_NUMBER.findall(q1)), set(_NUMBER.findall(q2))
        return bool(one and other) and not (one <= other or other <= one)
    first, second = canonical(q1), canonical(q2)
    return isinstance(first, Canonical) and first == second


def labelled(parts: Path, name: str) -> list[Example]:
    """Return the pairs of the training part of a file without those whose label is wrong."""
    by = SMOOTHED.get(name, 0.02)
    return [
        Example(pair["q1"], pair["q2"], 1 - by if pair["label"] else by, name)
        for pair in read(parts / "train" / f"{name}.jsonl.gz")
        if not contradicts(pair["q1"], pair["q2"], pair["label"])
    ]


def topics(parts: Path) -> list[str]:
    """Return what the questions "What is X?" of the training part ask about."""
    found = set()
    for pair in read(parts / "train" / "qqp.jsonl.gz"):
        for text in (pair["q1"], pair["q2"]):
            match = re.fullmatch(r"What is ((?:an? )?[\w-]+(?: [\w-]+){0,2})\?", text)
            if match and not re.search(r"\b(the|your|my|this|it|best|to|for|is|in|of)\b", match[1]):
                found.add(match[1])
    return sorted(found)


def from_families(rng: Random, count: int, mined: list[str]) -> Iterator[Example]:
    """Yield made-up pairs, as many the same as different."""
    made = [family for family, weight in ALL for _ in range(weight)]
    for _ in range(count // 4):
        family = rng.choice(made)
        mine = family is definitions and rng.random() < 0.5
        groups = definitions(rng, mined) if mine else family(rng)
        for group in rng.sample([group for group in groups if len(group) > 1] or groups, 1) * 2:
            if len(group) > 1:
                yield Example(*rng.sample(group, 2), 0.98, f"family {family.__name__}")
        for _ in range(2):
            one, other = rng.sample(groups, 2)
            first = rng.randrange(min(len(one), len(other)))
            # Half of them side by side: the same frame with one word changed.
            q1, q2 = (
                (one[first], other[first])
                if rng.random() < 0.5
                else (rng.choice(one), rng.choice(other))
            )
            yield Example(q1, q2, 0.02, f"family {family.__name__}")


def from_edits(rng: Random, count: int, real: list[Example]) -> Iterator[Example]:
    """Yield real questions beside a changed self, or beside their changed paraphrase."""
    paraphrases = [example for example in real if example.target > 0.5]
    while count > 0:
        example = rng.choice(paraphrases if rng.random() < 0.7 else real)
        q1, q2 = example.q1, example.q2
        if example.target < 0.5 or rng.random() < 0.5:
            q2 = q1
        if rng.random() < 0.62:
            done, target = edits.different(rng, q2), 0.02
            if done and rng.random() < 0.25:
                again = edits.also_same(rng, done[1])
                done = (done[0], again[1]) if again else done
        else:
            done, target = edits.also_same(rng, q2), 0.98 if q1 == q2 else 0.94
        if done and len(q1) < 160:
            count -= 1
            yield Example(q1, done[1], target, f"edit {done[0]}")


def epoch(parts: Path, seed: int) -> list[Example]:
    """Return the pairs of one epoch, in random order and with random sides."""
    rng = Random(f"epoch {seed}")
    qqp, mqp = labelled(parts, "qqp"), labelled(parts, "mqp")
    examples = qqp + mqp * REPEATS["mqp"] + labelled(parts, "paws_en_dev") * REPEATS["paws_en_dev"]
    examples += rng.sample(labelled(parts, "mrpc"), MRPC)
    examples += rng.sample(labelled(parts, "checklist_swaps"), SWAPS)
    kinds: dict[str, list[Example]] = {}
    for pair in read(parts / "train" / "checklist_mft.jsonl.gz"):
        target = 0.98 if pair["label"] else 0.02
        kinds.setdefault(pair["kind"], []).append(
            Example(pair["q1"], pair["q2"], target, "checklist_mft")
        )
    for same_kind in kinds.values():
        examples += rng.sample(same_kind, min(CHECKLIST_PER_KIND, len(same_kind)))
    examples += from_families(rng, FAMILIES, topics(parts))
    examples += from_edits(rng, EDITS, qqp + mqp)
    rng.shuffle(examples)
    return [
        example
        if rng.random() < 0.5
        else Example(example.q2, example.q1, example.target, example.source)
        for example in examples
    ]
