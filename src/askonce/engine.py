"""The engine: two verbs around every call, `begin` before it and `settle` after it.

The engine never calls upstream. Whoever does asks `begin` first: a Hit is the answer, a Ticket is
the leave to make the call, and must be settled or released. The engine never raises for a failing
store unless it is strict; the call goes on as if the store were empty.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from askonce import keys, plans, replay
from askonce.colours import Colour
from askonce.dialects.contract import Dialect
from askonce.dialects.wire import encode, too_deep
from askonce.errors import StoreError
from askonce.flights import Flight, Flights, State
from askonce.journal import Journal
from askonce.model import NOTHING, Entry, Outcome, Reason, Request, Response, Versions
from askonce.plans import Plan
from askonce.policy import Models, Options
from askonce.stores.contract import Found, Leases, News, Store, Telling
from askonce.streams import Reader, source_of
from askonce.tape import Tape

PATIENCE = 600.0
"""Seconds a caller without a read timeout waits for somebody else's call, as the SDKs' default."""

MOST_ALIASES = 50_000
"""Aliases kept at hand, some 10 MB. The store has all of them."""


@dataclass(slots=True)
class Ticket:
    """The leave to call upstream. A ticket that is dropped releases its flight."""

    engine: Engine
    plan: Plan
    outcome: Outcome
    versions: Versions = field(default_factory=lambda: NOTHING)
    flight: Flight | None = None
    open: bool = True

    def __del__(self) -> None:
        if self.open:
            self.engine.release(self, failed=False)


@dataclass(frozen=True, slots=True)
class Hit:
    """An answer that is there, or one that is still coming: `reader` follows it live."""

    plan: Plan
    outcome: Outcome
    response: Response
    reader: Reader | None = None


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
    ) -> None:
        self.store = store
        self.journal = journal
        self.flights = Flights(leases)
        self.models = models if models is not None else Models.shipped()
        self.clock = clock
        self.strict = strict
        self._aliases: dict[bytes, bytes] = {}

    # Before the call

    def plan(self, request: Request, options: Options) -> Plan | Reason:
        """Read a request once and for all: its key is frozen here."""
        return plans.make(request, options, self.models)

    async def begin(self, plan: Plan, colour: Colour, patience: float = PATIENCE) -> Hit | Ticket:
        """Find the answer, or grant leave to call upstream."""
        if plan.options.refresh:
            found = await self._get((), plan.options.tags)
            return self._ticket(plan, found.versions)
        hit, versions = await self._look(plan)
        if hit is not None:
            return hit
        deadline = time.monotonic() + patience
        while True:
            flight, leading = self.flights.join(plan.key)
            if leading:
                turn = await self._lead(plan, flight, colour, deadline)
            else:
                turn = await self._follow(plan, flight, versions, colour, deadline)
            if turn is not None:
                return turn

    async def recall(self, alias: bytes, options: Options) -> Recalled | None:
        """Follow an alias to the entry it points at, if that may be served under these options."""
        key = self._aliases.get(alias)
        if key is None:
            pointer = (await self._get((alias,))).entries[0]
            if pointer is None or pointer.kind != "alias":
                return None
            key = self._remember(alias, pointer.body)
        target = (await self._get((key,), options.tags)).entries[0]
        if target is None or not self._servable(target, options):
            return None
        return Recalled(key, target)

    async def find(self, key: bytes, options: Options) -> Entry | None:
        """Look up an entry by its key, if it may be served under these options."""
        entry = (await self._get((key,), options.tags)).entries[0]
        return entry if entry is not None and self._servable(entry, options) else None

    async def learn(self, alias: bytes, key: bytes, colour: Colour) -> None:
        """Remember that a call whose arguments have this digest has this key."""
        self._remember(alias, key)
        await self._put({alias: self._alias(key)}, colour)

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
        seen = dict(zip(looked_up, (await self._get(looked_up, options.tags)).entries, strict=True))
        turns: dict[bytes, Hit | Ticket] = {}
        try:
            for key in names:
                hit = self._hit(parts[key], seen.get(key))
                turns[key] = hit or await self.begin(parts[key], colour, patience)
        except BaseException:
            for turn in turns.values():
                if isinstance(turn, Ticket):
                    self.release(turn, failed=False)
            raise
        return turns

    def asking_usage(self, plan: Plan, host: str, body: bytes) -> bytes | None:
        """Return the body that also asks for usage, where a stream shows it on request only."""
        if plan.facts.usage_asked or not plan.facts.stream or not self.models.tells_usage(host):
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
        try:
            entry = self._admit(ticket, response)
            if entry is not None:
                entries = {ticket.plan.key: entry}
                if alias is not None:
                    key = self._remember(alias, ticket.plan.key)
                    entries[alias] = self._alias(key)
                ticket.outcome.stored = await self._put(entries, colour)
                if not ticket.outcome.stored:
                    ticket.outcome.reason = Reason("store", "the store could not keep the answer")
        finally:
            self._close(ticket, State.LANDED if ticket.outcome.stored else State.FAILED)

    async def keep(
        self, key: bytes, dialect: Dialect, body: bytes, options: Options, colour: Colour
    ) -> None:
        """Keep an answer that was not asked for through `begin`."""
        versions = (await self._get((), options.tags)).versions
        now, ttl = self.clock(), options.policy.ttl
        entry = Entry(
            body=body,
            created=now,
            expires=None if ttl is None else now + ttl,
            kind="value",
            dialect=dialect.name,
            tags=versions,
        )
        await self._put({key: entry}, colour)

    def release(self, ticket: Ticket, *, failed: bool) -> None:
        """Give a ticket back unused. A failed call lets all who wait go upstream at once."""
        self._close(ticket, State.FAILED if failed else State.FREED)

    def _close(self, ticket: Ticket, state: State) -> None:
        if ticket.open:
            ticket.open = False
            if ticket.flight is not None:
                self.flights.end(ticket.flight, state)

    def _admit(self, ticket: Ticket, response: Response) -> Entry | None:
        """Make the entry of a response, or note on the outcome why it is not kept."""
        plan, outcome = ticket.plan, ticket.outcome
        if not 200 <= response.status < 300:
            outcome.reason = replay.status_reason(response.status)
            return None
        answer = replay.answer(plan.dialect, response)
        if answer is None:
            outcome.reason = Reason("incomplete", "the answer did not come to its end")
            return None
        outcome.reason = plan.dialect.flaw(answer)
        if outcome.reason is not None:
            return None
        outcome.usage = plan.dialect.usage(answer)
        now = self.clock()
        ttl = plan.options.policy.ttl
        return Entry(
            body=response.body,
            created=now,
            expires=None if ttl is None else now + ttl,
            status=response.status,
            headers=tuple(item for item in response.headers if item[0] in replay.KEPT_HEADERS),
            streamed=response.streamed,
            dialect=plan.dialect.name,
            model=plan.facts.model,
            usage=outcome.usage,
            unpinned=plan.unpinned,
            tags={tag: ticket.versions[tag] for tag in plan.options.tags},
        )

    def _alias(self, key: bytes) -> Entry:
        return Entry(body=key, created=self.clock(), kind="alias")

    # Looking

    async def _look(self, plan: Plan) -> tuple[Hit | None, Versions]:
        found = await self._get((plan.key,), plan.options.tags)
        return self._hit(plan, found.entries[0]), found.versions

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

    # Leading and following

    async def _lead(
        self, plan: Plan, flight: Flight, colour: Colour, deadline: float
    ) -> Hit | Ticket | None:
        """Lead, or follow the one who leads in another process; None to join again."""
        state = State.FREED
        try:
            leased, waited = await self.flights.lease(flight), False
            if not leased:
                waited = True
                leased, news = await self._wait_for_lease(flight, colour, deadline)
                if news is News.TOLD:
                    state = State.FLYING
                    return await self._follow_elsewhere(plan, flight, colour, deadline)
            # Look again: the answer may have been stored between the first look and the lead.
            found = await self._get((plan.key,), plan.options.tags)
            hit = self._hit(plan, found.entries[0], waited=waited)
            if hit is not None:
                state = State.LANDED
                return hit
            if leased:
                state = State.FLYING
                return self._ticket(plan, found.versions, flight)
            state = State.FAILED
            return self._ticket(plan, found.versions)
        finally:
            if state is not State.FLYING:
                self.flights.end(flight, state)

    async def _wait_for_lease(
        self, flight: Flight, colour: Colour, deadline: float
    ) -> tuple[bool, News]:
        """Wait until the lease is ours, or until there is news that ends the waiting."""
        leases = self.flights.leases
        assert leases is not None
        with leases.waiting(flight.key) as waiting:
            while not await self.flights.lease(flight):
                left = deadline - time.monotonic()
                news = await waiting.news(colour, left) if left > 0 else News.FAILED
                if news is not News.FREE:
                    return False, news
        return True, News.FREE

    async def _follow_elsewhere(
        self, plan: Plan, flight: Flight, colour: Colour, deadline: float
    ) -> Hit | Ticket | None:
        """Read the stream that another process leads; others of this process read along."""
        leases = self.flights.leases
        assert isinstance(leases, Telling)
        feed = None
        try:
            feed = await leases.follow(flight.key)
        finally:
            if feed is None:
                self.flights.end(flight, State.FREED)
        if feed is None:
            return None

        async def landed(_: bytes) -> None:
            self.flights.end(flight, State.LANDED)

        tape = Tape(
            source_of(feed, colour),
            terminal=lambda _: False,
            settle=landed,
            abandon=lambda failed: self.flights.end(
                flight, State.FAILED if failed else State.FREED
            ),
        )
        flight.begin_stream(tape, feed.head)
        hit = self._read_along(plan, flight, tape, colour, deadline - time.monotonic())
        if hit is None or plan.facts.stream:
            return hit
        await self._drain(hit)
        return None

    async def _follow(
        self, plan: Plan, flight: Flight, versions: Versions, colour: Colour, deadline: float
    ) -> Hit | Ticket | None:
        """Wait for another caller's answer; None when this caller should join again."""
        if flight.tape is None and colour.is_held_by(flight.thread):
            return self._ticket(plan, versions)
        patience = deadline - time.monotonic()
        if not await colour.wait(flight.bell, flight.news, patience):
            return self._ticket(plan, versions)
        if flight.tape is not None and flight.state is State.FLYING:
            hit = self._read_along(plan, flight, flight.tape, colour, patience)
            if hit is not None:
                if plan.facts.stream:
                    return hit
                await self._drain(hit)
        if flight.state is State.FREED:
            return None
        found = await self._get((plan.key,), plan.options.tags)
        hit = self._hit(plan, found.entries[0], waited=True)
        return hit if hit is not None else self._ticket(plan, versions)

    def _read_along(
        self, plan: Plan, flight: Flight, tape: Tape, colour: Colour, patience: float
    ) -> Hit | None:
        """Attach to a stream in flight, unless this caller's own waiting would hold it up."""
        held = tape.source.thread is not None and colour.is_held_by(tape.source.thread)
        if held or not tape.attach():
            return None
        reader = Reader(tape, colour, leading=False, patience=patience)
        outcome = Outcome(
            "collapsed",
            key=plan.key.hex(),
            dialect=plan.dialect.name,
            model=plan.facts.model,
            unpinned=plan.unpinned,
        )
        return Hit(plan, outcome, flight.head, reader)

    async def _drain(self, hit: Hit) -> None:
        """Read a stream in flight to its end, so that its answer is stored."""
        reader = hit.reader
        assert reader is not None
        try:
            while await reader.next() is not None:
                pass
        except (ConnectionError, TimeoutError):
            pass  # the look that follows finds nothing, and this caller goes upstream
        finally:
            reader.leave()

    # The store, which may fail

    async def _get(self, names: tuple[bytes, ...], tags: tuple[str, ...] = ()) -> Found:
        try:
            return await self.store.get(names, tags)
        except StoreError as error:
            if self.strict:
                raise
            self.journal.trouble("get", error)
            return Found((None,) * len(names), NOTHING)

    async def _put(self, entries: Mapping[bytes, Entry], colour: Colour) -> bool:
        try:
            work = self.store.put(entries)
            await (colour.off_loop(work) if self.store.blocking else work)
        except StoreError as error:
            if self.strict:
                raise
            self.journal.trouble("put", error)
            return False
        return True
