"""The engine: two verbs around every call, `begin` before it and `settle` after it.

The engine never calls upstream. Whoever does asks `begin` first: a Hit is the answer, a Ticket is
the leave to make the call, and must be settled or released. The engine never raises for a failing
store unless it is strict; the call goes on as if the store were empty.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from askonce import entries, keys, plans, replay
from askonce.colours import Colour, Workers
from askonce.dialects.contract import Dialect
from askonce.dialects.wire import encode, too_deep
from askonce.errors import StoreError
from askonce.flights import Flight, Flights, State
from askonce.following import Hit, Turn
from askonce.journal import Journal
from askonce.model import NOTHING, Entry, Outcome, Reason, Request, Response, Versions
from askonce.plans import Plan
from askonce.policy import Models, Options
from askonce.stores.contract import Found, Leases, Store
from askonce.streams import Reader
from askonce.tape import Source, Tape

if TYPE_CHECKING:
    from askonce.stores.sealed import Sealed

PATIENCE = 600.0
"""Seconds a caller without a read timeout waits for somebody else's call, as the SDKs' default."""

MOST_ALIASES = 50_000
"""Aliases kept at hand, some 10 MB. The store has all of them."""

LOST = Reason("incomplete", "the connection was lost before the stream came to its end")
LEFT = Reason("incomplete", "the stream was left before it came to its end")
OVERTAKEN = Reason("overtaken", "a newer answer was kept while this one was on its way")


@dataclass(slots=True)
class Ticket:
    """The leave to call upstream, from one engine. One that is dropped releases its flight."""

    engine: Engine
    plan: Plan
    outcome: Outcome
    versions: Versions = field(default_factory=lambda: NOTHING)
    flight: Flight | None = None
    open: bool = True

    async def settle(
        self, response: Response, colour: Colour, *, alias: bytes | None = None
    ) -> None:
        """Keep the answer if it is worth keeping, and let those who wait for it go on."""
        await self.engine.settle(self, response, colour, alias=alias)

    def release(self, *, failed: bool) -> None:
        """Give the ticket back unused. A failed call lets all who wait go upstream at once."""
        self.close(State.FAILED if failed else State.FREED)

    def record(
        self, source: Source, head: Response, colour: Colour, *, alias: bytes | None = None
    ) -> Reader:
        """Record a stream while its caller, and others, read it. It is settled when it is whole."""

        async def settle(body: bytes) -> None:
            response = Response(head.status, head.headers, body, streamed=True)
            await self.settle(response, colour, alias=alias)

        def abandon(failed: bool) -> None:
            self.outcome.reason = LOST if failed else LEFT
            self.release(failed=failed)

        dialect = self.plan.dialect
        tape = Tape(
            source,
            terminal=lambda piece: replay.is_terminal(dialect, piece),
            settle=settle,
            abandon=abandon,
        )
        tape.attach()
        if self.flight is not None:
            self.engine.flights.begin_stream(self.flight, tape, head)
        return Reader(tape, colour)

    def close(self, state: State) -> None:
        """End this ticket, once, and its flight."""
        if self.open:
            self.open = False
            if self.flight is not None:
                self.engine.flights.end(self.flight, state)

    def __del__(self) -> None:
        self.release(failed=False)


@dataclass(frozen=True, slots=True)
class Recalled:
    """An entry found through an alias, with the key that the alias stands for."""

    key: bytes
    entry: Entry


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
    ) -> None:
        self.store = store
        self.sealed = sealed
        """The same store, where nobody else is to read what it keeps."""
        self.journal = journal
        self.flights = Flights(leases, sealed)
        self.models = models if models is not None else Models.shipped()
        self.clock = clock
        self.strict = strict
        self._aliases: dict[bytes, bytes] = {}
        self._workers = Workers()

    # Before the call

    def plan(self, request: Request, options: Options) -> Plan | Reason:
        """Read a request once and for all: its key is frozen here."""
        return plans.make(request, options, self.models)

    async def begin(self, plan: Plan, colour: Colour, patience: float = PATIENCE) -> Hit | Ticket:
        """Find the answer, or grant leave to call upstream. Waits `patience` seconds at most."""
        if plan.options.refresh:
            found = await self._get((), plan.options.tags, plan.options.tenant)
            return self._ticket(plan, found.versions)
        hit, versions = await self._look(plan)
        if hit is not None:
            return hit
        turn = Turn(
            plan,
            versions,
            flights=self.flights,
            look=self._look,
            colour=colour,
            patience=patience,
        )
        end = await turn.take()
        return end if isinstance(end, Hit) else self._ticket(plan, end.versions, end.flight)

    async def recall(self, alias: bytes, options: Options) -> Recalled | None:
        """Follow an alias to the entry it points at, if that may be served under these options."""
        key = self._aliases.get(alias)
        if key is None:
            pointer = (await self._get((alias,), (), options.tenant)).entries[0]
            if pointer is None or pointer.kind != "alias":
                return None
            key = self._remember(alias, pointer.body)
        target = (await self._get((key,), options.tags, options.tenant)).entries[0]
        if target is None or not self._servable(target, options):
            return None
        return Recalled(key, target)

    async def find(self, key: bytes, options: Options) -> Entry | None:
        """Look up an entry by its key, if it may be served under these options."""
        entry = (await self._get((key,), options.tags, options.tenant)).entries[0]
        return entry if entry is not None and self._servable(entry, options) else None

    async def learn(self, alias: bytes, key: bytes, colour: Colour, *, tenant: str = "") -> None:
        """Remember that a call whose arguments have this digest has this key."""
        self._remember(alias, key)
        await self._put({alias: entries.alias(key, self.clock())}, tenant, colour)

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
        found = await self._get(looked_up, options.tags, options.tenant)
        seen = dict(zip(looked_up, found.entries, strict=True))
        turns: dict[bytes, Hit | Ticket] = {}
        # One for all: each that is missing may be somebody else's call.
        deadline = time.monotonic() + patience
        try:
            for key in names:
                hit = self._hit(parts[key], seen.get(key))
                left = max(0.0, deadline - time.monotonic())
                turns[key] = hit or await self.begin(parts[key], colour, left)
        except BaseException:
            for turn in turns.values():
                if isinstance(turn, Ticket):
                    turn.release(failed=False)
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
        entry = entries.of_answer(plan, response, ticket.versions, now)
        if isinstance(entry, Reason):
            outcome.reason = entry
            return State.FAILED
        outcome.usage = entry.usage
        if ticket.flight is not None and ticket.flight.overtaken:
            outcome.reason = OVERTAKEN
            return State.LANDED
        kept = {plan.key: entry}
        if alias is not None:
            kept[alias] = entries.alias(self._remember(alias, plan.key), now)
        outcome.stored = await self._put(kept, plan.options.tenant, colour)
        if not outcome.stored:
            outcome.reason = Reason("store", "the store could not keep the answer")
            return State.FAILED
        if plan.options.refresh or ticket.flight is not None:
            self.flights.overtake(plan.key, ticket.flight)
        return State.LANDED

    async def keep(
        self, key: bytes, dialect: Dialect, body: bytes, options: Options, colour: Colour
    ) -> None:
        """Keep an answer that was not asked for through `begin`."""
        versions = (await self._get((), options.tags, options.tenant)).versions
        if entries.knows(versions, options):
            entry = entries.of_value(dialect, body, options, versions, self.clock())
            await self._put({key: entry}, options.tenant, colour)

    # Looking

    async def _look(self, plan: Plan, waited: bool = False) -> tuple[Hit | None, Versions]:
        found = await self._get((plan.key,), plan.options.tags, plan.options.tenant)
        return self._hit(plan, found.entries[0], waited=waited), found.versions

    def _hit(self, plan: Plan, entry: Entry | None, *, waited: bool = False) -> Hit | None:
        if entry is None or not self._servable(entry, plan.options):
            return None
        response = replay.render(plan.dialect, entry.response, plan.facts)
        if response is None:
            return None
        return Hit(plan, self.outcome_of(plan.key, entry, waited=waited), response)

    def _servable(self, entry: Entry, options: Options) -> bool:
        # An entry made without a tag that is asked for now may be older than that tag's document.
        return (
            entry.kind != "alias"
            and entry.fresh(self.clock())
            and (not options.tags or entry.tags.keys() >= set(options.tags))
        )

    def outcome_of(self, key: bytes, entry: Entry, *, waited: bool = False) -> Outcome:
        """Tell what serving this entry means."""
        return Outcome(
            "collapsed" if waited else "hit",
            key=key.hex(),
            age=max(0.0, self.clock() - entry.created),
            dialect=entry.dialect,
            model=entry.model,
            usage=entry.usage,
            tags=entry.tags,
            unpinned=entry.unpinned,
            stored=True,
        )

    def _ticket(self, plan: Plan, versions: Versions, flight: Flight | None = None) -> Ticket:
        outcome = Outcome(
            "miss",
            key=plan.key.hex(),
            dialect=plan.dialect.name,
            model=plan.facts.model,
            tags=versions,
            unpinned=plan.unpinned,
        )
        return Ticket(self, plan, outcome, versions, flight)

    # The store, which may fail

    async def _get(self, names: tuple[bytes, ...], tags: tuple[str, ...], tenant: str) -> Found:
        try:
            if self.sealed is None:
                return await self.store.get(names, tags)
            return await self.sealed.get(tenant, names, tags)
        except Exception as error:
            if self.strict:
                raise
            self.journal.trouble("get", _as_trouble(error))
            return Found((None,) * len(names), NOTHING)

    async def _put(self, kept: Mapping[bytes, Entry], tenant: str, colour: Colour) -> bool:
        try:
            sealed = self.sealed
            work = self.store.put(kept) if sealed is None else sealed.put(tenant, kept)
            await (colour.off_loop(work, self._workers) if self.store.blocking else work)
        except Exception as error:
            if self.strict:
                raise
            self.journal.trouble("put", _as_trouble(error))
            return False
        return True


def _as_trouble(error: Exception) -> StoreError:
    """Make a StoreError of what a store should not have raised."""
    if isinstance(error, StoreError):
        return error
    trouble = StoreError(f"{type(error).__name__}: {error}")
    trouble.__cause__ = error
    return trouble
