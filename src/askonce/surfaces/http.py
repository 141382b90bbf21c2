"""The HTTP surface: a transport for httpx2 and httpx, blocking and async, around any other.

This is the waist under every SDK: requests are keyed as they go over the wire, answers are kept as
they came, so every SDK on these libraries is cached without code of its own.
"""

from __future__ import annotations

import asyncio
from typing import Any, Self

from askonce.blocking import run
from askonce.colours import TASKS, THREADS
from askonce.errors import ConfigError
from askonce.following import Hit
from askonce.model import Outcome, Reason
from askonce.plans import Plan
from askonce.policy import Options
from askonce.session import Session
from askonce.streams import LoopSource, ThreadSource
from askonce.surfaces import batches
from askonce.surfaces.exchange import Exchange, is_stream, read_request
from askonce.surfaces.families import family_of
from askonce.surfaces.journey import current

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

    def handle_request(self, request: Any) -> Any:
        exchange = self._exchange(request)
        if exchange is None:
            return self.inner.handle_request(request)
        if exchange.plan.parts:
            return batches.blocking(exchange, self.inner)
        turn = run(exchange.begin(THREADS))
        if isinstance(turn, Hit):
            return exchange.replay(turn)
        try:
            with exchange.upstream():
                sent = exchange.outgoing(turn)
                response = self.inner.handle_request(sent)
                if (own := exchange.instead(sent, response)) is not None:
                    response.close()
                    response = self.inner.handle_request(own)
            if not 200 <= response.status_code < 300:
                return exchange.passed(turn, response)
            if is_stream(response):
                source = ThreadSource(response.iter_bytes(), response.close)
                return exchange.recorded(turn, response, source, THREADS)
            response.read()
        except BaseException as error:
            exchange.failed(turn, error)
            raise
        run(exchange.settle(turn, response, THREADS))
        return exchange.whole(response)

    async def handle_async_request(self, request: Any) -> Any:
        exchange = self._exchange(request, None if _on_asyncio() else OTHER_LOOP)
        if exchange is None:
            return await self.inner.handle_async_request(request)
        if exchange.plan.parts:
            return await batches.tasks(exchange, self.inner)
        turn = await exchange.begin(TASKS)
        if isinstance(turn, Hit):
            return exchange.replay(turn)
        try:
            with exchange.upstream():
                sent = exchange.outgoing(turn)
                response = await self.inner.handle_async_request(sent)
                if (own := exchange.instead(sent, response)) is not None:
                    await response.aclose()
                    response = await self.inner.handle_async_request(own)
            if not 200 <= response.status_code < 300:
                return exchange.passed(turn, response)
            if is_stream(response):
                source = LoopSource(response.aiter_bytes(), response.aclose)
                return exchange.recorded(turn, response, source, TASKS)
            await response.aread()
        except BaseException as error:
            exchange.failed(turn, error)
            raise
        await exchange.settle(turn, response, TASKS)
        return exchange.whole(response)

    def _exchange(self, request: Any, refused: Reason | None = None) -> Exchange | None:
        """Plan a request; None when it is not for the cache."""
        journey = current.get()
        if journey is not None and self not in journey.transports:
            journey = None
        if journey is None and self._armed_only:
            return None
        options = self.session.options(self._options if journey is None else journey.options)
        read = read_request(request)
        plan: Plan | Reason = refused or STREAMED_BODY
        if refused is None and read is not None:
            plan = self.session.engine.plan(read, options)
        if not isinstance(plan, Reason):
            exchange = Exchange(self.session, journey, family_of(request), request, plan)
            return None if exchange.is_asked_above() else exchange
        bypass = Outcome("bypass", reason=plan)
        if journey is None:
            self.session.note(bypass)
        else:
            journey.outcome = bypass
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


def _on_asyncio() -> bool:
    """Say whether an asyncio loop runs here. Other async libraries pass uncached."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
