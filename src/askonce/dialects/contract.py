"""What askonce must know of a provider's wire format: a value made of pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from msgspec import Struct, field

from askonce.frames import Event
from askonce.model import NOTHING, Reason, Usage

Json: TypeAlias = dict[str, Any]


class Facts(Struct, frozen=True):
    """What one request says of itself, in words that every dialect shares."""

    model: str = ""
    stream: bool = False
    """The caller reads an event stream."""
    usage_asked: bool = True
    """The caller's stream shows usage. False only where a dialect sends it on request."""
    usage_on_request: bool = True
    """This host tells usage to nobody else; another may tell it unasked."""
    temperature: float | None = None
    """None when it was left out."""
    effort: str = ""
    """How much the model is asked to reason; "" when it was left out."""
    labels: Json = {}
    """The caller's own names for the call, where an answer repeats them."""
    samples: bool = True
    """The endpoint draws at random unless told otherwise; False for embeddings."""
    effect: Reason | None = None
    """State, effects or live data that make the call more than a function of its body."""


def _always(path: str, query: str) -> bool:  # noqa: ARG001 (a Dialect's `form_is_read`)
    return True


LABEL = "{label of whoever asks}"
"""Stands in a stored answer where it repeated its caller's own name for the call."""


def _same_url(path: str) -> str:
    return path


def _same_event(event: Event, facts: Facts) -> Event | None:  # noqa: ARG001 (a Dialect's `show`)
    return event


def _no_labels(said: Json, labels: Json) -> Json:  # noqa: ARG001 (a Dialect's `relabelled`)
    return said


def _no_system(body: Json) -> str:  # noqa: ARG001 (a Dialect's `system`)
    return ""


def _pinned(body: Json) -> Json | None:
    return {**body, "temperature": 0} if body.get("temperature") is None else None


def _no_usage(answer: Json) -> Usage:  # noqa: ARG001 (a Dialect's `usage`)
    return NOTHING


def _no_request_for_usage(body: Json) -> Json | None:  # noqa: ARG001 (a Dialect's `ask_usage`)
    return None


def _never(event: Event) -> bool:  # noqa: ARG001 (a Dialect's `terminal`)
    return False


class Batching(Struct, frozen=True):
    """How a request of several inputs is taken apart, and its answers put together."""

    parts: Callable[[Json], list[Json]]
    """One request for each input, in order; a request of one input in its one form."""
    gather: Callable[[Json, Sequence[Json]], Json]
    """The request for some of the parts."""
    divide: Callable[[Json, Sequence[Json]], list[Json] | None]
    """One answer for each of the parts that were asked for; None when the answer does not fit."""
    join: Callable[[Sequence[Json]], Json]
    """One answer from those of all parts."""


class Question(Struct, frozen=True):
    """The last user text of a request."""

    text: str
    placed: Callable[[Any], Json]
    """A copy of the request with something else in the text's place."""


def _no_question(body: Json) -> Question | None:  # noqa: ARG001 (a Dialect's `question`)
    return None


class Dialect(Struct, frozen=True):
    """One endpoint's wire format. All functions are pure and never change what they are given."""

    name: str
    matches: Callable[[str], bool]
    """Whether a URL path belongs to this endpoint."""
    facts: Callable[[str, Json], Facts]
    """Read a request: URL path and body. Must not raise on any JSON object."""
    flaw: Callable[[Json], Reason | None]
    """Why a whole answer must not be kept (truncated, refused, filtered, empty, broken tool JSON);
    None when it is good. Must not raise on any JSON object."""
    whole: Callable[[Sequence[Event]], Json | None]
    """Put a recorded stream together; None when it is not complete. A complete stream without usage
    gives an answer without usage."""
    events: Callable[[Json, Facts], Iterable[Event]]
    """Tell a whole answer as a stream, with usage as `facts` say."""
    neutral: frozenset[str] = frozenset()
    """Body fields proven to leave the answer as it is; every other field counts."""
    neutral_query: frozenset[str] = frozenset()
    """Query parameters that do not change the answer."""
    form_is_read: Callable[[str, str], bool] = field(default=_always)
    """Whether the answer to a URL (path and query) comes in a form that is read here."""
    endpoint: Callable[[str], str] = field(default=_same_url)
    """The path that counts in the key; dialects with a path of their own for streams fold it."""
    terminal: Callable[[Event], bool] = field(default=_never)
    """Whether this event ends the stream. Where no such event exists, its end does."""
    show: Callable[[Event, Facts], Event | None] = field(default=_same_event)
    """What the caller should see of an upstream event; None to leave it out."""
    unlabelled: Callable[[Json, Json], Json] = field(default=_no_labels)
    """An answer, or an event's data, with `LABEL` where it repeats one of its caller's labels."""
    relabelled: Callable[[Json, Json], Json] = field(default=_no_labels)
    """The same with another caller's labels in these places."""
    system: Callable[[Json], str] = field(default=_no_system)
    """The system prompt of a request, as text; empty when it has none."""
    question: Callable[[Json], Question | None] = field(default=_no_question)
    """The question of a request; None where there is more than one text of its user to answer."""
    pinned: Callable[[Json], Json | None] = field(default=_pinned)
    """A copy of a request that asks for temperature 0; None where it says one of its own."""
    usage: Callable[[Json], Usage] = field(default=_no_usage)
    """Tokens of a whole answer, by `input`, `output` and `total`; empty when it does not say."""
    usage_on_request: bool = False
    """Whether a stream shows usage only to those who ask for it."""
    ask_usage: Callable[[Json], Json | None] = field(default=_no_request_for_usage)
    """A copy of a streaming request that asks for usage, or None when nothing need be asked."""
    batching: Batching | None = None
    """Set where each input of a request has an entry of its own."""
