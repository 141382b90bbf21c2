"""Ways to answer a stream of questions from what was asked before, each told what it got wrong.

A strategy sees one question after another, with the cosines to all before it, and says whose answer
it would serve. What it keeps is its own affair: of two strategies each has asked upstream for other
questions. All serve an exact repetition.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy
from msgspec import structs
from numpy.typing import NDArray

from askonce.commands.labelled import Question
from askonce.guards.exactness import exact_only
from askonce.guards.vetoes import veto
from askonce.model import Reason
from askonce.semantic import agreement, evidence, lanes
from askonce.semantic.canonical import canonical
from askonce.semantic.contract import Neighbour, Wording
from askonce.semantic.evidence import Evidence, Tally
from askonce.semantic.search import candidates

Row = NDArray[numpy.float32]
"""Cosines of a question to all before it, in their order."""


class Served(NamedTuple):
    """The answer that a strategy gives: that of an earlier question, by its place in the stream."""

    place: int
    tier: str


class Strategy(Protocol):
    """Answers a stream, question by question."""

    def step(self, place: int, row: Row) -> Served | None:
        """Serve the answer of an earlier question, or ask upstream and keep what comes."""


@dataclass(slots=True)
class Kept:
    """The questions that were asked upstream, and their places in the stream."""

    stream: Sequence[Question]
    count: int = 0
    texts: dict[str, int] = field(default_factory=dict)
    _places: NDArray[numpy.intp] = field(init=False)

    def __post_init__(self) -> None:
        self._places = numpy.empty(len(self.stream), numpy.intp)

    def add(self, place: int, *, near: bool = True) -> None:
        """Keep the question at this place; with `near` it is found by others near to it."""
        self.texts[self.stream[place].text] = place
        if near:
            self._places[self.count] = place
            self.count += 1

    def nearest(self, row: Row, count: int) -> list[tuple[int, float]]:
        """Return the places of the nearest questions and their cosines, the nearest first."""
        if not self.count:
            return []
        places = self._places[: self.count]
        cosines = row[places]
        if count == 1:
            best = int(cosines.argmax())
            return [(int(places[best]), float(cosines[best]))]
        if count < self.count:
            some = numpy.argpartition(cosines, -count)[-count:]
        else:
            some = numpy.arange(self.count)
        some = some[numpy.argsort(-cosines[some], kind="stable")]
        return [(int(places[one]), float(cosines[one])) for one in some]


@dataclass(slots=True)
class Static:
    """Serves the nearest question from one cosine on, as most semantic caches do."""

    stream: Sequence[Question]
    threshold: float
    kept: Kept = field(init=False)

    def __post_init__(self) -> None:
        self.kept = Kept(self.stream)

    def step(self, place: int, row: Row) -> Served | None:
        """Serve from the threshold on."""
        repeated = self.kept.texts.get(self.stream[place].text)
        if repeated is not None:
            return Served(repeated, "exact")
        for near, cosine in self.kept.nearest(row, 1):
            if cosine >= self.threshold:
                return Served(near, "cosine")
        self.kept.add(place)
        return None


@dataclass(slots=True)
class Judge:
    """Says whether two answers are the same, and is mistaken now and then."""

    noise: float
    chance: random.Random

    def same(self, one: Hashable, other: Hashable) -> bool:
        """Compare two answers; each opinion is independent of all others."""
        return (one == other) != (self.chance.random() < self.noise)


@dataclass(slots=True)
class Layered:
    """The tiers of askonce: canonical text, verified aliases, and direct hits below a bound.

    A question that was asked upstream is judged afterwards against its nearest wording, and becomes
    a wording of that if the answers are the same. What a lane would have served is evidence then:
    wrong only if a second opinion agrees, and none at all if the two differ. A part of the hits is
    asked upstream all the same, and judged the same way.
    """

    stream: Sequence[Question]
    judge: Judge
    max_error: float
    audits: float
    shipped: Mapping[str, Tally] = field(default_factory=dict)
    verify: lanes.Verify | None = None
    weights: agreement.Weights = agreement.SHIPPED
    guards: lanes.Guards = veto
    kept: Kept = field(init=False)
    openings: lanes.Openings = field(init=False)
    counts: dict[str, int] = field(default_factory=dict)
    _wordings: dict[int, Wording] = field(default_factory=dict)
    _forms: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kept = Kept(self.stream)
        self._look()

    def step(self, place: int, row: Row) -> Served | None:
        """Serve by the safest tier that can."""
        text = self.stream[place].text
        if place % _BETWEEN_LOOKS == 0:
            self._look()
        repeated = self.kept.texts.get(text)
        if repeated is not None:
            return Served(self._answer(repeated), "exact")
        form = canonical(text)
        if not isinstance(form, Reason):
            known = self._forms.get(form.form)
            if known is not None:
                return Served(self._answer(known), "canonical")
        by_vectors = exact_only(text) is None
        near = self._near(row) if by_vectors else []
        decision = lanes.decide(
            text,
            near,
            self.openings,
            self.verify,
            check=self.verify,
            weights=self.weights,
            guards=self.guards,
        )
        offer = decision.served
        if offer is not None and self.judge.chance.random() >= self.audits:
            return Served(_place(offer.neighbour.wording.answer), offer.lane)
        if not isinstance(form, Reason):
            self._forms[form.form] = place
        self._learn(place, near, decision)
        self.kept.add(place, near=by_vectors)
        return None

    def _look(self) -> None:
        known = Evidence(evidence.read(self.counts), self.shipped)
        self.openings = lanes.open_lanes(known, self.max_error)

    def _near(self, row: Row) -> list[Neighbour]:
        found = self.kept.nearest(row, agreement.NEAREST)
        return [Neighbour(self._wordings[other], cosine) for other, cosine in found]

    def _answer(self, place: int) -> int:
        return _place(self._wordings[place].answer)

    def _learn(self, place: int, near: Sequence[Neighbour], decision: lanes.Decision) -> None:
        """Judge what came from upstream, off everybody's path, and keep it."""
        key, text = _key(place), self.stream[place].text
        answer = key
        offer = decision.served
        others = candidates(near) if offer is None else (offer.neighbour.wording,)
        for other in others:
            same = self._is_same(place, other.answer)
            if same or not self._is_same(place, other.answer):
                self._count(decision.offers, other.answer, right=same)
                if not same and offer is not None:
                    barred = structs.replace(other, barred=True)
                    self._wordings[_place(other.key)] = barred
            if same:
                answer = other.answer
                break
        self._wordings[place] = Wording(key, b"", answer, text)

    def _count(self, offers: Iterable[lanes.Offer], answer: bytes, *, right: bool) -> None:
        for offer in offers:
            if offer.neighbour.wording.answer == answer:
                name = evidence.names(offer.lane, offer.score, right)
                self.counts[name] = self.counts.get(name, 0) + 1

    def _is_same(self, place: int, answer: bytes) -> bool:
        ours, theirs = self.stream[place], self.stream[_place(answer)]
        return self.judge.same(ours.answer_id, theirs.answer_id)


_BETWEEN_LOOKS = 20
"""Questions between two readings of the counts: a process reads its ledger now and then."""


def _key(place: int) -> bytes:
    return place.to_bytes(8, "big")


def _place(key: bytes) -> int:
    return int.from_bytes(key, "big")


def replay(
    vectors: NDArray[numpy.float32],
    strategies: Sequence[Strategy],
    progress: Callable[[float], None] = lambda _: None,
) -> list[list[Served | None]]:
    """Let strategies answer a stream whose texts have these vectors; return what each served."""
    served: list[list[Served | None]] = [[] for _ in strategies]
    for begin in range(0, len(vectors), _BLOCK):
        block = vectors[begin : begin + _BLOCK]
        cosines = block @ vectors[: begin + len(block)].T
        for offset in range(len(block)):
            place = begin + offset
            for strategy, log in zip(strategies, served, strict=True):
                log.append(strategy.step(place, cosines[offset, :place]))
        progress((begin + len(block)) / len(vectors))
    return served


_BLOCK = 256
"""Rows of cosines that are made at once, ten times as fast as one by one."""
