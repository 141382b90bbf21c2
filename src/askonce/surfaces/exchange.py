"""One HTTP request on its way through the cache: all of the transport that has no colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from askonce import replay
from askonce.colours import Colour
from askonce.engine import PATIENCE, Ticket
from askonce.following import Hit
from askonce.model import Headers, Outcome, Reason, Request, Response
from askonce.plans import Plan
from askonce.session import Session
from askonce.streams import Reader
from askonce.surfaces.families import Family
from askonce.surfaces.journey import Journey
from askonce.tape import Source

# They describe the bytes as they came over one connection; the body given out is decoded.
_CONNECTION_HEADERS = frozenset(
    {"content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive"}
)

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
            elif journey.alias is not None and turn.reader is None:
                tenant = self.plan.options.tenant
                await self.engine.learn(journey.alias, self.plan.key, colour, tenant=tenant)
        return turn

    def outgoing(self, ticket: Ticket) -> Any:
        """Return the request to send: the caller's own, or one that also asks for usage."""
        body = self.engine.asking_usage(ticket.plan, self.request.content)
        return self._as_it_is() if body is None else self.asking(body)

    def instead(self, sent: Any, response: Any) -> Any | None:
        """Return the caller's own request, where one that also asks for usage was refused."""
        was_refused = response.status_code in (400, 422)
        return self._as_it_is() if was_refused and sent is not self.request else None

    def _as_it_is(self) -> Any:
        # What this upstream says unasked, it says to its caller too.
        self._facts = replace(self.plan.facts, usage_asked=True)
        return self.request

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

    def failed(self, ticket: Ticket, error: BaseException | None) -> None:
        """End an attempt without an answer. Within a journey its ticket is kept for the next."""
        if error is not None:
            ticket.outcome.reason = Reason("failed", f"the call raised {type(error).__name__}")
        if self.journey is None:
            ticket.release(failed=error is None or isinstance(error, Exception))
        self.note(ticket.outcome)

    async def settle(self, ticket: Ticket, response: Any, colour: Colour) -> None:
        """Settle a whole answer that was read."""
        head, alias = self.head(response), None
        if self.journey is not None:
            alias = self.journey.alias
            self.journey.let_go(ticket)
        whole = Response(head.status, head.headers, response.content, head.streamed)
        await ticket.settle(whole, colour, alias=alias)
        self.note(ticket.outcome)

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
        status = "collapsed" if hit.reader is not None else "hit"
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
