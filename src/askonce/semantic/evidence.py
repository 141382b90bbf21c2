"""What was found right and wrong so far, and from which score on a lane may therefore serve.

A lane gives each candidate a score. Scores fall into fixed cells; of each cell it is counted how
often the candidate was right and how often wrong, in audited hits and in misses that were judged
afterwards. The counts of one's own traffic come from a ledger; others may be shipped. Pure.

How the confidence is kept. There are many cells and so many thresholds that could be chosen, and
choosing the best looking one would make the bound a lie. So they are tested in a fixed sequence
from the top, and the first that fails ends it (P. Westfall and A. Krishen, "Optimally weighted,
fixed sequence and gatekeeper multiple testing procedures", J. Stat. Plan. Inference 99 (2001), 25):
the chance that any served threshold errs more often than allowed is then that of a single test.
Where the sequence begins depends on how many cases there are, never on how many of them were wrong.
This holds for each look at the counts. It does not hold for all looks of a year at once: an unlucky
start can open a lane for a while, until the audits that go on say so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from askonce.model import Reason
from askonce.semantic import bounds

VERIFIER = "verifier"
"""Lane A: the score of the pair verifier on the best candidate."""
AGREEMENT = "agreement"
"""Lane B: the agreement of the nearest judged wordings."""
LANES = (AGREEMENT, VERIFIER)
"""Those that serve from a score on."""
ACRONYM = "acronym"
"""What an entry itself says decides, not a score: it serves unless audits contradict it."""

CELLS = 50
_LOWEST, _WIDTH = -2.0, 0.2
"""In log-odds: cell 0 holds all scores below 0.14, cell 49 those above 0.9996. Near 1, where the
decision falls, equal steps of the score itself would be far too coarse."""

_ALLOWED = 2
"""The sequence begins where so many wrong cases may still pass: with none, a single slip of a judge
at the top would close a lane until there is twice as much evidence."""

NO_EVIDENCE = Reason("no_evidence", "too few hits were audited so far to bound the error of more")
NOT_BOUNDED = Reason("not_bounded", "too many of the audited hits were wrong for this max_error")
CONTRADICTED = Reason("contradicted", "audits of this traffic are worse than max_error allows")


def cell(score: float) -> int:
    """Return the cell of a score from 0 to 1."""
    if not score > 0.0:  # neither does NaN
        return 0
    if score >= 1.0:
        return CELLS - 1
    log_odds = math.log(score) - math.log1p(-score)
    return min(CELLS - 1, max(0, int((log_odds - _LOWEST) / _WIDTH)))


def least(number: int) -> float:
    """Return the least score of a cell."""
    return 1.0 / (1.0 + math.exp(-(_LOWEST + _WIDTH * number))) if number else 0.0


class Tally(Struct, frozen=True):
    """How often a lane was right and wrong, by cell."""

    right: tuple[int, ...] = (0,) * CELLS
    wrong: tuple[int, ...] = (0,) * CELLS

    def __add__(self, other: Tally) -> Tally:
        return Tally(_sums(self.right, other.right), _sums(self.wrong, other.wrong))

    def above(self) -> list[tuple[int, int]]:
        """Return for each cell how many were wrong at and above it, and of how many."""
        found, wrong, of = [], 0, 0
        for good, bad in zip(reversed(self.right), reversed(self.wrong), strict=True):
            wrong, of = wrong + bad, of + good + bad
            found.append((wrong, of))
        return found[::-1]


def _sums(ours: Iterable[int], theirs: Iterable[int]) -> tuple[int, ...]:
    return tuple(mine + other for mine, other in zip(ours, theirs, strict=True))


class Threshold(Struct, frozen=True):
    """From where on a lane serves, and the evidence for it.

    Of `of` cases at and above the threshold `wrong` were wrong, so that at most `bound` of all are,
    at the confidence asked for. `own` of the cases are of one's own traffic.
    """

    cell: int
    wrong: int
    of: int
    bound: float
    own: int = 0

    @property
    def score(self) -> float:
        """The least score that is served."""
        return least(self.cell)


class Evidence(Struct, frozen=True):
    """Counts of one's own traffic, and those shipped to begin with, by lane."""

    own: Mapping[str, Tally] = {}
    shipped: Mapping[str, Tally] = {}

    def threshold(
        self, lane: str, max_error: float, confidence: float = bounds.CONFIDENCE
    ) -> Threshold | Reason:
        """Return the lowest cell from which on at most `max_error` of all hits are wrong.

        The counts are pooled plainly. Weighting what is seldom audited by how seldom it is made the
        bounds worse (a single slip of the judge then counts for many).
        """
        own = self.own.get(lane, Tally())
        all_of_it = own + self.shipped.get(lane, Tally())
        pooled, owned = all_of_it.above(), own.above()
        needed = bounds.cases_needed(max_error, _ALLOWED, confidence)
        found: Threshold | Reason = NO_EVIDENCE
        for number in reversed(range(CELLS)):
            wrong, of = pooled[number]
            if of < needed:
                continue
            why_not = None
            if bounds.at_most(wrong, of, max_error) > 1.0 - confidence:
                why_not = NOT_BOUNDED
            elif _contradicts(*owned[number], max_error, confidence):
                why_not = CONTRADICTED
            elif _lowest(pooled, number, needed) > max_error:
                why_not = NOT_BOUNDED
            if why_not is not None:
                return why_not if isinstance(found, Reason) else found
            bound = bounds.upper(wrong, of, confidence)
            found = Threshold(number, wrong, of, bound, owned[number][1])
        return found

    def unless_contradicted(
        self, lane: str, max_error: float, confidence: float = bounds.CONFIDENCE
    ) -> Threshold | Reason:
        """Return that all is served, unless audits show that more than `max_error` is wrong."""
        wrong, of = self.own.get(lane, Tally()).above()[0]
        if _contradicts(wrong, of, max_error, confidence):
            return CONTRADICTED
        return Threshold(0, wrong, of, bounds.upper(wrong, of, confidence), of)


def _contradicts(wrong: int, of: int, max_error: float, confidence: float) -> bool:
    """Say whether so many wrong ones would be too unlikely, were the bound true."""
    return wrong > 0 and 1.0 - bounds.at_most(wrong - 1, of, max_error) < 1.0 - confidence


def _lowest(pooled: Sequence[tuple[int, int]], number: int, needed: int) -> float:
    """Return how often the lowest cells were wrong, of so many that `needed` cases are in them.

    Without this the worst cells would ride on the best: the mean of all may stay below a bound that
    every further hit is above.
    """
    wrong, of = pooled[number]
    for upper in range(number + 1, CELLS):
        if of - pooled[upper][1] >= needed:
            wrong, of = wrong - pooled[upper][0], of - pooled[upper][1]
            break
    return wrong / of


def names(lane: str, score: float, right: bool) -> str:
    """Return the name under which a ledger counts such a case."""
    return f"{lane}/{cell(score)}/{'right' if right else 'wrong'}"


def read(counts: Mapping[str, int]) -> dict[str, Tally]:
    """Read the counts of a ledger. Names that are none of ours are passed over."""
    return {
        lane: Tally(
            tuple(max(0, counts.get(f"{lane}/{number}/right", 0)) for number in range(CELLS)),
            tuple(max(0, counts.get(f"{lane}/{number}/wrong", 0)) for number in range(CELLS)),
        )
        for lane in (*LANES, ACRONYM)
    }
