"""How sure the nearest judged wordings are of one answer: the score of lane B. Pure.

Wordings with one answer are a cluster: somebody judged that the same answer serves all of them. If
the three nearest to a question, or more, are of one cluster, it is likely that so is the question.
A pooled logistic over four features says how likely. A fit per cluster would need a history of
each; pooled, it holds for clusters that have just begun.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from askonce.semantic.contract import Neighbour

NEAREST = 10
"""So many neighbours are looked at."""
LEAST = 3
"""So many of the nearest must be of one cluster. Two agree by chance too often."""


class Weights(Struct, frozen=True, gc=False):
    """What each feature adds to the log-odds of being right."""

    constant: float
    similarity: float
    margin: float
    share: float
    run: float


SHIPPED = Weights(constant=-4.2, similarity=3.3, margin=13.7, share=3.3, run=1.7)


class Agreement(Struct, frozen=True, gc=False):
    """What is known of the cluster of the nearest wording."""

    similarity: float
    """Cosine of the nearest wording."""
    margin: float
    """By how much it is nearer than the nearest wording of another cluster, or than the last."""
    share: float
    """Part of the nearest wordings that are of the cluster, of ten even where there are fewer."""
    run: int
    """How many of the nearest are of the cluster before one of another comes."""

    def score(self, weights: Weights = SHIPPED) -> float:
        """Return a score from 0 to 1 for the cluster's answer being right."""
        log_odds = (
            weights.constant
            + weights.similarity * self.similarity
            + weights.margin * self.margin
            + weights.share * self.share
            + weights.run * self.run / NEAREST
        )
        return 1.0 / (1.0 + math.exp(-max(-500.0, min(500.0, log_odds))))


def among(neighbours: Sequence[Neighbour]) -> Agreement | None:
    """Return how the nearest wordings, the nearest first, agree; None with fewer than three."""
    seen = neighbours[:NEAREST]
    if len(seen) < LEAST:
        return None
    first = seen[0].wording.answer
    same = [near.wording.answer == first for near in seen]
    run = same.index(False) if False in same else len(seen)
    if run < LEAST:
        return None
    rival = seen[run if run < len(seen) else -1].similarity
    return Agreement(seen[0].similarity, seen[0].similarity - rival, sum(same) / NEAREST, run)
