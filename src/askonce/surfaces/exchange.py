"""One HTTP request on its way through the cache: all of the transport that has no colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import orjson
from msgspec import structs

from askonce import replay
from askonce.colours import Colour
from askonce.dialects.wire import encode
from askonce.engine import PATIENCE, only_if_cached
from askonce.errors import NotCached
from askonce.following import Hit
from askonce.model import Headers, Outcome, Reason, Request, Response
from askonce.plans import Plan
from askonce.session import Session
from askonce.streams import Reader
from askonce.surfaces.families import Family, family_of
from askonce.surfaces.journey import Journey
from askonce.tape import Source
from askonce.tickets import Ticket

# They describe the bytes as they came over one connection; the body given out is decoded.
_CONNECTION_HEADERS = frozenset(
    {"content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive"}
)

STATUS = {"hit": "hit", "collapsed": "collapsed", "stale": "hit; detail=stale"}
"""What `Cache-Status` says of an answer from here (RFC 9211)."""

UNPINNED = Reason("sampled", "the model refused the temperature 0 that was set for this call")

_asking: ContextVar[frozenset[tuple[Session, bytes]]] = ContextVar(
    "askonce_asking", default=frozenset()
)
"""The caches and keys that the upstream is being asked for in this context."""


def read_request(request: Any) -> Request | None:
    """Read a request of either family; None when its body is a stream that was not read."""
    try:
        body = request.content
    except RuntimeError:  # RequestNotRead, of either family
        return None
    headers = tuple((name.lower(), value) for name, value in _fields(request))
    return Request(request.method.upper(), str(request.url), headers, bytes(body))


class Exchange:
    """One request, its plan, and what to do with the answer."""

    def __init__(
        self, session: Session, journey: Journey | None, family: Family, request: Any, plan: Plan
    ) -> None:
        self.session = session
        self.engine = session.engine
        self.journey = journey
        self.family = family
        self.request = request
        self.plan = plan
        timeout = request.extensions.get("timeout") or {}
        self.patience: float = timeout.get("read") or PATIENCE
        self._facts = plan.facts
        self._asks_usage = False
        self.unpinned = False
        """The upstream refused the temperature that was set, and was asked without."""

    def is_asked_above(self) -> bool:
        """Say whether a transport of the same cache around this one leads this very call.

        To wait for its answer would be to wait for oneself.
        """
        return not _asking.get().isdisjoint(self._names())

    @contextmanager
    def upstream(self) -> Iterator[None]:
        """Let transports of the same cache further down stand aside while the upstream is asked."""
        token = _asking.set(_asking.get().union(self._names()))
        try:
            yield
        finally:
            _asking.reset(token)

    def _names(self) -> list[tuple[Session, bytes]]:
        return [(self.session, plan.key) for plan in self.plan.parts or (self.plan,)]

    async def begin(self, colour: Colour) -> Hit | Ticket:
        """Ask the engine, or go on with the ticket of an earlier attempt."""
        journey = self.journey
        if journey is not None:
            journey.plans(self.plan)
            held = journey.held(self.plan)
            if held is not None:
                return held
        turn = await self.engine.begin(self.plan, colour, self.patience)
        if journey is not None:
            if isinstance(turn, Ticket):
                journey.hold(turn)
            # What answers another wording is found by that wording's key, not by this call's.
            elif journey.alias is not None and turn.reader is None and not turn.outcome.tier:
                await self.engine.learn(journey.alias, self.plan, colour)
        return turn

    def outgoing(self, ticket: Ticket) -> Any:
        """Return the request to send: the caller's own, or one that also asks for usage."""
        body = self.engine.asking_usage(ticket.plan, self._own_body())
        self._asks_usage = body is not None
        return self._as_it_is(ticket) if body is None else self.asking(body)

    def _own_body(self) -> bytes:
        pinned = self.plan.pinned
        return encode(self.plan.body).encode() if pinned else bytes(self.request.content)

    def instead(self, ticket: Ticket, response: Any) -> Any | None:
        """Return the caller's own request, where one that asks for more was refused."""
        asks_more = self._asks_usage or self.plan.pinned
        if not asks_more or response.status_code not in (400, 422):
            return None
        self.unpinned = self.plan.pinned
        self._as_it_is(ticket)
        return self.request

    def _as_it_is(self, ticket: Ticket) -> Any:
        facts = self.plan.facts
        asks = facts.usage_asked or not self.plan.dialect.usage_on_request
        ticket.flight.shows_usage = asks
        # What this upstream says unasked, it says to its caller too.
        self._facts = structs.replace(facts, usage_asked=True)
        return self.asking(self._own_body()) if self.plan.pinned else self.request

    def asking(self, body: bytes) -> Any:
        """Return the caller's request with another body."""
        headers = [
            (name, value)
            for name, value in self.request.headers.raw
            if name.lower() != b"content-length"
        ]
        return self.family.Request(
            self.request.method,
            self.request.url,
            headers=headers,
            content=body,
            extensions=self.request.extensions,
        )

    # What came back

    def passed(self, ticket: Ticket, response: Any) -> Any:
        """Hand on a response that is no answer. The SDK may try again."""
        ticket.outcome.reason = replay.status_reason(response.status_code)
        self.failed(ticket, None)
        return response

    def unkept(self, ticket: Ticket, response: Any) -> Any:
        """Hand on an answer that is another call's than the one that was planned."""
        ticket.outcome.reason, ticket.outcome.pinned = UNPINNED, False
        if self.journey is not None:
            self.journey.let_go(ticket)
        ticket.release(failed=True)
        self.note(ticket.outcome)
        return response

    def failed(self, ticket: Ticket, error: BaseException | None) -> None:
        """End an attempt without an answer. Within a journey its ticket is kept for the next."""
        if error is not None:
            ticket.outcome.reason = Reason("failed", f"the call raised {type(error).__name__}")
        if self.journey is None:
            ticket.release(failed=error is None or isinstance(error, Exception))
        self.note(ticket.outcome)

    async def stale(self, ticket: Ticket, failure: int | BaseException) -> Any | None:
        """Return the last good answer in place of a failed call, if that is wanted and there."""
        spare = await self.engine.spare(ticket) if is_failure(failure) else None
        if spare is None:
            return None
        if self.journey is not None:
            self.journey.let_go(ticket)
        ticket.release(failed=True)
        spare.outcome.reason = stale_reason(failure)
        return self.replay(spare)

    def refused(self, missing: NotCached) -> Any:
        """Answer a call that must not be made."""
        self.note(only_if_cached(self.plan, self.session.versions(self.plan.options)))
        if self.journey is not None:
            self.journey.refusal = missing
        return refused(self.request, missing)

    async def settle(self, ticket: Ticket, response: Any, colour: Colour) -> None:
        """Settle a whole answer that was read."""
        alias = None
        if self.journey is not None:
            alias = self.journey.alias
            self.journey.let_go(ticket)
        await ticket.settle(self.answer(response), colour, alias=alias)
        self.note(ticket.outcome)

    def answer(self, response: Any) -> Response:
        """Return a response that was read, as it is stored."""
        return structs.replace(self.head(response), body=response.content)

    def whole(self, response: Any) -> Any:
        """Return the response for the caller, its body read and decoded."""
        body = response.content
        headers = [*_kept(response), ("content-length", str(len(body)))]
        stream = self.family.ByteStream(body)
        return self.respond(response.status_code, headers, stream, response.extensions)

    def recorded(self, ticket: Ticket, response: Any, source: Source, colour: Colour) -> Any:
        """Return a response that is recorded while the caller, and others, read it."""
        alias = None
        if self.journey is not None:
            alias = self.journey.alias
            self.journey.let_go(ticket)
        reader = ticket.record(source, self.head(response), colour, alias=alias)
        self.note(ticket.outcome)
        return self.respond(
            response.status_code, _kept(response), self._shared(reader), response.extensions
        )

    def replay(self, hit: Hit) -> Any:
        """Return the cached answer as a response."""
        self.note(hit.outcome)
        status = STATUS[hit.outcome.kind]
        headers = [
            *hit.response.headers,
            ("cache-status", f"askonce; {status}"),
            ("age", str(int(hit.outcome.age))),
        ]
        if hit.reader is not None:
            return self.respond(hit.response.status, headers, self._shared(hit.reader), {})
        stream = self.family.ByteStream(hit.response.body)
        headers.append(("content-length", str(len(hit.response.body))))
        return self.respond(hit.response.status, headers, stream, {})

    def _shared(self, reader: Reader) -> Any:
        return self.family.SharedStream(reader, self.plan.dialect, self._facts, self.request)

    def respond(
        self, status: int, headers: Iterable[tuple[str, str]], stream: Any, extensions: Any
    ) -> Any:
        """Make a response of the caller's HTTP library."""
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        # A stream, not `content`: else the client has no `elapsed` to give.
        return self.family.Response(
            status, headers=raw, stream=stream, extensions=extensions, request=self.request
        )

    def head(self, response: Any) -> Response:
        """The status of a response and the headers that are stored."""
        headers: Headers = tuple(
            (name.lower(), value)
            for name, value in _fields(response)
            if name.lower() in replay.KEPT_HEADERS
        )
        return Response(response.status_code, headers, b"", is_stream(response))

    def note(self, outcome: Outcome) -> None:
        """Take note of a call: of the whole journey's, once, if there is one."""
        if self.journey is None:
            self.session.note(outcome)
        else:
            self.journey.outcome = outcome


def refused(request: Any, missing: NotCached) -> Any:
    """Answer a call that must not be made with 504 (RFC 9111, 5.2.1.7)."""
    body = orjson.dumps({"error": {"code": "only_if_cached", "message": str(missing)}})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-status", b"askonce; detail=only-if-cached"),
        # The SDKs try a 504 again, but for this.
        (b"x-should-retry", b"false"),
    ]
    family = family_of(request)
    return family.Response(504, headers=headers, stream=family.ByteStream(body), request=request)


def is_failure(failure: int | BaseException) -> bool:
    """Say whether this status or error is of the provider or the way to it, and may pass."""
    if isinstance(failure, int):
        return failure in (408, 429) or failure >= 500
    return isinstance(failure, Exception)


def stale_reason(failure: int | BaseException) -> Reason:
    """Say why the last good answer stands in for a call."""
    if isinstance(failure, int):
        return Reason("stale_if_error", f"the provider answered {failure}")
    return Reason("stale_if_error", f"the call raised {type(failure).__name__}")


def is_stream(response: Any) -> bool:
    """Say whether a response is an event stream."""
    kind: str = response.headers.get("content-type", "")
    return kind.lower().startswith("text/event-stream")


def _fields(message: Any) -> list[tuple[str, str]]:
    """The header fields of a request or response, one letter for each byte.

    Byte for byte, because the libraries guess a charset, read two values alike, and write ASCII.
    """
    return [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in message.headers.raw
    ]


def _kept(response: Any) -> list[tuple[str, str]]:
    return [item for item in _fields(response) if item[0].lower() not in _CONNECTION_HEADERS]
