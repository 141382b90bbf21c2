"""Which questions have one canonical form, on labelled pairs and on streams, and what one costs.

Every accepted pair that is labelled "different" is printed: the labels are noisy, so read them.
Real questions are damaged as well, a word at a time, and what leaves no trace in the form is told.
The data is named, never copied: a folder of `*.jsonl.gz` pairs (`{"q1", "q2", "label"}`) and of
`intents/*.jsonl.gz` (`{"text", "intent"}`).

    python bench/canonical.py FOLDER [--same]       or with QUESTION_PAIRS=FOLDER; --same prints all
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from askonce.model import Reason
from askonce.semantic.canonical import canonical

SHORT = "What is the difference between a trader and an investor?"
ROUNDS = 200
SHOWN = 30


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def form(text: str) -> str | None:
    found = canonical(text)
    return None if isinstance(found, Reason) else found.form


def pairs(path: Path, show_all: bool) -> None:
    """Count the pairs with one form by their label, and print those labelled "different"."""
    counts: Counter[str] = Counter()
    for row in rows(path):
        label = "same" if row["label"] == 1 else "different"
        counts[label] += 1
        if row["q1"] == row["q2"]:
            counts[f"identical {label}"] += 1
            continue
        mine, theirs = form(row["q1"]), form(row["q2"])
        counts["with a form"] += (mine is not None) + (theirs is not None)
        if mine is not None and mine == theirs:
            counts[f"accepted {label}"] += 1
            if label == "different" or show_all:
                print(f"  {label}: {row['q1']}  |  {row['q2']}  ->  {mine}")
    told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    print(f"{path.name}: {told}")


def stream(path: Path) -> None:
    """Count texts that find an earlier one of another wording, and those of another intent."""
    counts: Counter[str] = Counter()
    seen: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows(path):
        text, intent = row["text"], row["intent"]
        counts["texts"] += 1
        found = form(text)
        if found is None:
            counts["exact only"] += 1
            continue
        for other, its_intent in seen[found].items():
            if other != text:
                label = "same" if its_intent == intent else "different"
                counts[f"accepted {label}"] += 1
                if label == "different":
                    print(f"  {its_intent} / {intent}: {other}  |  {text}")
                break
        seen[found].setdefault(text, intent)
    told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    print(f"{path.name}: {told}")


def crowd(folder: Path) -> None:
    """Print the wordings of different pairs that share a form, to be read as well."""
    seen: dict[str, set[str]] = defaultdict(set)
    for path in sorted(folder.glob("qqp*.jsonl.gz")):
        for row in rows(path):
            for text in (row["q1"], row["q2"]):
                if (found := form(text)) is not None:
                    seen[found].add(text)
    groups = [texts for texts in seen.values() if len(texts) > 1]
    print(f"questions with one form, whatever pair they are in: {len(groups)} groups")


def unnoticed(folder: Path) -> None:
    """Print which words can be left out of a question, or exchange places, without a trace."""
    damaged, missing, exchanged = 0, Counter[str](), Counter[str]()
    for path in sorted(folder.glob("qqp*.jsonl.gz")):
        for row in rows(path):
            whole = form(row["q1"])
            said = row["q1"].split()
            for at, word in enumerate(said if whole is not None else []):
                damaged += 2
                if form(" ".join(said[:at] + said[at + 1 :])) == whole:
                    missing[word] += 1
                pair = said[at : at + 2]
                other = " ".join([*said[:at], *pair[::-1], *said[at + 2 :]])
                if pair[0] != pair[-1] and form(other) == whole:
                    exchanged[" ".join(pair)] += 1
    print(f"of {damaged} questions damaged by one word the form stayed")
    print(f"  without {dict(missing.most_common(SHOWN))}")
    print(f"  with exchanged {dict(exchanged.most_common(SHOWN))}")


def cost(folder: Path) -> None:
    """Print microseconds for each call: one short question, and all that the data has."""
    texts = [row["q1"] for path in sorted(folder.glob("qqp*.jsonl.gz")) for row in rows(path)]
    canonical(SHORT)  # reads the lists
    once = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        canonical(SHORT)
        once.append(time.perf_counter() - begun)
    print(f"one short question: {statistics.median(once) * 1e6:.1f} us (p50)")
    if texts:
        begun = time.perf_counter()
        for text in texts:
            canonical(text)
        took = time.perf_counter() - begun
        reasons = Counter(
            str(found) for found in map(canonical, texts) if isinstance(found, Reason)
        )
        print(f"{len(texts)} questions: {took / len(texts) * 1e6:.1f} us (mean)")
        for reason, count in reasons.most_common():
            print(f"  left as they are: {count / len(texts):.1%} {reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("QUESTION_PAIRS"))
    parser.add_argument("--same", action="store_true", help="print the pairs labelled same too")
    asked = parser.parse_args()
    if asked.folder is None:
        parser.error("name the folder of the data, or set QUESTION_PAIRS")
    folder = Path(asked.folder)
    for path in sorted(folder.glob("*.jsonl.gz")):
        pairs(path, asked.same)
    for path in sorted(folder.glob("intents/*.jsonl.gz")):
        stream(path)
    crowd(folder)
    unnoticed(folder)
    cost(folder)


if __name__ == "__main__":
    main()
