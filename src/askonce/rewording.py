"""Answers to the same question in other words: found before a call, learnt from its answer.

Every step fails closed: what goes wrong here is a miss, and is told once a minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct, structs

from askonce import entries
from askonce.blocking import run
from askonce.colours import Colour
from askonce.daemons import Daemons
from askonce.errors import StoreError
from askonce.guards.exactness import exact_only
from askonce.guards.vetoes import veto
from askonce.model import Entry, Outcome, Reason
from askonce.plans import Plan
from askonce.semantic import acronyms, wordings
from askonce.semantic.contract import Wording
from askonce.semantic.evidence import ACRONYM
from askonce.semantic.judged_log import Log
from askonce.semantic.judges import Answered, Judge, SameAnswer
from askonce.semantic.search import Near, Search
from askonce.semantic.tiers import Semantic
from askonce.semantic.wordings import Asked
from askonce.stores.breaker import Breaker

if TYPE_CHECKING:
    from askonce.engine import Engine
    from askonce.following import Hit
    from askonce.semantic.lanes import Offer

T = TypeVar("T")

OPENING = 10.0
"""Seconds that the first lookup of a process may take, as it loads the models."""
MOST_WAITING = 100
"""Answers that wait for a judge; beyond, new ones are not judged."""
MOST_SENSES = 8
"""Entries that one acronym may lead to."""
FAILING = "a near question was not looked for, so it was a miss: %s"


class Wanted(Struct, frozen=True):
    """What a call asks, kept until its answer is there."""

    asked: Asked
    canonical: bytes | None = None
    scope: bytes | None = None
    near: Near | None = None


class Rewording:
    """The three tiers around one engine. Without a search only canonical text is at work."""

    def __init__(self, engine: Engine, semantic: Semantic, search: Search | None) -> None:
        self._engine = engine
        self._semantic = semantic
        self._search = search
        self._judge: Judge = semantic.judge or SameAnswer()
        self._lookups = Daemons()
        self._judging = Daemons()
        self._room = threading.Semaphore(MOST_WAITING)
        # A lookup may be late once because a machine is busy; what hangs is late each time.
        self._breaker = Breaker(time.monotonic, message=FAILING, patience=3)
        self._log = Log(semantic.log)

    # Before the call

    def wanted(self, plan: Plan) -> Wanted | None:
        """Return what a call asks; None where no other wording of it may be answered."""
        try:
            asked = wordings.asked(plan, self._engine.models)
            if isinstance(asked, Reason):
                return None
            canonical = asked.canonical()
            by_vectors = self._search is not None and exact_only(asked.question) is None
            return Wanted(
                asked,
                None if isinstance(canonical, Reason) else canonical,
                asked.scope() if by_vectors else None,
            )
        except Exception as error:  # noqa: BLE001 (a text that our rules stumble over)
            self._tell("read a question", error)
            return None

    async def find(self, plan: Plan, colour: Colour) -> tuple[Hit | None, Wanted | None]:
        """Return the answer to another wording of what a call asks, or what to learn from it."""
        wanted = self.wanted(plan)
        if wanted is None:
            return None, None
        if wanted.canonical is not None:
            known = await self._engine.recall(wanted.canonical, plan.options)
            hit = None if known is None else self._hit(plan, known.key, known.entry, "canonical")
            if hit is not None:
                return hit, wanted
        if wanted.scope is None:
            return None, wanted
        near = await self._by_acronym(plan, wanted, colour) if self._semantic.direct else None
        if near is None or near.decision.served is None:
            found = await self._look(wanted, colour)
            near = found if near is None else near.beside(found)
        if near is None:
            return None, wanted
        if plan.options.only_if_cached:
            near = structs.replace(near, audited=False)  # it cannot be asked live
        wanted = structs.replace(wanted, near=near)
        offer = near.served
        return None if offer is None else await self._offered(plan, offer, near), wanted

    async def _look(self, wanted: Wanted, colour: Colour) -> Near | None:
        search, scope = self._search, wanted.scope
        assert search is not None
        assert scope is not None
        work = lambda: search.look(scope, wanted.asked.question)  # noqa: E731 (one line, used once)
        return await self._within(colour, work, "look for near questions")

    async def _within(self, colour: Colour, work: Callable[[], T], what: str) -> T | None:
        """Do some work in the time that a lookup may take; None if it fails or takes longer."""
        assert self._search is not None
        failures = self._breaker.failures
        if not self._breaker.may_ask():
            return None
        seconds = OPENING if self._search.is_new else self._semantic.seconds or 0.0
        try:
            done = await colour.within(seconds, partial(_contained, work), self._lookups)
        except Exception as error:  # noqa: BLE001 (models, indexes and servers raise anything)
            self._breaker.failed(StoreError(f"could not {what}: {_shown(error)}"), failures)
            return None
        self._breaker.worked(failures)
        return done

    async def _offered(self, plan: Plan, offer: Offer, near: Near) -> Hit | None:
        """Return the hit that a lane offers, if its entry is there and may be served."""
        if self._semantic.shadow:
            return None
        known = await self._engine.follow(offer.neighbour.wording.answer, plan.options)
        if known is None:
            return None
        hit = self._hit(plan, known.key, known.entry, "direct")
        if hit is not None:
            _describe(hit.outcome, offer, near.decision.bound)
        return hit

    def _hit(self, plan: Plan, key: bytes, entry: Entry, tier: str) -> Hit | None:
        hit = self._engine.hit(plan, entry)
        if hit is not None:
            hit.outcome.key, hit.outcome.tier = key.hex(), tier
        return hit

    def foretell(self, wanted: Wanted | None, outcome: Outcome) -> None:
        """Say in the outcome of a miss what would have been served, where it was not."""
        near = None if wanted is None else wanted.near
        if near is None or near.decision.served is None:
            return
        withheld = "shadow" if self._semantic.shadow else "audit" if near.audited else ""
        if withheld:  # or its entry is gone, or not for this request
            _describe(outcome, near.decision.served, near.decision.bound)
            outcome.withheld = withheld

    # Acronyms, by the definition in an entry itself

    async def _by_acronym(self, plan: Plan, wanted: Wanted, colour: Colour) -> Near | None:
        search, scope, question = self._search, wanted.scope, wanted.asked.question
        assert search is not None
        assert scope is not None
        sought = acronyms.asked(question)
        name = None if sought is None else _named(wanted.asked, sought.key)
        if sought is None or name is None:
            return None
        senses = {}
        for key in await self._senses(name, plan):
            known = await self._engine.follow(key, plan.options)
            if known is not None:
                senses[known.key] = known.entry
        if not senses:
            return None

        def defined() -> Near | None:
            said = {key: entries.said(entry) for key, entry in senses.items()}
            agreeing = [
                key
                for key, text in said.items()
                if acronyms.agrees(sought.field, "", text, search.similarity)
            ]
            # Two senses in one field: nobody can tell which is meant.
            if not agreeing or not acronyms.is_one_sense(sought, [said[key] for key in agreeing]):
                return None
            return search.defined(scope, question, agreeing[0])

        return await self._within(colour, defined, "compare a field")

    async def _senses(self, name: bytes, plan: Plan) -> list[bytes]:
        found = await self._engine.shelf.read((name,), (), plan.options.tenant)
        entry = found.entries[0]
        if entry is None or entry.kind != "alias":
            return []
        size = len(plan.key)
        return [entry.body[at : at + size] for at in range(0, len(entry.body), size)]

    # After the call

    async def aliases(self, wanted: Wanted, plan: Plan, entry: Entry) -> Mapping[bytes, Entry]:
        """Return what is kept beside an answer, so that other wordings lead to it."""
        pointer = entries.alias(plan, entry.created)
        found = {} if wanted.canonical is None else {wanted.canonical: pointer}
        if wanted.scope is None or not self._semantic.direct:
            return found
        if wanted.near is not None and wanted.near.is_defined:
            return found  # one sense is enough: of two in one field neither is served
        for name in self._names(wanted.asked, entry):
            others = [key for key in await self._senses(name, plan) if key != plan.key]
            keys = [plan.key, *others][:MOST_SENSES]
            found[name] = structs.replace(pointer, body=b"".join(keys))
        return found

    def _names(self, asked: Asked, entry: Entry) -> list[bytes]:
        try:
            named = [
                _named(asked, text) for text in acronyms.names(asked.question, entries.said(entry))
            ]
        except Exception as error:  # noqa: BLE001 (a text that our rules stumble over)
            self._tell("read a definition", error)
            return []
        return [name for name in named if name is not None]

    async def learn(self, wanted: Wanted, plan: Plan, entry: Entry, colour: Colour) -> None:
        """Let other wordings find a new answer, and compare it with that of the nearest one."""
        search, scope, near = self._search, wanted.scope, wanted.near
        if search is None or scope is None:
            return
        question = wanted.asked.question
        wording = Wording(plan.key, scope, plan.key, question, entry.expires)
        vector = None if near is None else near.vector
        work = lambda: search.add(wording, vector)  # noqa: E731 (one line, used once)
        await self._within(colour, work, "keep a question")
        # What was offered and could not be served to this request says nothing of others.
        refused = near is not None and near.served is not None and not self._semantic.shadow
        if near is None or refused or not near.candidates or not self._room.acquire(blocking=False):
            return
        try:
            self._judging.begin(lambda: self._compare(plan, question, near, entry))
        except RuntimeError as error:  # the interpreter is shutting down
            self._room.release()
            self._tell("have two answers compared", error)

    def _compare(self, plan: Plan, question: str, near: Near, entry: Entry) -> None:
        """Judge an answer beside those of the nearest wordings, until one is the same.

        What the lanes offered is judged in any case, or only what a judge got to would be evidence.
        """
        try:
            assert self._search is not None
            new = Answered(question, entries.said(entry))
            offers = self._search.offers(question, near.decision)
            offered: dict[bytes, Wording] = {}
            for offer in offers:
                offered.setdefault(offer.neighbour.wording.answer, offer.neighbour.wording)
            others = [it for it in near.candidates if it.answer not in offered]
            joined = False
            for other in [*offered.values(), *others]:
                if joined and other.answer not in offered:
                    return
                if plan.key in (other.key, other.answer):
                    continue  # its own older wording: the same by itself
                if self._is_same(plan, other, new, near, offers) and not joined:
                    self._join(plan, question, other, near, entry)
                    joined = True
        except Exception as error:  # noqa: BLE001 (fails closed: no alias, no evidence)
            self._tell("compare two answers", error)
        finally:
            self._room.release()

    def _is_same(
        self, plan: Plan, other: Wording, new: Answered, near: Near, offers: Iterable[Offer]
    ) -> bool:
        """Judge one pair, and keep the verdict as evidence for what the lanes offered."""
        search = self._search
        assert search is not None
        old = run(self._engine.shelf.look((other.answer,), (), plan.options.tenant)).entries[0]
        if old is None or old.kind == "alias":
            search.drop([other.key])
            return False
        same = self._opinion(Answered(other.text, entries.said(old)), new)
        if same is None:
            return False
        served = near.decision.served
        if not same and served is not None and served.neighbour.wording.key == other.key:
            if served.lane == ACRONYM:
                self._unname(plan, new.question, other.answer)
            else:
                search.bar(other)
        of_this = [it for it in offers if it.neighbour.wording.answer == other.answer]
        # What cannot say "no" of prose, nor "yes" of short answers, is right of one side only.
        if not isinstance(self._judge, SameAnswer):
            search.judged(of_this, right=same)
        try:
            self._log.add(of_this, new.question, right=same)
        except OSError as error:
            self._tell("write the log", error)
        return same

    def _unname(self, plan: Plan, question: str, answer: bytes) -> None:
        """Let the acronym of a question lead to this entry no more."""
        asked, sought = wordings.asked(plan, self._engine.models), acronyms.asked(question)
        name = None if isinstance(asked, Reason) or sought is None else _named(asked, sought.key)
        if name is not None:
            rest = [key for key in run(self._senses(name, plan)) if key != answer]
            pointer = entries.alias(plan, self._engine.clock())
            self._engine.point({name: structs.replace(pointer, body=b"".join(rest))}, plan)

    def _opinion(self, old: Answered, new: Answered) -> bool | None:
        """Ask the judge, and again the other way round where one verdict is not enough.

        That is where it says "no", and where a guard tells the questions apart.
        """
        same = self._judge.same(old, new)
        if not isinstance(same, bool):
            return None
        doubtful = not same or veto(old.question, new.question) is not None
        if doubtful and self._judge.same(new, old) is not same:
            return None
        return same

    def _join(self, plan: Plan, question: str, other: Wording, near: Near, entry: Entry) -> None:
        """Let a wording stand for the entry whose answer it shares."""
        search = self._search
        assert search is not None
        target = run(self._engine.follow(other.answer, plan.options))
        if target is None or target.key == plan.key:
            return  # it may not be served for this request, or is its own
        now = run(self._engine.shelf.look((plan.key,), (), plan.options.tenant)).entries[0]
        if now is None or now.created != entry.created:
            return  # somebody asked anew meanwhile, or forgot it
        wanted = wordings.asked(plan, self._engine.models)
        pointer = entries.pointer(target.key, entry)
        kept = {plan.key: pointer}
        if not isinstance(wanted, Reason):
            canonical = wanted.canonical()
            if not isinstance(canonical, Reason):
                kept[canonical] = pointer
        self._engine.point(kept, plan)
        wording = Wording(plan.key, other.scope, target.key, question, entry.expires)
        search.add(wording, near.vector)

    def drain(self) -> None:
        """Wait until all that was learnt so far is judged."""
        self._judging.drain()

    def close(self) -> None:
        """Wait for what is being judged, and let go of the index."""
        self.drain()
        if self._search is not None:
            self._search.close()

    def _tell(self, what: str, error: Exception) -> None:
        self._engine.journal.warn("semantic", "could not %s: %s", what, _shown(error))


def _contained(work: Callable[[], T]) -> T:
    """Do some work, and let nothing out that is no Exception: it was not meant for the caller."""
    try:
        return work()
    except Exception:
        raise
    except BaseException as odd:
        raise RuntimeError(f"{type(odd).__name__}: {odd}") from odd


def _shown(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _named(asked: Asked, text: str) -> bytes | None:
    """Return the key under which the entries are that define an acronym, or a thing."""
    return asked.named(["acronym", text])


def _describe(outcome: Outcome, offer: Offer, bound: float | None) -> None:
    outcome.lane, outcome.bound = offer.lane, bound
    if offer.lane != ACRONYM:  # it is found by what its answer says, not by a wording
        outcome.matched, outcome.similarity = (
            offer.neighbour.wording.text,
            offer.neighbour.similarity,
        )
        outcome.score = offer.score
