"""How often something is wrong at most, and at least, when it was wrong so often in so many cases.

The bounds are exact for counts of independent cases: C. J. Clopper and E. S. Pearson, "The use of
confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26 (1934), 404.
Pure, and in plain Python: no lookup waits for a library to load.
"""

from __future__ import annotations

import math

CONFIDENCE = 0.95

_HALVINGS = 60
"""Halving the interval from 0 to 1 so often leaves less than 1e-18."""
_NEGLIGIBLE = 1e-17


def at_most(wrong: int, of: int, rate: float) -> float:
    """Return the probability of `wrong` or fewer in `of` cases, each wrong at this rate.

    Exact to about 1e-12. It takes steps in the order of the root of `of`, not of `of` itself.
    """
    _check(wrong, of)
    if wrong == of or rate <= 0.0:
        return 1.0
    if rate >= 1.0:
        return 0.0
    if wrong > of * rate:  # the other tail is the smaller one, and its terms fall from its edge on
        return 1.0 - _tail(of - wrong - 1, of, 1.0 - rate)
    return _tail(wrong, of, rate)


def _tail(most: int, of: int, rate: float) -> float:
    """Add up the binomial terms from `most` downwards, where they fall."""
    term = math.exp(
        math.lgamma(of + 1)
        - math.lgamma(most + 1)
        - math.lgamma(of - most + 1)
        + most * math.log(rate)
        + (of - most) * math.log1p(-rate)
    )
    total, odds = term, (1.0 - rate) / rate
    for count in range(most, 0, -1):
        term *= count / (of - count + 1) * odds
        total += term
        if term < total * _NEGLIGIBLE:
            break
    return min(1.0, total)


def upper(wrong: int, of: int, confidence: float = CONFIDENCE) -> float:
    """Return the rate that is not exceeded, at this one-sided confidence.

    It is 1 without a case. With none wrong it is near 3 / `of` at 95 % (0.01 needs 299 cases).
    """
    _check(wrong, of)
    if wrong == of:
        return 1.0
    low, high = wrong / of, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if at_most(wrong, of, middle) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high


def lower(wrong: int, of: int, confidence: float = CONFIDENCE) -> float:
    """Return the rate that is reached, at this one-sided confidence; 0 without a case."""
    _check(wrong, of)
    return 1.0 - upper(of - wrong, of, confidence) if of else 0.0


def interval(wrong: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the rates between which the true one is, half of the doubt on either side."""
    each = (1.0 + confidence) / 2
    return lower(wrong, of, each), upper(wrong, of, each)


def cases_needed(rate: float, wrong: int = 0, confidence: float = CONFIDENCE) -> int:
    """Return how many cases with so many wrong ones keep the upper bound at this rate or below."""
    low, high = wrong, wrong + 1
    while at_most(wrong, high, rate) > 1.0 - confidence:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if at_most(wrong, middle, rate) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high


def _check(wrong: int, of: int) -> None:
    if not 0 <= wrong <= of:
        raise ValueError(f"{wrong} of {of} is no count")
