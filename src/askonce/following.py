"""Leading and following: one caller's way to an answer, or to the leave to call upstream."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from askonce.chains import Chain
from askonce.colours import Colour
from askonce.errors import UpstreamLost
from askonce.flights import Flight, Flights, State, is_alive_for
from askonce.model import NOTHING, Outcome, Reason, Response, Versions
from askonce.plans import Plan
from askonce.stores.contract import News, Telling
from askonce.streams import Reader, source_of
from askonce.tape import Tape

if TYPE_CHECKING:
    from askonce.tickets import Ticket

FAILED = Reason("stale_if_error", "the call failed; this is the last good answer")


class Hit(Struct, frozen=True):
    """An answer that is there, or one that is still coming: `reader` follows it live."""

    plan: Plan
    outcome: Outcome
    response: Response
    reader: Reader | None = None
    chain: Chain | None = None
    """What an answer that is still coming depends on, where that is not known at its begin."""
    refresh: Ticket | None = None
    """Leave to fetch the next answer behind a stale one; whoever serves this one must use it."""


class Seen(Struct, frozen=True):
    """What a look found: an answer, or one that is stale, and the versions of its tags."""

    hit: Hit | None = None
    stale: Hit | None = None
    late: float = 0.0
    """Seconds since the end of the stale one."""
    versions: Versions = {}


class Lead(Struct, frozen=True):
    """The leave to call upstream. Without a flight nobody waits for the answer."""

    versions: Versions = NOTHING
    flight: Flight | None = None


Look: TypeAlias = Callable[[Plan, bool], Awaitable[Seen]]
"""Look for a plan's answer, after waiting for it or not."""


class Turn:
    """One caller who found nothing. It leads, or waits for whoever leads until its deadline."""

    def __init__(
        self,
        plan: Plan,
        seen: Seen,
        *,
        flights: Flights,
        look: Look,
        colour: Colour,
        patience: float,
    ) -> None:
        self._plan = plan
        self._versions = seen.versions
        self._stale = seen.stale
        self._flights = flights
        self._look = look
        self._colour = colour
        self._patience = patience
        self._deadline = time.monotonic() + patience
        self._waited = False
        self._missed = False

    async def take(self) -> Hit | Lead:
        """Find the answer, or get the lead."""
        while True:
            flight, leading = self._flights.join(
                self._plan.key, self._versions, self._plan.options.tenant
            )
            end = await (self._lead(flight) if leading else self._follow(flight))
            if end is not None:
                return end

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    # Leading

    async def _lead(self, flight: Flight) -> Hit | Lead | None:
        """Lead, or follow the one who leads in another process; None to join again."""
        state = State.FREED
        try:
            news = await self._lease(flight)
            if news is News.TOLD:
                state = State.FLYING
                return await self._follow_elsewhere(flight)
            # Look again: the answer may have been stored between the first look and the lead.
            hit = await self._look_again(self._waited)
            if hit is not None:
                state = State.LANDED
                return hit
            if news is News.FREE:
                state = State.FLYING
                flight.versions = self._versions
                return self._leave(flight)
            if news is News.FAILED:
                state = State.FAILED
                return self._stand_in()
            return self._leave()
        finally:
            if state is not State.FLYING:
                self._flights.end(flight, state)

    async def _lease(self, flight: Flight) -> News | None:
        """Wait until nothing keeps us from leading (FREE), or for the news that ends the waiting.

        None when this caller's patience is at its end. Whoever waits for it here may have more.
        """
        flights, colour = self._flights, self._colour
        if await flights.lease(flight) or self._holds_up(flight):
            return News.FREE
        self._waited = True
        leases = flights.leases
        assert leases is not None
        with leases.waiting(flight.name) as waiting:
            while not await flights.lease(flight):
                left = self._left()
                if left <= 0:
                    return None
                if self._holds_up(flight):
                    return News.FREE
                news = await waiting.news(colour, left)
                if news is not News.FREE:
                    return news
        return News.FREE

    def _holds_up(self, flight: Flight) -> bool:
        """Say whether the lease is held by what cannot go on while this caller waits."""
        holder = self._flights.holder(flight)
        return holder is not None and self._colour.is_held_by(holder)

    async def _follow_elsewhere(self, flight: Flight) -> Hit | Lead | None:
        """Read the stream that another process leads; others of this process read along."""
        flights = self._flights
        assert isinstance(flights.leases, Telling)
        state = State.FREED
        try:
            # What this caller knows of its tags may be older than the stream.
            hit = await self._look_again(waited=True) if self._plan.options.tags else None
            if hit is not None:
                state = State.LANDED
                return hit
            feed = await flights.leases.follow(flight.name, flight.cover)
            if feed is None:
                return None
            state = State.FLYING
            if not is_alive_for(self._versions, feed.versions):
                # It is of other tags, or began before an invalidation: lead beside it.
                flight.versions = self._versions
                return self._leave(flight)
            flight.versions = feed.versions
        except UpstreamLost:
            state = State.FAILED
            return self._stand_in()
        finally:
            if state is not State.FLYING:
                flights.end(flight, state)

        async def landed(_: bytes) -> None:
            flights.end(flight, State.LANDED)

        tape = Tape(
            source_of(feed, self._colour),
            terminal=lambda _: False,
            settle=landed,
            abandon=lambda failed: flights.end(flight, State.FAILED if failed else State.FREED),
        )
        flight.shows_usage = None
        flight.begin_stream(tape, feed.head)
        return await self._read_along(flight, tape)

    # Following

    async def _follow(self, flight: Flight) -> Hit | Lead | None:
        """Wait for another caller's answer; None when this caller should join again."""
        end = await self._wait(flight)
        if end is not None or flight.state is State.FREED:
            return end
        hit = await self._look_again(waited=True)
        if hit is not None:
            return hit
        if flight.state is State.LANDED and not self._missed:
            # It landed for others. One of those whom it does not serve leads; but only once, or
            # callers who each need an answer of their own would call one after another.
            self._missed = True
            return None
        return self._stand_in() if flight.state is State.FAILED else self._leave()

    async def _look_again(self, waited: bool) -> Hit | None:
        seen = await self._look(self._plan, waited)
        self._versions, self._stale = seen.versions, seen.stale
        return seen.hit

    def _leave(self, flight: Flight | None = None) -> Lead:
        return Lead(self._versions, flight)

    def _stand_in(self) -> Hit | Lead:
        """Take the last good answer, where somebody else's call has failed, or call too."""
        if self._stale is None:
            return self._leave()
        self._stale.outcome.reason = FAILED
        return self._stale

    async def _wait(self, flight: Flight) -> Hit | Lead | None:
        """Read along, or wait until a flight is over (None), or go upstream without waiting."""
        colour, alone = self._colour, self._leave()
        if flight.tape is None and colour.is_held_by(flight.thread):
            return alone
        if not await colour.wait(flight.bell, flight.news, self._left()):
            return alone
        tape = flight.tape
        if tape is None or flight.is_over():
            return None
        if flight.chain is not None and flight.chain.versions:
            # What it used may have been invalidated before this caller began.
            return alone
        if tape.source.readable_by(colour):
            hit = await self._read_along(flight, tape)
            if hit is not None:
                return hit
        elif colour.is_held_by(flight.thread):
            return alone
        over = await colour.wait(flight.bell, flight.is_over, self._left())
        return None if over else alone

    async def _read_along(self, flight: Flight, tape: Tape) -> Hit | None:
        """Read a stream in flight: from its first piece on, or else to its end, for the answer.

        None when there is none to read, or the answer is kept, or it was lost before this caller
        had anything of it.
        """
        if not tape.attach():
            return None
        reader = Reader(tape, self._colour, patience=self._patience)
        following = False
        try:
            while await reader.wait(self._left()):
                if self._is_shown(flight):
                    following = True
                    return self._live(flight, reader)
                await reader.next()
        except (ConnectionError, TimeoutError):
            pass
        finally:
            if not following:
                reader.leave()
        return None

    def _is_shown(self, flight: Flight) -> bool:
        """Say whether a stream in flight shows this caller all that it asks for."""
        facts = self._plan.facts
        if not (facts.stream and facts.usage_asked and self._plan.dialect.usage_on_request):
            return facts.stream
        # Who leads elsewhere asks for usage where the host is known to send it.
        return facts.usage_on_request if flight.shows_usage is None else flight.shows_usage

    def _live(self, flight: Flight, reader: Reader) -> Hit:
        plan = self._plan
        outcome = Outcome(
            "collapsed",
            key=plan.key.hex(),
            dialect=plan.dialect.name,
            model=plan.facts.model,
            tags=dict(flight.versions),
            unpinned=plan.unpinned,
            pinned=plan.pinned,
        )
        return Hit(plan, outcome, flight.head, reader, chain=flight.chain)
