"""What each guard removes and what it costs, on labelled pairs that are near by their vectors.

A guard's price is the part of true pairs it forbids among those that a similarity alone would
serve. QQP is split by the hash of its first question: guards were made with one half in sight, the
figures are of the other (`--tuned` prints the first). Labels are noisy: a "same" that is lost often
has another number or name indeed. The data is named, never copied: a folder of `*.jsonl.gz`.

    python bench/guards.py FOLDER [--tuned] [--vectors FILE.npz]    or with QUESTION_PAIRS=FOLDER

Vectors are made by the local embedder, or read from a file (`texts` as JSON in UTF-8, `vectors`).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from askonce.embedders import Local
from askonce.embedders.vectors import EmbedderError
from askonce.guards.difference import Difference
from askonce.guards.exactness import exact_only
from askonce.guards.vetoes import GUARDS, compare, contradiction, fired, veto

FLOOR = 0.8
"""Cosine from which on a pair is near."""
NEIGHBOURS = 3
INTENT_FLOOR = 0.85
EVERY = 3
"""One in so many texts of a stream is compared with its neighbours."""
ROUNDS = 2000
SHORT = (
    "What is the difference between a trader and an investor?",
    "How does a trader differ from an investor?",
)


class Pair(NamedTuple):
    one: str
    other: str
    same: bool
    kind: str


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def pairs(path: Path) -> list[Pair]:
    found = (Pair(row["q1"], row["q2"], row["label"] == 1, row["kind"]) for row in rows(path))
    return [pair for pair in found if pair.one != pair.other]


def is_tuned_on(pair: Pair) -> bool:
    return hashlib.sha256(pair.one.encode()).digest()[0] < 128


class Vectors:
    """Vectors of texts, each made once; a text that cannot be read has none."""

    def __init__(self, path: Path | None) -> None:
        self._embedder = Local()
        self._known: dict[str, Any] = {}
        if path is not None:
            kept = numpy.load(path)
            texts = json.loads(kept["texts"].tobytes())
            self._known.update(zip(texts, kept["vectors"].astype(numpy.float32), strict=True))

    def learn(self, texts: Iterable[str]) -> None:
        new = sorted({text for text in texts if text not in self._known}, key=len)
        for at in range(0, len(new), 64):
            batch = new[at : at + 64]
            try:
                made = list(self._embedder.embed(batch))
            except EmbedderError:
                made = [self._one(text) for text in batch]
            self._known.update(zip(batch, made, strict=True))

    def _one(self, text: str) -> Any:
        try:
            return self._embedder.embed([text])[0]
        except EmbedderError:
            return None

    def of(self, text: str) -> Any:
        return self._known[text]

    def cosine(self, pair: Pair) -> float:
        one, other = self._known[pair.one], self._known[pair.other]
        return 0.0 if one is None or other is None else float(one @ other)


def near(found: list[Pair], vectors: Vectors) -> list[Pair]:
    """Return the pairs that a similarity would serve.

    Those that share less than a third of the content of the shorter text are taken to be far apart.
    """
    related = [pair for pair in found if is_related(compare(pair.one, pair.other))]
    vectors.learn(text for pair in related for text in (pair.one, pair.other))
    return [pair for pair in related if vectors.cosine(pair) >= FLOOR]


def is_related(between: Difference) -> bool:
    shared = len(between.pairs)
    return shared * 3 >= shared + min(len(between.gone), len(between.come))


class Price(NamedTuple):
    total: Counter[bool]
    stopped: Counter[bool]
    by: dict[str, Counter[bool]]
    alone: dict[str, Counter[bool]]


def price(found: Iterable[Pair]) -> Price:
    told = Price(Counter(), Counter(), defaultdict(Counter), defaultdict(Counter))
    for pair in found:
        guards = fired(pair.one, pair.other)
        told.total[pair.same] += 1
        told.stopped[pair.same] += bool(guards)
        for guard in guards:
            told.by[guard][pair.same] += 1
        if len(guards) == 1:
            told.alone[guards[0]][pair.same] += 1
    return told


def intents(path: Path, vectors: Vectors) -> list[Pair]:
    """Return neighbours in a stream; of one intent they count as the same."""
    stream = list({row["text"]: row["intent"] for row in rows(path)}.items())
    vectors.learn(text for text, _ in stream)
    stream = [(text, intent) for text, intent in stream if vectors.of(text) is not None]
    table = numpy.stack([vectors.of(text) for text, _ in stream])
    found = []
    for at in range(0, len(stream), EVERY):
        cosines = table @ table[at]
        cosines[at] = -1
        for other in numpy.argsort(-cosines)[:NEIGHBOURS]:
            if cosines[other] >= INTENT_FLOOR:
                (one, its), (two, theirs) = stream[at], stream[int(other)]
                found.append(Pair(one, two, its == theirs, "intent"))
    return found


def table(prices: dict[str, Price]) -> None:
    print("\n| guard | " + " | ".join(f"{name}: different, same (alone)" for name in prices) + " |")
    print("|---|" + "---|" * len(prices))
    for guard, _ in GUARDS:
        cells = [
            f"{told.by[guard][False]}, {told.by[guard][True]}"
            f" ({told.alone[guard][False]}, {told.alone[guard][True]})"
            for told in prices.values()
        ]
        print(f"| {guard} | " + " | ".join(cells) + " |")
    for name, count in (("all", "stopped"), ("of", "total")):
        cells = [
            f"{getattr(it, count)[False]}, {getattr(it, count)[True]}" for it in prices.values()
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


def checklists(folder: Path, vectors: Vectors) -> None:
    print("\n| behaviour | same? | pairs | passed by the guards | of these near |")
    print("|---|---|---|---|---|")
    for name in ("checklist_swaps", "checklist_mft"):
        kinds: dict[tuple[str, bool], list[Pair]] = defaultdict(list)
        for pair in pairs(folder / f"{name}.jsonl.gz"):
            kinds[pair.kind, pair.same].append(pair)
        for (kind, same), found in sorted(kinds.items()):
            passed = [pair for pair in found if veto(pair.one, pair.other) is None]
            vectors.learn(text for pair in passed for text in (pair.one, pair.other))
            close = sum(vectors.cosine(pair) >= FLOOR for pair in passed)
            label = "same" if same else "no"
            print(f"| {kind} | {label} | {len(found)} | {len(passed)} | {close} |")


def exactness(folder: Path) -> None:
    print("\n| texts | " + "exact only, by reason |\n|---|---|")
    for path in sorted([*folder.glob("[mq]*.jsonl.gz"), *folder.glob("intents/*.jsonl.gz")]):
        texts = [row[name] for row in rows(path) for name in ("q1", "q2", "text") if name in row]
        reasons = Counter(exact_only(text) for text in texts)
        told = ", ".join(
            f"{reason} {count / len(texts):.1%}"
            for reason, count in reasons.most_common()
            if reason
        )
        print(f"| {path.name.split('.')[0]}, {len(texts)} | {told} |")


def cost(found: list[Pair]) -> None:
    for name, asked in (("veto", veto), ("contradiction", contradiction)):
        times = []
        for _ in range(ROUNDS):
            begun = time.process_time()
            asked(*SHORT)
            times.append(time.process_time() - begun)
        begun = time.process_time()
        for pair in found[:ROUNDS]:
            asked(pair.one, pair.other)
        mean = (time.process_time() - begun) / len(found[:ROUNDS])
        p50 = sorted(times)[ROUNDS // 2]
        print(
            f"\n{name}: {p50 * 1e6:.0f} us for a short pair (p50), {mean * 1e6:.0f} us mean of QQP"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("QUESTION_PAIRS"))
    parser.add_argument(
        "--tuned", action="store_true", help="the half that the guards were made on"
    )
    parser.add_argument("--vectors", type=Path, help="made before, as a .npz")
    asked = parser.parse_args()
    if asked.folder is None:
        parser.error("name the folder of the data, or set QUESTION_PAIRS")
    folder, vectors = Path(asked.folder), Vectors(asked.vectors)
    quora = [pair for pair in pairs(folder / "qqp.jsonl.gz") if is_tuned_on(pair) == asked.tuned]
    prices = {
        "QQP": price(near(quora, vectors)),
        "MQP": price(near(pairs(folder / "mqp.jsonl.gz"), vectors)),
        "PAWS": price(near(pairs(folder / "paws_en_dev.jsonl.gz"), vectors)),
        "banking77": price(intents(folder / "intents/banking77.jsonl.gz", vectors)),
    }
    print(f"Pairs with a cosine of {FLOOR} or more ({INTENT_FLOOR} in banking77).")
    table(prices)
    checklists(folder, vectors)
    exactness(folder)
    cost(quora)


if __name__ == "__main__":
    main()
