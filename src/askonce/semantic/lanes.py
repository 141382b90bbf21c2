"""Decides whether one of the nearest wordings answers a question, and says why or why not.

First the guards: a wording that differs from the question in a number, a name, a negation and the
like is left out. Then two lanes, each with evidence and a bound of its own:

- *agreement* (lane B): the three nearest judged wordings, or more, have one answer. It carries
  traffic that asks the same things again and again, and needs no model but the embedder.
- *verifier* (lane A): a model has read the question beside the best wording that is left. What it
  says is weighed with the cosine.

In the lane of agreement the verifier has a veto only, where a question is like none of the nearest
wordings: it rightly tells apart what an answer may merge. Neither serves without a bound. Pure, but
for the verifier that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

from msgspec import Struct

from askonce.guards.vetoes import veto
from askonce.model import Reason
from askonce.semantic import agreement, evidence, likeness
from askonce.semantic.contract import Neighbour
from askonce.semantic.evidence import AGREEMENT, VERIFIER, Evidence, Threshold

FLOOR = 0.5
"""Cosine below which nothing is looked at: the verifier is asked about real candidates only."""

UNLIKE = 0.3
"""What the verifier says at most of each of the nearest wordings that agree, where the question is
another one. It stops 5 to 10 % of the right hits and six in ten of 200 questions that were made to
look like known ones ("... for trucks?", paracetamol for ibuprofen; decision 014)."""

TRIED = 5
"""Wordings about which the guards are asked in a lane, at most."""

Verify: TypeAlias = Callable[[str, str], float]
"""Says from 0 to 1 how likely the answer to the first text serves the second as well."""

Guards: TypeAlias = Callable[[str, str], str | None]
"""Names the guard that tells two questions apart."""

Openings: TypeAlias = Mapping[str, Threshold | Reason]
"""For each lane the threshold in force, or why it is closed."""

NO_CANDIDATE = Reason("no_candidate", "no wording is near enough")
ANOTHER = Reason("another", "the verifier finds it unlike each of the nearest wordings")
DISAGREEMENT = Reason("disagreement", "fewer than three of the nearest judged wordings agree")


class Offer(Struct, frozen=True, gc=False):
    """What a lane would serve, and how sure it is."""

    lane: str
    score: float
    neighbour: Neighbour


class Decision(Struct, frozen=True):
    """What is served, if anything, and what each lane would have served.

    `bound` is the upper bound, at 95 %, on the part of such hits that are wrong. `offers` are all
    that the lanes found, served or not: judged afterwards, they become evidence. `unread` is the
    wording about which the verifier is to be asked, where it was not.
    """

    served: Offer | None = None
    bound: float | None = None
    reason: Reason | None = None
    offers: tuple[Offer, ...] = ()
    unread: Neighbour | None = None


def open_lanes(known: Evidence, max_error: float) -> dict[str, Threshold | Reason]:
    """Return the thresholds of all lanes. They hold until the evidence changes."""
    return {lane: known.threshold(lane, max_error) for lane in evidence.LANES}


def decide(
    question: str,
    neighbours: Sequence[Neighbour],
    openings: Openings,
    verify: Verify | None = None,
    *,
    check: Verify | None = None,
    weights: agreement.Weights = agreement.SHIPPED,
    guards: Guards = veto,
) -> Decision:
    """Decide over the nearest wordings, the nearest first.

    The lane of agreement comes first, `check` being the verifier that has a veto there; `verify` is
    asked once at most, and only if that serves nothing. What either raises goes to the caller.
    """
    usable = [near for near in neighbours if not near.wording.barred]
    guarded = _Guarded(question, guards)
    agreed = _agreed(usable, guarded, weights)
    offers: tuple[Offer, ...] = ()
    why_not = DISAGREEMENT
    if agreed is not None:
        offers = (agreed,)
        bound = _bound(agreed, openings)
        if isinstance(bound, Reason):
            why_not = bound
        elif check is None or _is_like(question, usable, check):
            return Decision(agreed, bound, offers=offers)
        else:
            offers, why_not = (), ANOTHER
    best = guarded.first(usable)
    if best is None:
        return Decision(reason=guarded.why_none(), offers=offers)
    opening = openings.get(VERIFIER, evidence.NO_EVIDENCE)
    if verify is None:
        reason = opening if isinstance(opening, Reason) else why_not
        return Decision(reason=reason, offers=offers, unread=best)
    read = offer(question, best, verify)
    bound = _bound(read, openings)
    if isinstance(bound, Reason):
        # Where wordings agree it is right more often than where it is needed: no evidence.
        return Decision(reason=bound, offers=offers or (read,))
    return Decision(read, bound, offers=(*offers, read))


def by_definition(offered: Offer, openings: Openings) -> Decision:
    """Decide over the one entry that defines an acronym, and is about the field asked for."""
    bound = _bound(offered, openings)
    if isinstance(bound, Reason):
        return Decision(reason=bound, offers=(offered,))
    return Decision(offered, bound, offers=(offered,))


def offer(question: str, near: Neighbour, verify: Verify) -> Offer:
    """Ask the verifier about one wording, and weigh what it says with the cosine."""
    old = near.wording.text
    read = verify(old, question)
    return Offer(VERIFIER, likeness.score(read, near.similarity, old, question), near)


def _is_like(question: str, usable: Sequence[Neighbour], verify: Verify) -> bool:
    answer = usable[0].wording.answer
    nearest = [near.wording.text for near in usable if near.wording.answer == answer]
    return any(verify(old, question) >= UNLIKE for old in nearest[: agreement.LEAST])


@dataclass(slots=True)
class _Guarded:
    """The guards' word on each wording, asked for when it is needed: 0.2 ms each."""

    question: str
    guards: Guards
    vetoes: dict[bytes, str | None] = field(default_factory=dict)

    def first(self, near: Iterable[Neighbour]) -> Neighbour | None:
        """Return the nearest wording that no guard forbids, of the first few."""
        for one in islice(near, TRIED):
            if one.similarity < FLOOR:
                return None
            key = one.wording.key
            if key not in self.vetoes:
                self.vetoes[key] = self.guards(one.wording.text, self.question)
            if self.vetoes[key] is None:
                return one
        return None

    def why_none(self) -> Reason:
        for guard in self.vetoes.values():
            if guard is not None:
                return Reason("vetoed", f"the guard {guard!r} tells it from the nearest wording")
        return NO_CANDIDATE


def _agreed(
    usable: Sequence[Neighbour], guarded: _Guarded, weights: agreement.Weights
) -> Offer | None:
    """Return what the nearest judged wordings agree on, by the nearest of them that is left."""
    found = agreement.among(usable)
    if found is None:
        return None
    answer = usable[0].wording.answer
    best = guarded.first(near for near in usable if near.wording.answer == answer)
    return None if best is None else Offer(AGREEMENT, found.score(weights), best)


def _bound(offer: Offer, openings: Openings) -> float | Reason:
    opening = openings.get(offer.lane, evidence.NO_EVIDENCE)
    if isinstance(opening, Reason):
        return opening
    if evidence.cell(offer.score) < opening.cell:
        return Reason("below_threshold", f"{offer.score:.3f} is less than {opening.score:.3f}")
    return opening.bound
