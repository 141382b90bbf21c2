"""The HTTP surface: a transport for httpx2 and httpx, blocking and async, around any other.

This is the waist under every SDK: requests are keyed as they go over the wire, answers are kept as
they came, so every SDK on these libraries is cached without code of its own.
"""

from __future__ import annotations

import asyncio
from typing import Any, Self

from askonce import replay
from askonce.blocking import run
from askonce.colours import TASKS, THREADS
from askonce.errors import ConfigError, NotCached
from askonce.following import Hit
from askonce.model import Outcome, Reason
from askonce.plans import Plan
from askonce.policy import ASKED, Options
from askonce.samples import Samples
from askonce.session import Session
from askonce.streams import LoopSource, ThreadSource
from askonce.surfaces import batches
from askonce.surfaces.behind import Behind
from askonce.surfaces.exchange import Exchange, is_stream, read_request, refused
from askonce.surfaces.families import family_of
from askonce.surfaces.journey import Journey, current
from askonce.tickets import Ticket

STREAMED_BODY = Reason("body", "the request body is a stream; only bodies in memory are cached")
OTHER_LOOP = Reason("loop", "async calls are cached under asyncio; this one runs on another loop")


class CachingTransport:
    """A transport that answers from the cache what it can, and asks `inner` for the rest.

    It is blocking or async as `inner` is. With `armed_only`, only calls made through a wrapped
    client are cached; others pass untouched. Raises ConfigError when `inner` is no transport.
    """

    def __init__(
        self, inner: Any, session: Session, options: Options, *, armed_only: bool = False
    ) -> None:
        if not (hasattr(inner, "handle_request") or hasattr(inner, "handle_async_request")):
            raise ConfigError(
                f"{type(inner).__qualname__} is not a transport: write "
                "httpx2.Client(transport=cache.transport(httpx2.HTTPTransport()))"
            )
        self.inner = inner
        self.session = session
        self._options = options
        self._armed_only = armed_only
        self._behind = Behind()

    def handle_request(self, request: Any) -> Any:
        try:
            exchange = self._exchange(request)
        except NotCached as missing:
            return refused(request, missing)
        if exchange is None:
            return self.inner.handle_request(request)
        try:
            if exchange.plan.parts:
                return batches.blocking(exchange, self.inner, self._behind)
            turn = run(exchange.begin(THREADS))
        except NotCached as missing:
            return exchange.refused(missing)
        if isinstance(turn, Hit):
            if (ticket := turn.refresh) is not None:
                self._behind.in_thread([ticket], lambda: self._refresh(exchange, ticket))
            return exchange.replay(turn)
        return self._fetch(exchange, turn)

    def _fetch(self, exchange: Exchange, ticket: Ticket) -> Any:
        """Make the call, and keep its answer."""
        try:
            response = self._ask(exchange, ticket)
            if not replay.is_answer(response.status_code):
                stale = run(exchange.stale(ticket, response.status_code))
                if stale is None:
                    return exchange.passed(ticket, response)
                response.close()
                return stale
            if exchange.unpinned:
                return exchange.unkept(ticket, response)
            if is_stream(response):
                source = ThreadSource(response.iter_bytes(), response.close)
                return exchange.recorded(ticket, response, source, THREADS)
            response.read()
        except BaseException as error:
            if (stale := run(exchange.stale(ticket, error))) is not None:
                return stale
            exchange.failed(ticket, error)
            raise
        run(exchange.settle(ticket, response, THREADS))
        return exchange.whole(response)

    def _ask(self, exchange: Exchange, ticket: Ticket) -> Any:
        with exchange.upstream():
            response = self.inner.handle_request(exchange.outgoing(ticket))
            if (own := exchange.instead(ticket, response)) is not None:
                response.close()
                response = self.inner.handle_request(own)
        return response

    def _refresh(self, exchange: Exchange, ticket: Ticket) -> None:
        response = self._ask(exchange, ticket)
        try:
            response.read()
        finally:
            response.close()
        if not exchange.unpinned:
            run(ticket.settle(exchange.answer(response), THREADS))

    async def handle_async_request(self, request: Any) -> Any:
        try:
            exchange = self._exchange(request, None if _on_asyncio() else OTHER_LOOP)
        except NotCached as missing:
            return refused(request, missing)
        if exchange is None:
            return await self.inner.handle_async_request(request)
        try:
            if exchange.plan.parts:
                return await batches.tasks(exchange, self.inner, self._behind)
            turn = await exchange.begin(TASKS)
        except NotCached as missing:
            return exchange.refused(missing)
        if isinstance(turn, Hit):
            if (ticket := turn.refresh) is not None:
                self._behind.in_task([ticket], lambda: self._refresh_async(exchange, ticket))
            return exchange.replay(turn)
        return await self._fetch_async(exchange, turn)

    async def _fetch_async(self, exchange: Exchange, ticket: Ticket) -> Any:
        """Make the call, and keep its answer."""
        try:
            response = await self._ask_async(exchange, ticket)
            if not replay.is_answer(response.status_code):
                stale = await exchange.stale(ticket, response.status_code)
                if stale is None:
                    return exchange.passed(ticket, response)
                await response.aclose()
                return stale
            if exchange.unpinned:
                return exchange.unkept(ticket, response)
            if is_stream(response):
                source = LoopSource(response.aiter_bytes(), response.aclose)
                return exchange.recorded(ticket, response, source, TASKS)
            await response.aread()
        except BaseException as error:
            if (stale := await exchange.stale(ticket, error)) is not None:
                return stale
            exchange.failed(ticket, error)
            raise
        await exchange.settle(ticket, response, TASKS)
        return exchange.whole(response)

    async def _ask_async(self, exchange: Exchange, ticket: Ticket) -> Any:
        with exchange.upstream():
            response = await self.inner.handle_async_request(exchange.outgoing(ticket))
            if (own := exchange.instead(ticket, response)) is not None:
                await response.aclose()
                response = await self.inner.handle_async_request(own)
        return response

    async def _refresh_async(self, exchange: Exchange, ticket: Ticket) -> None:
        response = await self._ask_async(exchange, ticket)
        try:
            await response.aread()
        finally:
            await response.aclose()
        if not exchange.unpinned:
            await ticket.settle(exchange.answer(response), TASKS)

    def _exchange(self, request: Any, unfit: Reason | None = None) -> Exchange | None:
        """Plan a request; None when it is not for the cache, NotCached if it must not be made."""
        journey = current.get()
        if journey is not None and self not in journey.transports:
            journey = None
        if journey is None and self._armed_only:
            return None
        options = self.session.options(self._options if journey is None else journey.options)
        read = read_request(request)
        plan: Plan | Reason = unfit or STREAMED_BODY
        if unfit is None and read is not None:
            plan = self.session.engine.plan(read, options)
        if not isinstance(plan, Reason):
            if plan.options.samples is not None and plan.facts.samples:
                plan = plan.in_slot(_slot(plan, plan.options.samples, journey))
            exchange = Exchange(self.session, journey, family_of(request), request, plan)
            return None if exchange.is_asked_above() else exchange
        bypass = Outcome("bypass", reason=plan, tags=dict(self.session.versions(options)))
        if journey is None:
            self.session.note(bypass)
        else:
            journey.outcome = bypass
        if options.only_if_cached and plan is not ASKED:
            missing = NotCached(f"this call is never kept: {plan}")
            if journey is not None:
                journey.refusal = missing
            raise missing
        return None

    def close(self) -> None:
        self.inner.close()

    async def aclose(self) -> None:
        await self.inner.aclose()

    def __enter__(self) -> Self:
        self.inner.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self.inner.__exit__(*problem)

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.inner.__aexit__(*problem)


def _slot(plan: Plan, samples: Samples, journey: Journey | None) -> int:
    """Take the slot of a call; all attempts of one call have one."""
    if journey is None:
        return samples.take(plan.key)
    if plan.key not in journey.slots:
        journey.slots[plan.key] = samples.take(plan.key)
    return journey.slots[plan.key]


def _on_asyncio() -> bool:
    """Say whether an asyncio loop runs here. Other async libraries pass uncached."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
