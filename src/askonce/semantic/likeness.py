"""How sure the verifier and the embedder are together: the score of lane A. Pure.

Both were made from one model and err in different ways: the verifier reads both questions at once,
the embedder has seen a thousand million pairs. On pairs that neither was calibrated on, their sum
puts 91 of 100 true pairs above a false one, the verifier alone 88 (models/VERIFIER_CARD.md).
"""

from __future__ import annotations

import math

from msgspec import Struct


class Weights(Struct, frozen=True, gc=False):
    """How the log-odds of the verifier and the cosine make log-odds of being right."""

    similarity: float
    """What a cosine of 1 adds, where the verifier's log-odds count as they are."""
    length: float
    """What is added to the cosine where a pair is e times as long: long texts, told twice, have a
    lower one."""
    usual: float
    """Characters of a pair of usual length."""
    most: float
    """The cosine that says as much as any: above it are pairs of equal words in another order."""
    scale: float
    shift: float
    """Fitted on the calibration part (models/training/calibrate.py)."""


SHIPPED = Weights(similarity=8.0, length=0.15, usual=110.0, most=0.92, scale=0.7174, shift=-4.3287)


def score(read: float, similarity: float, old: str, new: str, weights: Weights = SHIPPED) -> float:
    """Return a score from 0 to 1: `read` is the verifier's, `similarity` the cosine of the two.

    What the verifier could not read stays at 0.
    """
    if not 0.0 < read < 1.0:
        return read
    both = total(read, similarity, old, new, weights)
    return 1.0 / (1.0 + math.exp(-(weights.scale * both + weights.shift)))


def total(read: float, similarity: float, old: str, new: str, weights: Weights = SHIPPED) -> float:
    """Return what the two say together, before it is fitted. `read` is between 0 and 1."""
    return logit(read) + weights.similarity * near(similarity, old, new, weights)


def near(similarity: float, old: str, new: str, weights: Weights = SHIPPED) -> float:
    """Return the cosine of a pair as if it were of usual length, and no more than says anything."""
    longer = math.log(max(1, len(old) + len(new)) / weights.usual)
    return min(similarity + weights.length * longer, weights.most)


def logit(read: float) -> float:
    """Return the log-odds of a probability."""
    return math.log(read) - math.log1p(-read)
