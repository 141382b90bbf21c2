"""Evaluates the tiers on labelled pairs, by the code that serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from askonce.commands import simulated
from askonce.commands.labelled import Pair
from askonce.guards.exactness import exact_only
from askonce.model import Reason
from askonce.semantic import bounds, calibration, lanes
from askonce.semantic.canonical import canonical
from askonce.semantic.contract import Neighbour, Wording
from askonce.semantic.evidence import VERIFIER, Evidence, Threshold


@dataclass(frozen=True, slots=True)
class Result:
    """What a tier does at one operating point. `false` are the places of its false hits."""

    tier: str
    operating_point: float
    true_hits: int
    positives: int
    negatives: int
    false: Sequence[int]

    @property
    def coverage(self) -> float:
        """The part of the pairs with one answer that is served."""
        return self.true_hits / self.positives if self.positives else 0.0

    @property
    def false_hit_rate(self) -> float:
        """The part of the pairs with different answers that is served."""
        return len(self.false) / self.negatives if self.negatives else 0.0

    @property
    def precision(self) -> float:
        """The part of what is served that is right; 1 where nothing is served."""
        served = self.true_hits + len(self.false)
        return self.true_hits / served if served else 1.0

    @property
    def interval(self) -> tuple[float, float]:
        """Where the precision is with 95 % confidence (Clopper-Pearson)."""
        low, high = bounds.interval(len(self.false), self.true_hits + len(self.false))
        return 1.0 - high, 1.0 - low

    def shown(self) -> dict[str, str | float]:
        """Return what JSON shows of it."""
        low, high = self.interval
        return {
            "tier": self.tier,
            "operating_point": self.operating_point,
            "coverage": round(self.coverage, 6),
            "false_hit_rate": round(self.false_hit_rate, 6),
            "precision": round(self.precision, 6),
            "precision_low": round(low, 6),
            "precision_high": round(high, 6),
        }


@dataclass(frozen=True, slots=True)
class Found:
    """The results, the default of each tier first, and where the verifier's lane is open then."""

    results: Sequence[Result]
    opening: Threshold | Reason


def run(
    pairs: Sequence[Pair],
    max_errors: Sequence[float],
    cosines: Sequence[float],
    progress: Callable[[float], None] = lambda _: None,
) -> Found:
    """Evaluate all tiers; the first of `max_errors` and of `cosines` is the default."""
    similar = similarities(pairs, lambda part: progress(part / 2))
    same_form = [_have_one_form(it) for it in pairs]
    openings = [lanes.open_lanes(Evidence({}, calibration.shipped()), it) for it in max_errors]
    direct: list[list[int]] = [[] for _ in max_errors]
    verify = simulated.verifier()
    for place, (pair, similarity) in enumerate(zip(pairs, similar, strict=True)):
        for served, opening in zip(
            direct, _served(pair, similarity, openings, verify), strict=True
        ):
            if opening or same_form[place]:
                served.append(place)
        progress((1 + place / len(pairs)) / 2)
    by_form = [place for place, same in enumerate(same_form) if same]
    results = [result(pairs, "canonical", 1.0, by_form)]
    results += [
        result(pairs, "direct", point, served)
        for point, served in zip(max_errors, direct, strict=True)
    ]
    results += [
        result(pairs, "cosine", point, (at for at, it in enumerate(similar) if it >= point))
        for point in cosines
    ]
    return Found(results, openings[0][VERIFIER])


def similarities(
    pairs: Sequence[Pair], progress: Callable[[float], None] = lambda _: None
) -> list[float]:
    """Return the cosine of each pair."""
    texts = list(dict.fromkeys(text for it in pairs for text in (it.q1, it.q2)))
    places = {text: place for place, text in enumerate(texts)}
    found = simulated.vectors(texts, progress)
    return [
        1.0 if it.q1 == it.q2 else float(found[places[it.q1]] @ found[places[it.q2]])
        for it in pairs
    ]


def _have_one_form(pair: Pair) -> bool:
    if pair.q1 == pair.q2:
        return True
    one, other = canonical(pair.q1), canonical(pair.q2)
    return not isinstance(one, Reason) and one == other


def _served(
    pair: Pair,
    similarity: float,
    openings: Sequence[lanes.Openings],
    verify: lanes.Verify | None,
) -> list[bool]:
    """Say for each bound whether the second question is served the answer to the first."""
    if verify is None or exact_only(pair.q1) is not None or exact_only(pair.q2) is not None:
        return [False] * len(openings)
    kept = Wording(b"kept", b"", b"kept", pair.q1)
    decision = lanes.decide(pair.q2, [Neighbour(kept, similarity)], openings[0], verify)
    score = next((it.score for it in decision.offers), None)
    if score is None:
        return [False] * len(openings)
    again = [Neighbour(kept, similarity)]
    return [
        lanes.decide(pair.q2, again, it, lambda *_: score, guards=_none).served is not None
        for it in openings
    ]


def _none(_: str, __: str) -> None:
    """Tell nothing apart: the guards were asked before."""


def result(pairs: Sequence[Pair], tier: str, point: float, served: Iterable[int]) -> Result:
    """Return what serving the pairs at these places means."""
    places = list(served)
    positives = sum(it.label for it in pairs)
    false = [place for place in places if not pairs[place].label]
    return Result(tier, point, len(places) - len(false), positives, len(pairs) - positives, false)
