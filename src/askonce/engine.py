"""The engine: two verbs around every call, `begin` before it and `settle` after it.

The engine never calls upstream. Whoever does asks `begin` first: a Hit is the answer, a Ticket is
the leave to make the call, and must be settled or released. The engine never raises for a failing
store unless it is strict; the call goes on as if the store were empty.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from askonce import entries, keys, plans, replay
from askonce.blocking import run
from askonce.chains import joined
from askonce.colours import THREADS, Colour
from askonce.dialects.wire import encode, too_deep
from askonce.documents import is_of
from askonce.errors import NotCached
from askonce.fail_open import FailOpen
from askonce.flights import Flight, Flights, State
from askonce.following import Hit, Seen, Turn
from askonce.journal import Journal
from askonce.model import Entry, Outcome, Reason, Request, Response, Versions
from askonce.plans import Plan
from askonce.policy import Models, Options
from askonce.stores.contract import Leases, Store
from askonce.tickets import Ticket

if TYPE_CHECKING:
    from askonce.rewording import Rewording
    from askonce.stores.sealed import Sealed

PATIENCE = 600.0
"""Seconds a caller without a read timeout waits for somebody else's call, as the SDKs' default."""

MOST_ALIASES = 50_000
"""Aliases kept at hand, some 10 MB. The store has all of them."""

REVALIDATING = Reason("stale_while_revalidate", "the next answer is being fetched")
ONLY_IF_CACHED = Reason("only_if_cached", "nothing that may be served is kept, and no call is made")
CHANGED = Reason("changed", "the arguments were changed while the function ran")
VERIFIED = "verified"
OVERTAKEN = Reason("overtaken", "a newer answer was kept while this one was on its way")


class Recalled(Struct, frozen=True):
    """An entry found through an alias, with its key."""

    key: bytes
    entry: Entry
    tier: str = ""
    """"verified" where its question is another wording of what was asked."""


class Engine:
    """Decides, looks up, lets one caller lead, and keeps what is worth keeping."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        *,
        leases: Leases | None = None,
        models: Models | None = None,
        clock: Callable[[], float] = time.time,
        strict: bool = False,
        sealed: Sealed | None = None,
        rewording: Callable[[Engine], Rewording] | None = None,
    ) -> None:
        self.store = store
        self.sealed = sealed
        """The same store, where nobody else is to read what it keeps."""
        self.journal = journal
        self.flights = Flights(leases, sealed)
        self.models = models if models is not None else Models.shipped()
        self.clock = clock
        self.shelf = FailOpen(store, sealed, journal, strict=strict)
        self.rewording = None if rewording is None else rewording(self)
        self._aliases: dict[bytes, bytes] = {}

    # Before the call

    def plan(self, request: Request, options: Options) -> Plan | Reason:
        """Read a request once and for all: its key is frozen here."""
        return plans.make(request, options, self.models)

    async def begin(self, plan: Plan, colour: Colour, patience: float = PATIENCE) -> Hit | Ticket:
        """Find the answer, or grant leave to call upstream. Waits `patience` seconds at most."""
        options = plan.options
        # Without its request a plan is for one wording alone.
        rewording = None if plan.request is None else self.rewording
        if options.refresh and not options.only_if_cached:
            versions = of_all(options, (await self.shelf.get((), options)).versions)
            ticket = self._ticket(plan, versions)
            if rewording is not None:
                ticket.wanted = rewording.wanted(plan)
            return ticket
        seen = await self._look(plan)
        if seen.hit is not None:
            return seen.hit
        if seen.stale is not None and seen.late <= options.policy.stale_while_revalidate:
            return await self._revalidating(plan, seen.stale, seen.versions)
        wanted = None
        if rewording is not None:
            reworded, wanted = await rewording.find(plan, colour)
            if reworded is not None:
                return reworded
        if options.only_if_cached:
            raise NotCached(ONLY_IF_CACHED.advice)
        turn = Turn(
            plan,
            seen,
            flights=self.flights,
            look=self._look,
            colour=colour,
            patience=patience,
        )
        end = await turn.take()
        if isinstance(end, Hit):
            return end
        ticket = self._ticket(plan, end.versions, end.flight)
        if rewording is not None:
            ticket.wanted = wanted
            rewording.foretell(wanted, ticket.outcome)
        return ticket

    async def _revalidating(self, plan: Plan, stale: Hit, versions: Versions) -> Hit:
        """Serve a stale answer at once; the first who does so fetches the next one behind it."""
        stale.outcome.reason = REVALIDATING
        if plan.options.only_if_cached:
            return stale
        flight, leading = self.flights.join(plan.key, versions, plan.options.tenant)
        if not leading:
            return stale
        state = State.FREED
        try:
            if await self.flights.lease(flight):
                # The next answer may have come between the look and the lead.
                seen = await self._look(plan)
                if seen.hit is not None:
                    state = State.LANDED
                    return seen.hit
                state = State.FLYING
                flight.versions = seen.versions
                return structs.replace(stale, refresh=self._ticket(plan, seen.versions, flight))
            return stale
        finally:
            if state is not State.FLYING:
                self.flights.end(flight, state)

    async def recall(self, alias: bytes, options: Options) -> Recalled | None:
        """Follow an alias to the entry it points at, if that may be served under these options."""
        key = self._aliases.get(alias)
        target = None if key is None else await self.follow(key, options)
        if target is None:
            # What was remembered may have ended, and another process have pointed elsewhere.
            found = await self.shelf.read((alias,), (), options.tenant)
            pointer = found.entries[0]
            if pointer is None or pointer.kind != "alias" or pointer.body == key:
                return None
            key = self._remember(alias, pointer.body)
            entry = found.targets.get(key)
            if entry is not None and entry.kind != "alias" and self._servable(entry, options):
                return Recalled(key, entry)
            target = await self.follow(key, options)
        return target

    async def find(self, key: bytes, options: Options) -> Entry | None:
        """Look up an entry by its key, if it may be served under these options."""
        target = await self.follow(key, options)
        return None if target is None else target.entry

    async def follow(self, key: bytes, options: Options) -> Recalled | None:
        """Look up an entry, or the one that answers its question where both were judged the same.

        Who wants no answer to another wording is served none.
        """
        entry = (await self.shelf.read((key,), options.tags, options.tenant)).entries[0]
        tier = ""
        if entry is not None and entry.kind == "alias":
            if not options.takes_rewordings:
                return None
            key, tier = entry.body, VERIFIED
            entry = (await self.shelf.read((key,), options.tags, options.tenant)).entries[0]
        if entry is None or not self._servable(entry, options):
            return None
        return Recalled(key, entry, tier)

    async def learn(self, alias: bytes, plan: Plan, colour: Colour) -> None:
        """Remember that a call whose arguments have this digest has this plan's key."""
        self._remember(alias, plan.key)
        pointer = entries.alias(plan, self.clock())
        await self.shelf.put({alias: pointer}, plan.options.tenant, colour)

    def _remember(self, alias: bytes, key: bytes) -> bytes:
        """Keep an alias at hand. What it says stays true; there are only too many of them."""
        if len(self._aliases) >= MOST_ALIASES:
            self._aliases.clear()
        self._aliases[alias] = key
        return key

    async def begin_all(
        self, parts: Mapping[bytes, Plan], colour: Colour, patience: float = PATIENCE
    ) -> dict[bytes, Hit | Ticket]:
        """Begin several calls at once: one look for all, then a turn for each that is missing.

        The missing ones are begun in the order of their keys, so two batches that share some can
        never each hold what the other waits for.
        """
        options = next(iter(parts.values())).options
        names = tuple(sorted(parts))
        looked_up = () if options.refresh else names
        found = await self.shelf.get(looked_up, options)
        seen = dict(zip(looked_up, found.entries, strict=True))
        turns: dict[bytes, Hit | Ticket] = {}
        # One for all: each that is missing may be somebody else's call.
        deadline = time.monotonic() + patience
        try:
            for key in names:
                hit = self.hit(parts[key], seen.get(key))
                left = max(0.0, deadline - time.monotonic())
                turns[key] = hit or await self.begin(parts[key], colour, left)
        except BaseException:
            for turn in turns.values():
                held = turn.refresh if isinstance(turn, Hit) else turn
                if held is not None:
                    held.release(failed=False)
            raise
        return turns

    def asking_usage(self, plan: Plan, body: bytes) -> bytes | None:
        """Return the body that also asks for usage, where a stream shows it on request only."""
        facts = plan.facts
        if facts.usage_asked or not facts.stream or not facts.usage_on_request:
            return None
        asking = plan.dialect.ask_usage(keys.parse(body))
        return None if asking is None or too_deep(asking) else encode(asking).encode()

    # After the call

    async def settle(
        self, ticket: Ticket, response: Response, colour: Colour, *, alias: bytes | None = None
    ) -> None:
        """Keep the answer if it is worth keeping, and let those who wait for it go on."""
        if not ticket.open:
            return
        state = State.FREED  # what cancels us says nothing about the answer
        try:
            state = await self._keep(ticket, response, colour, alias)
        except Exception:
            state = State.FAILED
            raise
        finally:
            ticket.close(state)

    async def _keep(
        self, ticket: Ticket, response: Response, colour: Colour, alias: bytes | None
    ) -> State:
        plan, outcome, now = ticket.plan, ticket.outcome, self.clock()
        versions = ticket.versions
        if ticket.chain is not None:
            versions = joined(versions, ticket.chain.versions)
            outcome.tags = dict(versions)
        entry = entries.of_answer(plan, response, versions, now)
        if ticket.chain is not None and not plan.options.policy.effects:
            entry = ticket.chain.refused or entry
        if ticket.is_valid is not None and not ticket.is_valid():
            entry = CHANGED
        if isinstance(entry, Reason):
            outcome.reason = entry
            return State.FAILED
        outcome.usage = dict(entry.usage)
        if ticket.flight.overtaken:
            outcome.reason = OVERTAKEN
            return State.LANDED
        kept = {plan.key: entry}
        if alias is not None:
            self._remember(alias, plan.key)
            kept[alias] = entries.alias(plan, now)
        rewording, wanted = self.rewording, ticket.wanted
        if rewording is not None and wanted is not None:
            kept.update(await rewording.aliases(wanted, plan, entry))
        outcome.stored = await self.shelf.put(kept, plan.options.tenant, colour)
        if not outcome.stored:
            outcome.reason = Reason("store", "the store could not keep the answer")
            return State.FAILED
        self.flights.overtake(plan.key, ticket.flight)
        if rewording is not None and wanted is not None:
            await rewording.learn(wanted, plan, entry, colour)
        return State.LANDED

    def point(self, names: Mapping[bytes, Entry], plan: Plan) -> None:
        """Keep pointers in place of what their names held, from a thread of one's own."""
        for name in names:
            self._aliases.pop(name, None)
        run(self.shelf.put(names, plan.options.tenant, THREADS))

    async def keep(self, plan: Plan, body: bytes, colour: Colour) -> None:
        """Keep an answer that was not asked for through `begin`."""
        versions = (await self.shelf.get((), plan.options)).versions
        if entries.knows(versions, plan.options):
            entry = entries.of_value(plan, body, versions, self.clock())
            await self.shelf.put({plan.key: entry}, plan.options.tenant, colour)

    # Looking

    async def _look(self, plan: Plan, waited: bool = False) -> Seen:
        found = await self.shelf.get((plan.key,), plan.options)
        entry, versions = found.entries[0], of_all(plan.options, found.versions)
        if entry is not None and entry.kind == "alias":
            hit = await self._verified(plan, entry) if plan.options.takes_rewordings else None
            return Seen(hit, versions=versions)
        hit = self.hit(plan, entry, waited=waited)
        if hit is not None or entry is None:
            return Seen(hit, versions=versions)
        policy = plan.options.policy
        own = inf if policy.ttl is None else entry.created + policy.ttl
        late = self.clock() - (own if entry.expires is None else min(own, entry.expires))
        if not 0 <= late < policy.grace:
            return Seen(versions=versions)
        return Seen(stale=self.hit(plan, entry, stale=True), late=late, versions=versions)

    async def _verified(self, plan: Plan, pointer: Entry) -> Hit | None:
        """Follow a wording that was judged to be another one of an older question."""
        entry = await self.find(pointer.body, plan.options)
        hit = self.hit(plan, entry)
        if hit is not None:
            hit.outcome.key, hit.outcome.tier = pointer.body.hex(), VERIFIED
        return hit

    def hit(
        self, plan: Plan, entry: Entry | None, *, waited: bool = False, stale: bool = False
    ) -> Hit | None:
        """Return a plan's hit on an entry; None if that may not be served, or is not there."""
        grace = plan.options.policy.grace if stale else 0.0
        if entry is None or not self._servable(entry, plan.options, grace):
            return None
        response = replay.render(plan.dialect, entry.response, plan.facts)
        if response is None:
            return None
        outcome = self.outcome_of(plan.key, entry, plan.options)
        outcome.pinned = plan.pinned
        if stale or waited:
            outcome.kind = "stale" if stale else "collapsed"
        return Hit(plan, outcome, response)

    async def spare(self, ticket: Ticket) -> Hit | None:
        """Return the last good answer in place of a call that failed, if it may be served now."""
        if not ticket.plan.options.policy.grace:
            return None
        seen = await self._look(ticket.plan)
        return seen.hit or seen.stale

    def _servable(self, entry: Entry, options: Options, grace: float = 0.0) -> bool:
        now, expires, ttl = self.clock() - grace, entry.expires, options.policy.ttl
        return (
            entry.kind != "alias"
            and (expires is None or now < expires)
            # The caller's own ttl may be shorter than that of whoever kept it.
            and (ttl is None or now < entry.created + ttl)
            and (options.max_age is None or now + grace - entry.created <= options.max_age)
            # An entry made without a tag that is asked for now may be older than its document.
            and (not options.tags or entry.tags.keys() >= set(options.tags))
            and (not options.documents or _is_of_all(entry, options.documents))
        )

    def outcome_of(self, key: bytes, entry: Entry, options: Options) -> Outcome:
        """Tell what serving this entry means."""
        return Outcome(
            "hit",
            key=key.hex(),
            age=max(0.0, self.clock() - entry.created),
            dialect=entry.dialect,
            model=entry.model,
            # Copies, as an outcome is its caller's to change.
            usage=dict(entry.usage) if entry.usage else {},
            tags=dict(entry.tags) if entry.tags else {},
            unpinned=entry.unpinned,
            stored=True,
            exact_only=is_exact_only(options),
        )

    def _ticket(self, plan: Plan, versions: Versions, flight: Flight | None = None) -> Ticket:
        outcome = Outcome(
            "miss",
            key=plan.key.hex(),
            dialect=plan.dialect.name,
            model=plan.facts.model,
            tags=dict(versions),
            unpinned=plan.unpinned,
            pinned=plan.pinned,
            exact_only=is_exact_only(plan.options),
        )
        return Ticket(self, plan, outcome, versions, flight or self.flights.alone(plan.key))


def only_if_cached(plan: Plan, versions: Versions) -> Outcome:
    """Tell that a call was not made."""
    return Outcome(
        "miss",
        key=plan.key.hex(),
        reason=ONLY_IF_CACHED,
        dialect=plan.dialect.name,
        model=plan.facts.model,
        tags=dict(versions),
    )


def _is_of_all(entry: Entry, documents: Versions) -> bool:
    return all(is_of(entry.tags[tag], content) for tag, content in documents.items())


def is_exact_only(options: Options) -> bool:
    """Say whether semantic lookup is asked for where there is none."""
    return options.policy.semantic is True and options.semantic is None


def of_all(options: Options, versions: Versions) -> Versions:
    """Return the version of every tag of a call; of one that is not known, one that is dead."""
    # No store ever gives an empty version.
    return {**dict.fromkeys(options.tags, b""), **versions}
