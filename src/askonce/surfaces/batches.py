"""Requests of several inputs: each input is looked up by itself, and only the missing are asked."""

from __future__ import annotations

from typing import Any

from askonce import replay
from askonce.blocking import run
from askonce.chains import joined
from askonce.colours import TASKS, THREADS, Colour
from askonce.dialects.contract import Json
from askonce.dialects.wire import decode, decode_object, encode, too_deep
from askonce.following import Hit
from askonce.model import NOTHING, Outcome, Reason, Response, Versions
from askonce.plans import Plan
from askonce.surfaces.behind import Behind
from askonce.surfaces.exchange import STATUS, Exchange, is_failure, stale_reason
from askonce.tickets import Ticket

UNANSWERED = Reason("failed", "the batch was not answered")


def blocking(exchange: Exchange, inner: Any, behind: Behind) -> Any:
    """Answer a batch from a thread."""
    batch = Batch(exchange)
    run(batch.begin(THREADS))
    if (later := batch.later()) is not None:
        behind.in_thread([*later.tickets.values()], lambda: _refresh(later, inner))
    if not batch.tickets:
        return batch.answer()
    try:
        with exchange.upstream():
            response = inner.handle_request(batch.outgoing())
        if not replay.is_answer(response.status_code):
            if (stale := run(batch.stale(response.status_code))) is None:
                return batch.passed(response)
            response.close()
            return stale
        response.read()
    except BaseException as error:
        if (stale := run(batch.stale(error))) is not None:
            return stale
        batch.failed(error)
        raise
    if run(batch.settle(response, THREADS)):
        return batch.answer(response)
    with exchange.upstream():
        return inner.handle_request(exchange.request)


def _refresh(batch: Batch, inner: Any) -> None:
    with batch.exchange.upstream():
        response = inner.handle_request(batch.outgoing())
    try:
        response.read()
    finally:
        response.close()
    if batch.is_answered(response):
        run(batch.settle(response, THREADS))


async def tasks(exchange: Exchange, inner: Any, behind: Behind) -> Any:
    """Answer a batch from a task."""
    batch = Batch(exchange)
    await batch.begin(TASKS)
    if (later := batch.later()) is not None:
        behind.in_task([*later.tickets.values()], lambda: _refresh_task(later, inner))
    if not batch.tickets:
        return batch.answer()
    try:
        with exchange.upstream():
            response = await inner.handle_async_request(batch.outgoing())
        if not replay.is_answer(response.status_code):
            if (stale := await batch.stale(response.status_code)) is None:
                return batch.passed(response)
            await response.aclose()
            return stale
        await response.aread()
    except BaseException as error:
        if (stale := await batch.stale(error)) is not None:
            return stale
        batch.failed(error)
        raise
    if await batch.settle(response, TASKS):
        return batch.answer(response)
    with exchange.upstream():
        return await inner.handle_async_request(exchange.request)


async def _refresh_task(batch: Batch, inner: Any) -> None:
    with batch.exchange.upstream():
        response = await inner.handle_async_request(batch.outgoing())
    try:
        await response.aread()
    finally:
        await response.aclose()
    if batch.is_answered(response):
        await batch.settle(response, TASKS)


class Batch:
    """One request of several inputs: what was found, and leave to ask for the rest."""

    def __init__(self, exchange: Exchange) -> None:
        batching = exchange.plan.dialect.batching
        assert batching is not None
        self._batching = batching
        self.exchange = exchange
        self._answers: dict[bytes, Json] = {}
        self._found: list[Outcome] = []
        self._counted: Json = {}
        """The usage of the upstream's own answer, when there is one."""
        self.tickets: dict[bytes, Ticket] = {}
        self._stale: dict[bytes, Hit] = {}
        """What is there to serve in place of what a ticket is to fetch."""

    async def begin(self, colour: Colour) -> None:
        """Look all inputs up, and take leave to ask for those that are missing."""
        exchange, journey = self.exchange, self.exchange.journey
        wanted: dict[bytes, Plan] = {part.key: part for part in exchange.plan.parts}
        if journey is not None:
            self.tickets = {key: held for key in wanted if (held := journey.tickets.get(key))}
            journey.alias = None
        asked = {key: part for key, part in wanted.items() if key not in self.tickets}
        turns: dict[bytes, Hit | Ticket] = {}
        if asked:
            turns = await exchange.engine.begin_all(asked, colour, exchange.patience)
        for key, turn in turns.items():
            ticket = turn.refresh if isinstance(turn, Hit) else turn
            if ticket is not None:
                self.tickets[key] = ticket
                if journey is not None:
                    journey.hold(ticket)
            if isinstance(turn, Hit):
                if ticket is None:
                    self._find(turn)
                else:
                    self._stale[key] = turn

    def later(self) -> Batch | None:
        """Return what is to be asked behind the answer, if everything is there and some is stale.

        Otherwise what is stale is asked for along with what is missing.
        """
        if not self.tickets or self.tickets.keys() - self._stale.keys():
            return None
        exchange = self.exchange
        later = Batch(
            Exchange(exchange.session, None, exchange.family, exchange.request, exchange.plan)
        )
        later.tickets, self.tickets = self.tickets, {}
        for key, hit in self._stale.items():
            self._find(hit)
            if exchange.journey is not None:
                exchange.journey.let_go(later.tickets[key])
        return later

    def _find(self, hit: Hit) -> None:
        self._answers[hit.plan.key] = decode(hit.response.body.decode())
        self._found.append(hit.outcome)

    def _missing(self) -> list[Plan]:
        wanted = {part.key: part for part in self.exchange.plan.parts}
        return [part for key, part in wanted.items() if key in self.tickets]

    def outgoing(self) -> Any:
        """Return the request for the missing inputs, each once, in their order."""
        bodies = [part.body for part in self._missing()]
        body = self._batching.gather(self.exchange.plan.body, bodies)
        return self.exchange.asking(encode(body).encode())

    def is_answered(self, response: Any) -> bool:
        """Say whether a response is an answer; if not, the tickets say what it is."""
        if replay.is_answer(response.status_code):
            return True
        for ticket in self.tickets.values():
            ticket.outcome.reason = replay.status_reason(response.status_code)
        return False

    async def settle(self, response: Any, colour: Colour) -> bool:
        """Keep each part of the answer; False when the answer does not fit the request."""
        exchange, missing = self.exchange, self._missing()
        head = exchange.head(response)
        whole = _read(response.content)
        parts = whole and self._batching.divide(whole, [part.body for part in missing])
        if not whole or not parts:
            self.failed(None)
            return False
        self._counted = {name: whole[name] for name in ("usage",) if name in whole}
        for plan, part in zip(missing, parts, strict=True):
            ticket = self.tickets[plan.key]
            if exchange.journey is not None:
                exchange.journey.let_go(ticket)
            body = encode(part).encode()
            await ticket.settle(Response(200, head.headers, body), colour)
            self._answers[plan.key] = part
        return True

    async def stale(self, failure: int | BaseException) -> Any | None:
        """Return the last good answers in place of a failed call, if they are wanted and there."""
        if not is_failure(failure):
            return None
        spares = [await self.exchange.engine.spare(it) for it in self.tickets.values()]
        if None in spares:
            return None
        for ticket in self.tickets.values():
            if self.exchange.journey is not None:
                self.exchange.journey.let_go(ticket)
            ticket.release(failed=True)
        for spare in spares:
            if spare is not None:
                spare.outcome.reason = stale_reason(failure)
                self._find(spare)
        self.tickets = {}
        return self.answer()

    def passed(self, response: Any) -> Any:
        """Hand on a response that is no answer."""
        self.failed(None, replay.status_reason(response.status_code))
        return response

    def failed(self, error: BaseException | None, reason: Reason = UNANSWERED) -> None:
        """Give the tickets back, unless the journey keeps them for another attempt."""
        if self.exchange.journey is None:
            for ticket in self.tickets.values():
                failed = error is None or isinstance(error, Exception)
                ticket.release(failed=failed)
        self.exchange.note(self._outcome(reason))

    def answer(self, response: Any = None) -> Any:
        """Return the answers of all inputs, in order, as one response."""
        exchange = self.exchange
        whole = self._batching.join([self._answers[part.key] for part in exchange.plan.parts])
        if not self._found:
            # Nothing was known: what the provider counts is not only tokens of these inputs.
            whole |= self._counted
        exchange.note(outcome := self._outcome(None))
        partly = f"fwd=partial; stored={len(self.tickets)}"
        status = STATUS[outcome.kind] if response is None else partly
        headers = [] if response is None else list(exchange.head(response).headers)
        headers = [item for item in headers if item[0] != "content-type"]
        headers += [("content-type", "application/json"), ("cache-status", f"askonce; {status}")]
        stream = exchange.family.ByteStream(encode(whole).encode())
        return exchange.respond(200, headers, stream, {})

    def _outcome(self, reason: Reason | None) -> Outcome:
        plan = self.exchange.plan
        stale = next((found.reason for found in self._found if found.kind == "stale"), None)
        return Outcome(
            "miss" if self.tickets else "hit" if stale is None else "stale",
            reason=reason or stale,
            age=max((found.age for found in self._found), default=0.0),
            dialect=plan.dialect.name,
            model=plan.facts.model,
            usage=_total(self._found) if not self.tickets else NOTHING,
            tags=self._tags(),
            stored=reason is None,
            parts=tuple(dict.fromkeys(part.key.hex() for part in plan.parts)),
        )

    def _tags(self) -> Versions:
        tags: Versions = {}
        for outcome in (*self._found, *(ticket.outcome for ticket in self.tickets.values())):
            tags = joined(tags, outcome.tags)
        return tags


def _read(body: bytes) -> Json | None:
    """Read an answer that can be written again; None for any other."""
    try:
        whole = decode_object(body.decode())
    except UnicodeDecodeError:
        return None
    return None if too_deep(whole or {}) else whole


def _total(outcomes: list[Outcome]) -> dict[str, int]:
    total: dict[str, int] = {}
    for outcome in outcomes:
        for name, count in outcome.usage.items():
            total[name] = total.get(name, 0) + count
    return total
