"""Trains the verifier on one CPU thread. It may be stopped (SIGSTOP) and go on at any time.

    PYTHONPATH=../../src python train.py PARTS WEIGHTS RUN --epochs 2

PARTS is what split.py wrote, WEIGHTS the folder of all-MiniLM-L6-v2, RUN where checkpoints and the
log go. A file RUN/finish with a number in it ends the training after so many steps more; the rate
of learning falls to nothing over them. Weights of a checkpoint are means over the last steps.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import mix
import model
import torch
from mix import Example
from torch import Tensor, nn

RATE = 1.5e-4
WARM_UP = 200
FALL = 0.45
"""Over the last share of the steps, the rate falls to zero in a straight line."""
TOKENS = 1_280
"""In one batch, with padding."""
MEAN_EVERY, MEAN_KEEPS = 10, 0.97
DROPOUT = 0.1
SEED = 20261125

Batch = tuple[Tensor, Tensor, Tensor, Tensor]


def batches(examples: list[Example], tokens: object, rng: Random) -> Iterator[Batch]:
    """Yield batches of pairs of about one length, in random order."""
    encoded = tokens.encode_batch([(example.q1, example.q2) for example in examples])  # type: ignore[attr-defined] # tokenizers has no types
    rows = [
        (made.ids, made.type_ids, example.target)
        for made, example in zip(encoded, examples, strict=True)
        if len(made.ids) <= model.LONGEST
    ]
    rows.sort(key=lambda row: len(row[0]) + rng.random() * 3)
    cut: list[list[tuple[list[int], list[int], float]]] = [[]]
    for row in rows:
        if (len(cut[-1]) + 1) * len(row[0]) > TOKENS:
            cut.append([])
        cut[-1].append(row)
    rng.shuffle(cut)
    for part in cut:
        yield padded(part)


def padded(rows: list[tuple[list[int], list[int], float]]) -> Batch:
    """Return ids, mask, sides and targets as tensors."""
    width = max(len(ids) for ids, _, _ in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask, sides = torch.zeros_like(ids), torch.zeros_like(ids)
    for at, (row, side, _) in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(row)
        sides[at, : len(side)] = torch.tensor(side)
        mask[at, : len(row)] = 1
    return ids, mask, sides, torch.tensor([target for _, _, target in rows])


def save(path: Path, weights: dict[str, Tensor], step: int) -> None:
    """Write a checkpoint, whole or not at all."""
    torch.save({"weights": weights, "step": step}, path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)


def train(parts: Path, weights: Path, run: Path, epochs: int, limit: int) -> None:
    """Train and leave RUN/last.pt and RUN/step-N.pt every 500 steps."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    run.mkdir(parents=True, exist_ok=True)
    (run / "pid").write_text(str(os.getpid()))
    verifier = model.fresh(weights, DROPOUT).train()
    verifier.encoder.embeddings.word_embeddings.weight.requires_grad_(False)
    learning = [p for p in verifier.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=RATE, weight_decay=0.01, fused=True)
    tokens = model.tokenizer(weights)
    rng = Random(SEED)
    streams = [list(batches(mix.epoch(parts, n), tokens, rng)) for n in range(epochs)]
    flow = [batch for stream in streams for batch in stream]
    total = min(limit or len(flow), len(flow))
    fall = int(total * (1 - FALL))
    means = {name: value.detach().clone() for name, value in verifier.state_dict().items()}
    log = (run / "log.jsonl").open("a")
    began, losses, pairs = time.monotonic(), [], 0
    print(f"{total} steps, {sum(len(b[3]) for b in flow[:total])} pairs", flush=True)
    for step, (ids, mask, sides, targets) in enumerate(flow):
        if step >= total:
            break
        if step % 20 == 0 and (run / "finish").exists():
            fall, total = step, min(len(flow), step + int((run / "finish").read_text()))
            (run / "finish").unlink()
            print(f"asked to finish at step {total}", flush=True)
        slope = min(1.0, (total - step) / max(1, total - fall))
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARM_UP) * slope
        with torch.autocast("cpu", torch.bfloat16):
            logits = verifier(ids, mask, sides)
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        pairs += len(targets)
        if step % MEAN_EVERY == 0:
            # The mean is over few steps at first, or it would remember the beginning for long.
            keeps = min(MEAN_KEEPS, (step / MEAN_EVERY + 1) / (step / MEAN_EVERY + 10))
            for name, value in verifier.state_dict().items():
                means[name].lerp_(value, 1 - keeps) if value.is_floating_point() else None
        if step % 100 == 99:
            seconds = time.monotonic() - began
            row = {
                "step": step + 1,
                "loss": round(sum(losses) / len(losses), 4),
                "seconds": round(seconds),
                "pairs": pairs,
            }
            log.write(json.dumps(row) + "\n")
            log.flush()
            losses = []
        if step % 500 == 499:
            save(run / f"step-{step + 1}.pt", means, step + 1)
    save(
        run / "last.pt",
        {name: value.detach() for name, value in verifier.state_dict().items()},
        total,
    )
    save(run / "last-mean.pt", means, total)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    for name in ("parts", "weights", "run"):
        options.add_argument(name, type=Path)
    options.add_argument("--epochs", type=int, default=2)
    options.add_argument("--limit", type=int, default=0)
    given = options.parse_args()
    train(given.parts, given.weights, given.run, given.epochs, given.limit)
