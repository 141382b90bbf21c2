"""The error-bound method of the literature, to compare with; nothing is ever served by it.

L. G. Schroeder et al., "vCache: Verified Semantic Prompt Caching", arXiv 2502.03771. Written from
its description. Each kept question has its own history of cosines and of whether its answer would
have been right. A logistic over the cosine gives the chance of being right, a confidence band of
its middle a careful one; it explores (asks upstream) as often as is needed so that at most `delta`
of all answers are wrong, those from upstream counted as right.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy
from numpy.typing import NDArray

from askonce.commands.labelled import Question
from askonce.commands.strategies import Kept, Row, Served

_LEAST = 6
"""Observations without which it always explores. Two are made up: (0, wrong) and (1, right)."""
_EPSILONS = numpy.linspace(0.01, 0.99, 50)
_QUANTILES = numpy.array([NormalDist().inv_cdf(1.0 - one) for one in _EPSILONS])
_STEPS, _SMALL, _RIDGE = 50, 1e-4, 1e-9 * numpy.eye(2)
_VARIANCES = ([6, 12, 31, 48], [0.035, 0.011, 0.0046, 0.015])
"""Of the middle, by observations, where no wrong one is above a right one: as the authors use."""


class _Fit:
    """A logistic over the cosine: where its middle is, how steep it is, how sure the middle is."""

    def __init__(self, cosines: Sequence[float], right: Sequence[bool]) -> None:
        self.middle, self.steepness, self.variance = _fitted(
            numpy.array(cosines), numpy.array(right, float)
        )


@dataclass(slots=True)
class _History:
    cosines: list[float] = field(default_factory=lambda: [0.0, 1.0])
    right: list[bool] = field(default_factory=lambda: [False, True])
    fit: _Fit | None = None

    def add(self, cosine: float, right: bool) -> None:
        self.cosines.append(round(cosine, 3))
        self.right.append(right)
        self.fit = None

    def exploration(self, cosine: float, delta: float) -> float:
        """Return how often to explore at this cosine."""
        if len(self.right) < _LEAST:
            return 1.0
        if self.fit is None:
            self.fit = _Fit(self.cosines, self.right)
        fit = self.fit
        middles = numpy.clip(fit.middle + _QUANTILES * fit.variance**0.5, 0.0, 1.0)
        steps = numpy.clip(-fit.steepness * (cosine - middles), -500, 500)
        chances = 1.0 / (1.0 + numpy.exp(steps))
        sure = (1.0 - _EPSILONS) * chances
        return float(numpy.min(1.0 - delta / numpy.maximum(1.0 - sure, 1e-12)))


def _fitted(cosines: NDArray[numpy.float64], right: NDArray[numpy.float64]) -> tuple[float, ...]:
    """Fit by Newton's method; the variance of the middle is by the delta method.

    Where right and wrong are apart, the likeliest logistic is a step: the fit ends when its
    gradient is small, and the variance is one known for so many observations.
    """
    design = numpy.column_stack([numpy.ones_like(cosines), cosines])
    beta = numpy.zeros(2)
    for _ in range(_STEPS):
        chance = 1.0 / (1.0 + numpy.exp(numpy.clip(-design @ beta, -500, 500)))
        gradient = design.T @ (right - chance)
        information = design.T @ (design * (chance * (1.0 - chance))[:, None]) + _RIDGE
        if abs(gradient).max() < _SMALL:
            break
        beta = beta + numpy.linalg.solve(information, gradient)
    steepness = max(float(beta[1]), 1e-6)
    middle = min(1.0, max(0.0, -float(beta[0]) / steepness))
    if cosines[right == 1].min() > cosines[right == 0].max():
        return middle, steepness, float(numpy.interp(len(right), *_VARIANCES))
    slope = numpy.array([-1.0 / steepness, float(beta[0]) / steepness**2])
    return middle, steepness, max(0.0, float(slope @ numpy.linalg.solve(information, slope)))


@dataclass(slots=True)
class ErrorBound:
    """Serves the nearest question as often as its history allows."""

    stream: Sequence[Question]
    delta: float
    chance: random.Random
    kept: Kept = field(init=False)
    _histories: dict[int, _History] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kept = Kept(self.stream)

    def step(self, place: int, row: Row) -> Served | None:
        """Explore or serve. What was explored is kept only if the nearest answer is another."""
        asked = self.stream[place]
        repeated = self.kept.texts.get(asked.text)
        if repeated is not None:
            return Served(repeated, "exact")
        for near, cosine in self.kept.nearest(row, 1):
            history = self._histories[near]
            if self.chance.random() > history.exploration(cosine, self.delta):
                return Served(near, "error bound")
            right = self.stream[near].answer_id == asked.answer_id
            history.add(cosine, right)
            if right:
                return None
        self.kept.add(place)
        self._histories[place] = _History()
        return None
