"""What is known of one cached function: keys of its calls, and how results are kept and read."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from msgspec import Struct, structs

from askonce import keys, values
from askonce.chains import Chain, around, inside
from askonce.colours import Colour
from askonce.dialects.contract import Facts
from askonce.dialects.plain import ODD, ODD_ITEM, PLAIN
from askonce.engine import PATIENCE, only_if_cached
from askonce.errors import Ambiguous, NotCached, UpstreamLost
from askonce.following import Hit
from askonce.frames import Event, events, read, write
from askonce.model import Outcome, Reason, Response
from askonce.overlays import Overlay
from askonce.plans import Plan
from askonce.policy import ASKED, Options, disabled
from askonce.samples import Samples, slotted
from askonce.session import Session
from askonce.streams import Reader
from askonce.surfaces import identities
from askonce.surfaces.behind import Behind
from askonce.surfaces.exchange import stale_reason
from askonce.surfaces.surroundings import Surroundings
from askonce.tape import Source
from askonce.tickets import Ticket

Function = Callable[..., Any]

# A result is kept as `{"value": ...}`; its own text is read back without the frame.
_BEFORE, _AFTER = b'{"value":', b"}"

computing: ContextVar[tuple[Ticket, ...]] = ContextVar("askonce_computing", default=())
"""The tickets of the coroutines that this task is inside of: it must not wait for itself.

A task that was begun inside keeps them when they are settled, and is inside of nothing then.
"""


@dataclass(frozen=True, slots=True)
class Decoration:
    """What a decorator says of its function."""

    version: str = ""
    patience: float | None = PATIENCE
    """Seconds that a call waits for an equal one; None is for ever."""
    depends_on: Any = None
    """A value that is part of every key, or a function that tells it at each call."""
    named: bool = False
    """One of these tells which objects the function closes over, where no key can hold them."""


class Known(Struct, frozen=True):
    """What is known of a call: its result, the list of its items, or what reads these live."""

    result: Any = None
    reader: Reader | None = None
    refresh: Ticket | None = None
    """Leave to compute the next result behind this one, which is stale."""


class Kept:
    """Knows one function: the keys of its calls, and how its results are written and read."""

    def __init__(
        self,
        function: Function,
        session: Session,
        options: Options,
        decoration: Decoration,
    ) -> None:
        self._name = identities.name(function)
        self._signature = inspect.signature(function)
        self.function = function
        self._session = session
        self._options = options
        self._decoration = decoration
        self._patience = float("inf") if decoration.patience is None else decoration.patience
        self._facts = Facts(model=self._name, samples=False)
        self._told = structs.replace(self._facts, stream=True)
        self.behind = Behind()
        # As they are now: what the function changes itself must not change its key.
        self._surroundings = Surroundings(function, named=decoration.named)
        self._told_in_items = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(
            function
        )

    @functools.cached_property
    def _result(self) -> Any:
        """The annotation of the result, or of an item; looked up late, when all names exist."""
        try:
            found = typing.get_type_hints(identities.plain(self.function)).get("return", Any)
        except Exception:  # noqa: BLE001 (an annotation may name what is not there)
            return Any
        if self._told_in_items:
            return (*typing.get_args(found), Any)[0]
        return found

    @functools.cached_property
    def _shape(self) -> Any:
        return identities.shape(self._result)

    def key(self, *arguments: Any, **named: Any) -> bytes:
        """Return the key of a call. Raises Ambiguous for arguments that have no value."""
        return self._key(arguments, named, self._session.options(self._options))

    def _key(self, arguments: Any, named: Any, options: Options) -> bytes:
        bound = self._signature.bind(*arguments, **named)
        bound.apply_defaults()
        counted: dict[str, Any] = {
            "function": self._name,
            "surroundings": self._surroundings.said(),
            "result": [self._told_in_items, self._shape],
            "version": self._decoration.version,
            "arguments": [[name, values.argument(item)] for name, item in bound.arguments.items()],
        }
        if self._decoration.depends_on is not None:
            said = self._decoration.depends_on
            counted["depends on"] = values.argument(said() if callable(said) else said)
        if options.policy.effects:
            # What has effects inside is kept for those only who ask for that.
            counted["effects"] = True
        return keys.value_key("function", counted, tenant=options.tenant)

    def plan(self, arguments: Any, named: Any, *, stream: bool = False) -> Plan | None:
        """Plan a call; None, with the reason on record, when it is not for the cache."""
        options = self._session.options(self._options)
        if options.bypass or not options.policy.enabled:
            return self._bypass(ASKED if options.bypass else disabled(options.policy), options)
        try:
            key = self._key(arguments, named, options)
        except Ambiguous as doubt:
            self._session.journal.warn(self._name, "%s is not cached: %s", self._name, doubt)
            return self._bypass(Reason("ambiguous", str(doubt)), options)
        slot = 0 if options.samples is None else options.samples.take(key)
        key = slotted(key, slot)
        if (around := computing.get()) and self._is_inside(key, around):
            return self._bypass(Reason("recursion", "this call is part of its own answer"), options)
        return Plan(key, PLAIN, self._told if stream else self._facts, options, slot=slot)

    def _is_inside(self, key: bytes, around: tuple[Ticket, ...]) -> bool:
        engine = self._session.engine
        return any(it.open and it.plan.key == key and it.engine is engine for it in around)

    def _bypass(self, reason: Reason, options: Options) -> Plan | None:
        tags = dict(self._session.versions(options))
        outcome = Outcome("bypass", reason=reason, dialect=PLAIN.name, model=self._name, tags=tags)
        self._session.note(outcome)
        if options.only_if_cached and reason is not ASKED:
            raise NotCached(f"this call is never kept: {reason}")
        return None

    async def begin(self, plan: Plan, colour: Colour) -> Known | Ticket:
        """Find the result, or get leave to call the function.

        What its type of today cannot read is called for again.
        """
        try:
            turn = await self._session.engine.begin(plan, colour, self._patience)
        except NotCached:
            self._session.note(only_if_cached(plan, self._session.versions(plan.options)))
            raise
        if isinstance(turn, Ticket):
            return turn
        try:
            known = self._known(turn)
        except Exception as unreadable:
            if turn.refresh is not None:
                return turn.refresh
            if plan.options.only_if_cached:
                raise NotCached(f"what is kept cannot be read: {unreadable!r}") from unreadable
            again = structs.replace(plan, options=replace(plan.options, refresh=True))
            return await self.begin(again, colour)
        self._session.note(turn.outcome)
        if turn.reader is not None:
            for chain in around():
                chain.follow(turn.chain)
        return known

    def _known(self, hit: Hit) -> Known:
        """Read a hit: new objects each time."""
        if hit.reader is not None:
            return Known(reader=hit.reader)
        body = hit.response.body
        if hit.plan.facts.stream:
            return Known([self._read(event) for event in events(body)], refresh=hit.refresh)
        result = values.read(body[len(_BEFORE) : -len(_AFTER)], self._result)
        return Known(result, refresh=hit.refresh)

    def _read(self, item: Event) -> Any:
        return values.read(item.data.encode(), self._result)

    @contextmanager
    def chain(self, ticket: Ticket) -> Iterator[None]:
        """Let the calls made here be links of the chain whose result settles the ticket."""
        ticket.chain = Chain()
        samples = ticket.plan.options.samples
        own = None if samples is None else Samples(samples.count, ticket.plan.slot)
        with inside(ticket.chain), self._session.using(Overlay(samples=own)):
            yield

    def is_same(self, ticket: Ticket, arguments: Any, named: Any) -> bool:
        """Say whether the arguments are still those of the ticket's call, now and at its end."""

        def is_valid() -> bool:
            return self._is_of(ticket.plan, arguments, named)

        ticket.is_valid = is_valid
        return is_valid()

    def _is_of(self, plan: Plan, arguments: Any, named: Any) -> bool:
        try:
            return slotted(self._key(arguments, named, plan.options), plan.slot) == plan.key
        except Ambiguous:
            return False

    def note(self, ticket: Ticket) -> None:
        """Take note of a call that was made."""
        self._session.note(ticket.outcome)

    # Single results

    async def settle(self, ticket: Ticket, result: Any, colour: Colour) -> None:
        """Keep a result, if it can be read back as what it is."""
        text = self._text(result)
        if text is not None:
            body = b"".join((_BEFORE, text, _AFTER))
            await ticket.settle(Response(200, (), body), colour)
        else:
            ticket.outcome.reason = Reason(
                "result", "the result is not kept: return JSON, or annotate the return type"
            )
            warn = self._session.journal.warn
            warn(self._name, "%s is not cached: its %s", self._name, ticket.outcome.reason.advice)
            ticket.release(failed=True)

    def _text(self, value: Any) -> bytes | None:
        """Write a value; None when it could not be read back as what it is."""
        try:
            text = values.write(value)
            return text if values.keeps_shape(value, text, self._result) else None
        except Exception:  # noqa: BLE001 (a value's own code may raise anything)
            return None

    async def failed(self, ticket: Ticket, error: BaseException) -> Known | None:
        """Give back the ticket of a call that raised; return what stands in for its result."""
        failed = isinstance(error, Exception)
        spare = await self._session.engine.spare(ticket) if failed else None
        ticket.outcome.reason = Reason("raised", f"the function raised {type(error).__name__}")
        ticket.release(failed=failed)
        known, outcome = None, ticket.outcome
        if spare is not None:
            with suppress(Exception):  # its type of today cannot read it
                known, outcome = self._known(spare), spare.outcome
                outcome.reason = stale_reason(error)
        self._session.note(outcome)
        return known

    # Items of generators

    def piece(self, item: Any, odd: list[Any]) -> bytes:
        """Write one item. One that could not be read back is put into `odd`, and its place told."""
        text = self._text(item)
        if text is not None:
            return write(Event(text.decode()))
        warn = self._session.journal.warn
        warn(self._name, "%s is not cached: %s", self._name, ODD_ITEM.advice)
        odd.append(item)
        return write(Event(str(len(odd) - 1), ODD))

    def item(self, piece: bytes, odd: list[Any]) -> Any:
        """Read one item. Raises UpstreamLost for an odd one of somebody else's generator."""
        event = read(piece)
        assert event is not None
        if event.name != ODD:
            return self._read(event)
        if not odd:
            raise UpstreamLost(f"{self._name} yields to another caller what cannot be shared")
        return odd[int(event.data)]

    def record(self, ticket: Ticket, source: Source, colour: Colour) -> Reader:
        """Record a generator while its caller, and others, read it."""
        return ticket.record(source, Response(200, (), b"", streamed=True), colour)
