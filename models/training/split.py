"""Holds the parts apart: train, calibration and test, by question and not by pair.

    python split.py DATA OUT

reads the files of pairs in DATA and writes OUT/{train,calibration,test}/SET.jsonl.gz, which
`askonce eval` reads as they are. Questions that stand in one pair, in whichever file, stay
together: the parts share no question. Where a group of questions goes is decided by a hash alone.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

SALT = "askonce-verifier-1"
PARTS = ("test", "calibration", "train")

SHARES = {
    "qqp": (0.125, 0.125),
    "checklist_swaps": (0.125, 0.125),
    "mqp": (0.5, 0.1),
    "paws_en_dev": (0.5, 0.1),
    "mrpc": (0.2, 0.1),
}
"""Which share of the groups is for the test and which for calibration; the rest is to train on."""

KINDS_FOR_TEST = 7
KINDS_FOR_CALIBRATION = 3
"""Of the behaviours of CheckList whole kinds are held apart, first in the order of their hash."""

UNUSED_KIND = "Reflexivity: (q, q) should be duplicate"
"""A pair of one text. It says nothing about a verifier, and its texts are of Quora's."""

Pair = dict[str, str | int]


def normal(text: str) -> str:
    """Return a text without its case, signs and spacing. Texts equal in this are one question."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def read(path: Path) -> list[Pair]:
    """Read pairs, one a line."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def fraction(name: str) -> float:
    """Return a number in [0, 1) that depends on the name alone."""
    digest = hashlib.sha256(f"{SALT}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


class Groups:
    """Texts that are connected by pairs."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def name(self, text: str) -> str:
        """Return the name of the group of a text: the first of its texts, whatever the order."""
        above = self._above
        above.setdefault(text, text)
        while above[text] != text:
            above[text] = above[above[text]]
            text = above[text]
        return text

    def join(self, one: str, other: str) -> None:
        """Put the groups of two texts together."""
        first, second = sorted((self.name(one), self.name(other)))
        self._above[second] = first


def behaviours(kinds: set[str]) -> dict[str, str]:
    """Say for each kind of behaviour which part it is in."""
    ordered = sorted(kinds - {UNUSED_KIND}, key=fraction)
    apart = KINDS_FOR_TEST + KINDS_FOR_CALIBRATION
    return {
        kind: "test" if at < KINDS_FOR_TEST else "calibration" if at < apart else "train"
        for at, kind in enumerate(ordered)
    }


def parted(data: Path) -> Iterator[tuple[str, str, Pair]]:
    """Yield part, name of the file and pair, each pair once."""
    files = {name: read(data / f"{name}.jsonl.gz") for name in SHARES}
    groups = Groups()
    for pairs in files.values():
        for pair in pairs:
            groups.join(normal(str(pair["q1"])), normal(str(pair["q2"])))
    # A group that stands in several files goes by the share of the one that holds most apart.
    shares: dict[str, tuple[float, float]] = {}
    for name, pairs in files.items():
        for pair in pairs:
            group = groups.name(normal(str(pair["q1"])))
            shares[group] = max(SHARES[name], shares.get(group, SHARES[name]))
    for name, pairs in files.items():
        for pair in pairs:
            group = groups.name(normal(str(pair["q1"])))
            for_test, for_calibration = shares[group]
            place = fraction(group)
            held = place < for_test + for_calibration
            yield "test" if place < for_test else "calibration" if held else "train", name, pair
    tests = read(data / "checklist_mft.jsonl.gz")
    part_of = behaviours({str(pair["kind"]) for pair in tests})
    # A text that stands in kinds of two parts is left out of the part that matters less.
    # One that stands in another file is left out altogether.
    seen = {
        normal(str(pair[side]))
        for pairs in files.values()
        for pair in pairs
        for side in ("q1", "q2")
    }
    for part in PARTS:
        mine = [pair for pair in tests if part_of.get(str(pair["kind"])) == part]
        texts = {normal(str(pair[side])) for pair in mine for side in ("q1", "q2")}
        for pair in mine:
            if not seen & {normal(str(pair["q1"])), normal(str(pair["q2"]))}:
                yield part, "checklist_mft", pair
        seen |= texts


def main(data: Path, out: Path) -> None:
    """Write the parts, check that they share no question, and print what is in them."""
    held: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    texts: dict[str, set[str]] = defaultdict(set)
    for part, name, pair in parted(data):
        held[part, name].append(pair)
        texts[part] |= {normal(str(pair["q1"])), normal(str(pair["q2"]))}
    for one in PARTS:
        for other in PARTS:
            if one < other and texts[one] & texts[other]:
                raise SystemExit(f"{one} and {other} share {len(texts[one] & texts[other])} texts")
    for (part, name), pairs in sorted(held.items()):
        (out / part).mkdir(parents=True, exist_ok=True)
        with gzip.open(out / part / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs)
        same = sum(int(pair["label"]) for pair in pairs)
        print(f"{part:12} {name:16} {len(pairs):6} pairs, {same:6} the same")
        if name == "checklist_mft":
            for kind, count in sorted(Counter(str(pair["kind"]) for pair in pairs).items()):
                print(f"{'':12}   {count:5} {kind}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
