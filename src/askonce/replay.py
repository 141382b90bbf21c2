"""Tell a stored response the way its reader wants it: whole, or as a stream. Pure."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable

from msgspec import structs

from askonce import frames
from askonce.dialects.contract import LABEL, Dialect, Facts, Json
from askonce.dialects.wire import decode_object, encode
from askonce.frames import Event
from askonce.model import Reason, Response

KEPT_HEADERS = frozenset({"content-type", "x-request-id", "request-id", "openai-version"})
"""The response headers that are stored. Others describe one connection, one account or one day."""


# A byte order mark where an event could begin: for some readers it belongs to the first name.
_MARK = re.compile(rb"(?:\A|[\r\n])" + BOM_UTF8)


def is_answer(status: int) -> bool:
    """Say whether a status promises an answer.

    Some gateways say 201 to every POST. The rest of 2xx says that it comes later (202), was changed
    on the way (203), or is not whole (206): RFC 9110, 15.3.
    """
    return status in (200, 201)


def status_reason(status: int) -> Reason:
    """Say that a status is no answer."""
    return Reason("status", f"the provider answered {status}")


def is_terminal(dialect: Dialect, piece: bytes) -> bool:
    """Say whether these bytes hold the event that ends a stream."""
    event = _event(piece)
    return event is not None and dialect.terminal(event)


def answer(dialect: Dialect, response: Response) -> Json | None:
    """Return the whole answer of a response; None when it is incomplete or no JSON object."""
    try:
        if response.streamed:
            if BOM_UTF8 in response.body and _MARK.search(response.body):
                return None
            if frames.is_cut(response.body):
                return None
            return dialect.whole(list(frames.events(response.body)))
        return decode_object(response.body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def render(dialect: Dialect, response: Response, facts: Facts) -> Response | None:
    """Return the response as this reader wants it, or None when it does not hold what is asked."""
    rendered = _rendered(dialect, response, facts)
    if rendered is None or LABEL.encode() not in rendered.body:
        return rendered
    return _with(lambda said: dialect.relabelled(said, facts.labels), rendered)


def _rendered(dialect: Dialect, response: Response, facts: Facts) -> Response | None:
    if not facts.stream:
        return response if not response.streamed else _whole(dialect, response)
    if response.streamed:
        if dialect.usage_on_request and facts.usage_asked and b'"usage"' not in response.body:
            return None
        return _retold(response, show(dialect, frames.events(response.body), facts))
    found = answer(dialect, response)
    return None if found is None else _retold(response, dialect.events(found, facts))


def unlabelled(dialect: Dialect, response: Response, labels: Json) -> Response:
    """Take out of a response, whole or streamed, where it repeats these labels of its caller."""
    return _with(lambda said: dialect.unlabelled(said, labels), response) if labels else response


def _with(change: Callable[[Json], Json], response: Response) -> Response:
    def changed(text: str) -> str:
        said = decode_object(text)
        return text if said is None else encode(change(said))

    if not response.streamed:
        return structs.replace(response, body=changed(response.body.decode("utf-8")).encode())
    told = (Event(changed(event.data), event.name) for event in frames.events(response.body))
    return structs.replace(response, body=frames.write_all(told))


def show(dialect: Dialect, stream: Iterable[Event], facts: Facts) -> Iterable[Event]:
    """Leave out of a recorded stream what this reader did not ask for."""
    return (seen for event in stream if (seen := dialect.show(event, facts)) is not None)


# One event's bytes on their way; what needs no change keeps its bytes.


def show_piece(dialect: Dialect, piece: bytes, facts: Facts) -> bytes:
    """Leave out what this reader did not ask for, and put its labels in."""
    event = _event(piece)
    seen = event and dialect.show(event, facts)
    if event is None:
        return piece
    if seen is None:
        return b""
    if LABEL in seen.data:
        seen = _retold_event(lambda said: dialect.relabelled(said, facts.labels), seen)
    return piece if seen is event else frames.write(seen)


def unlabelled_piece(dialect: Dialect, piece: bytes, labels: Json) -> bytes:
    """Take out where it repeats these labels of its caller."""
    event = _event(piece) if labels else None
    if event is None:
        return piece
    seen = _retold_event(lambda said: dialect.unlabelled(said, labels), event)
    return piece if seen is event else frames.write(seen)


def _event(piece: bytes) -> Event | None:
    try:
        return frames.read(piece)
    except UnicodeDecodeError:
        return None


def _retold_event(change: Callable[[Json], Json], event: Event) -> Event:
    said = decode_object(event.data)
    changed = said and change(said)
    return event if not changed or changed == said else Event(encode(changed), event.name)


def _whole(dialect: Dialect, response: Response) -> Response | None:
    found = answer(dialect, response)
    # A whole answer always says what it cost; a stream recorded without that cannot.
    if found is None or not dialect.usage(found):
        return None
    return Response(
        response.status,
        _typed(response, "application/json"),
        encode(found).encode(),
    )


def _retold(response: Response, stream: Iterable[Event]) -> Response:
    return Response(
        response.status,
        _typed(response, "text/event-stream; charset=utf-8"),
        frames.write_all(stream),
        streamed=True,
    )


def _typed(response: Response, content_type: str) -> tuple[tuple[str, str], ...]:
    others = tuple(header for header in response.headers if header[0] != "content-type")
    return (("content-type", content_type), *others)
