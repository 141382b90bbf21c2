"""Writes a checkpoint of the verifier as ONNX.

    python export.py CHECKPOINT OUT [--kind int8|fp16|fp32] [--scale A --shift B]

The output is `log_odds`: the logit of the training times A plus B, fitted by calibrate.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))
import bert_graph as graphs

KINDS = {
    "fp32": (graphs.linear_fp32, graphs.table_fp32),
    "fp16": (graphs.linear_fp16, graphs.table_fp16),
    "int8": (graphs.linear_blocks(32), graphs.table_int8),
    "weights8": (graphs.linear_blocks(32, accuracy=1), graphs.table_int8),
    "channels8": (graphs.linear_int8, graphs.table_int8),
}
HEADS = 12


def verifier(
    weights: dict[str, NDArray[np.float32]], kind: str, scale: float, shift: float
) -> onnx.ModelProto:
    """Write the encoder over both questions, its first vector and its mean, and the head."""
    linear, table = KINDS[kind]
    inner = {
        name.removeprefix("encoder."): value
        for name, value in weights.items()
        if name.startswith("encoder.")
    }
    graph = graphs.Graph()
    states = graphs.encoder(
        graph, inner, heads=HEADS, linear=linear, table=table, types="token_type_ids"
    )
    first = graph.node("Gather", states, graph.integers(0), axis=1)
    first = graph.node("Squeeze", first, graph.integers(1))
    shown = graph.node("Unsqueeze", "seen", graph.integers(2))
    total = graph.node("ReduceSum", graph.node("Mul", states, shown), graph.integers(1), keepdims=0)
    count = graph.node("ReduceSum", "seen", graph.integers(1), keepdims=1)
    both = graph.node("Concat", first, graph.node("Div", total, count), axis=1)
    # The head is small, and the last to lose anything by: it stays in 32 bits.
    hidden = graphs.linear_fp32(
        graph, both, "head.0", weights["head.0.weight"].T, weights["head.0.bias"]
    )
    last, bias = weights["head.2.weight"].T * scale, weights["head.2.bias"] * scale + shift
    last, bias = last.astype(np.float32), bias.astype(np.float32)
    logit = graphs.linear_fp32(graph, graph.node("Tanh", hidden), "head.2", last, bias)
    graph.node("Squeeze", logit, graph.integers(1), out="log_odds")
    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    about = {
        "model": "verifier of question pairs, from sentence-transformers/all-MiniLM-L6-v2",
        "license": "Apache-2.0",
        "weights": kind,
        "scale": str(scale),
        "shift": str(shift),
    }
    return graph.model("verifier", inputs, {"log_odds": ["batch"]}, about)


def main() -> None:
    """Read a checkpoint, write a model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kind", choices=list(KINDS), default="int8")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--shift", type=float, default=0.0)
    given = parser.parse_args()
    read = torch.load(given.checkpoint, weights_only=True)["weights"]
    weights = {name: value.float().numpy() for name, value in read.items()}
    made = verifier(weights, given.kind, given.scale, given.shift)
    given.out.write_bytes(made.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
