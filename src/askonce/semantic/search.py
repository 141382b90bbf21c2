"""Looks for near wordings of a question, decides, and learns from what came of it.

All of it blocks. It is opened by the first lookup: models are loaded, indexes connected to.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from askonce.errors import StoreError
from askonce.model import Reason
from askonce.semantic import evidence, lanes
from askonce.semantic.contract import Embedder, Index, Ledger, Neighbour, Wording
from askonce.semantic.evidence import ACRONYM, VERIFIER, Evidence, Tally, Threshold
from askonce.semantic.lanes import Decision, Offer, Openings, Verify

if TYPE_CHECKING:
    from askonce.semantic.contract import Vector

NEAREST = 10
"""Wordings that are looked at."""
BETWEEN_TRIES = 30.0
"""Seconds after which an opening that failed is tried again."""
BETWEEN_READS = 10.0
"""Seconds after which the counts are read again, for what other processes found out."""
JUDGED_FROM = 0.5
"""Cosine from which on a miss is compared with its nearest wording. With 0.7 the lane of agreement
had half the hits at the same error (clinc150, decision 014)."""

MOST_JUDGED = 3
"""Answers that a miss is compared with, until one is the same. With one alone, new wordings begin
clusters of their own although the second nearest is theirs (banking77: 27 % hits, 33 % with 3)."""


_CHANCE = random.SystemRandom().random
"""A program that seeds `random` for each request would always or never be audited."""


class Parts(Struct, frozen=True):
    """What a search is made of."""

    embedder: Embedder
    index: Index
    ledger: Ledger
    verify: Verify | None = None
    shipped: Mapping[str, Tally] = {}
    counted: str = ""
    """What own counts are of, besides this version of the score: another embedder, by a digest."""
    owned: bool = True
    """Whether the index is closed with the search."""


class Near(Struct, frozen=True):
    """What a lookup found near a question, kept for the time after its call."""

    vector: Vector | None
    decision: Decision
    candidates: tuple[Wording, ...] = ()
    """The wordings to be compared with, once the answer is there: one of each answer."""
    audited: bool = False
    """It would have been served, and is asked live all the same."""

    @property
    def served(self) -> Offer | None:
        """What may be served now."""
        return None if self.audited else self.decision.served

    @property
    def is_defined(self) -> bool:
        """Whether there is an entry that defines what is asked for."""
        return any(offer.lane == ACRONYM for offer in self.decision.offers)

    def beside(self, found: Near | None) -> Near:
        """Return what was found besides, so that this is judged as well."""
        if found is None:
            return self
        decision = structs.replace(
            found.decision, offers=(*found.decision.offers, *self.decision.offers)
        )
        candidates = (*self.candidates, *found.candidates)
        return structs.replace(found, decision=decision, candidates=candidates)


class Search:
    """Finds near wordings within one scope, under one bound on the error of what is served."""

    def __init__(
        self,
        open_it: Callable[[], Parts],
        *,
        max_error: float,
        audits: float,
        direct: bool = True,
        chance: Callable[[], float] = _CHANCE,
    ) -> None:
        self._open_it = open_it
        self._max_error = max_error
        self._audits = audits
        self._direct = direct
        self._chance = chance
        self._lock = threading.Lock()
        self._parts: Parts | None = None
        self._openings: Openings = {}
        self._counts: Mapping[str, int] | None = None
        self._has_defined = False
        self._read = float("-inf")
        self._next_try = float("-inf")

    @property
    def is_new(self) -> bool:
        """Whether nobody has begun to open it: whoever does waits for the models to be loaded."""
        return self._parts is None and self._next_try == float("-inf")

    @property
    def parts(self) -> Parts:
        """What it is made of, opened now if it was not."""
        parts = self._parts
        if parts is None:
            with self._lock:
                if self._parts is None:
                    if time.monotonic() < self._next_try:
                        raise StoreError("it could not be opened a moment ago")
                    self._next_try = time.monotonic() + BETWEEN_TRIES
                    self._parts = self._open_it()
                parts = self._parts
        return parts

    def look(self, scope: bytes, question: str) -> Near:
        """Find what is near a question, and decide whether it may be served."""
        parts = self.parts
        vector = self._vector(question)
        found = parts.index.nearest(scope, vector, NEAREST)
        openings = self.openings() if self._direct else CLOSED
        # Where its lane is closed the verifier is asked once the answer is there: see `offers`.
        is_open = isinstance(openings.get(VERIFIER), Threshold)
        verify = parts.verify if is_open else None
        decision = lanes.decide(question, found, openings, verify, check=parts.verify)
        if decision.served is not None:
            audited = self._chance() < self._audits
            return Near(vector, decision, (decision.served.neighbour.wording,), audited)
        return Near(vector, decision, candidates(found))

    def defined(self, scope: bytes, question: str, answer: bytes) -> Near:
        """Decide whether the entry that defines an acronym may be served.

        The first one of a process is never audited: what somebody tries once is answered at once.
        """
        wording = Wording(answer, scope, answer, question)
        offer = Offer(ACRONYM, 1.0, Neighbour(wording, 1.0))
        decision = lanes.by_definition(offer, self.openings())
        audited = self._has_defined and self._chance() < self._audits
        self._has_defined = True
        return Near(None, decision, (wording,), audited)

    def similarity(self, one: str, other: str) -> float:
        """Return the cosine of two texts."""
        first, second = self.parts.embedder.embed([one, other])
        return float(first @ second)

    def add(self, wording: Wording, vector: Vector | None = None) -> None:
        """Keep a wording, so that others near to it are found. Once barred, it stays barred."""
        index = self.parts.index
        vectors = self._vector(wording.text) if vector is None else vector
        known = [near.wording for near in index.nearest(wording.scope, vectors, NEAREST)]
        if any(it.barred and it.key == wording.key for it in known):
            wording = structs.replace(wording, barred=True)
        index.add([wording], vectors.reshape(1, -1))

    def bar(self, wording: Wording) -> None:
        """Let a wording that led to a wrong answer lead to none by itself any more."""
        self.add(structs.replace(wording, barred=True))

    def drop(self, keys: Sequence[bytes]) -> None:
        """Drop wordings whose entries are gone."""
        self.parts.index.discard(keys)

    def offers(self, question: str, decision: Decision) -> tuple[Offer, ...]:
        """Return what the lanes would have served, open or closed: evidence, once it is judged."""
        verify, unread = self.parts.verify, decision.unread
        if verify is None or unread is None or decision.offers or not self._direct:
            return decision.offers
        return (lanes.offer(question, unread, verify),)

    def judged(self, offers: Iterable[Offer], *, right: bool) -> None:
        """Count what the lanes offered as right or wrong."""
        counts: dict[str, int] = {}
        for offer in offers:
            name = self.parts.counted + evidence.names(offer.lane, offer.score, right)
            counts[name] = counts.get(name, 0) + 1
        if counts:
            self.parts.ledger.add(counts)
            self._read = float("-inf")

    def openings(self) -> Openings:
        """Return the threshold of each lane that the evidence so far allows, or why none."""
        now = time.monotonic()
        if now - self._read >= BETWEEN_READS:
            self._read = now
            try:
                counts = self._own_counts()
            except Exception:
                # What cannot be watched is not served.
                self._counts, self._openings = None, {}
                raise
            if counts != self._counts:
                known = Evidence(evidence.read(counts), self.parts.shipped)
                self._openings = {
                    **lanes.open_lanes(known, self._max_error),
                    ACRONYM: known.unless_contradicted(ACRONYM, self._max_error),
                }
                self._counts = counts
        return self._openings

    def _own_counts(self) -> dict[str, int]:
        kind = self.parts.counted
        found = self.parts.ledger.read().items()
        return {name.removeprefix(kind): count for name, count in found if name.startswith(kind)}

    def close(self) -> None:
        """Let go of the index."""
        with self._lock:
            parts, self._parts = self._parts, None
            self._next_try = float("-inf")
        if parts is not None and parts.owned:
            parts.index.close()

    def _vector(self, text: str) -> Vector:
        vector: Vector = self.parts.embedder.embed([text])[0]
        return vector


def candidates(found: Sequence[Neighbour]) -> tuple[Wording, ...]:
    """Return the nearest wording of each of the nearest answers, for a judge.

    The guards are not asked: they say what may be served by likeness, and a judge has both answers
    before it.
    """
    nearest: dict[bytes, Wording] = {}
    for near in found:
        if near.similarity < JUDGED_FROM or len(nearest) == MOST_JUDGED:
            break
        if not near.wording.barred:
            nearest.setdefault(near.wording.answer, near.wording)
    return tuple(nearest.values())


CLOSED: Openings = dict.fromkeys(evidence.LANES, Reason("indirect", "direct=False is set"))
