"""The function surface: functions, generators and coroutines, cached by their arguments."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from askonce import keys, values
from askonce.blocking import run
from askonce.colours import TASKS, THREADS, Colour
from askonce.dialects.contract import Facts
from askonce.dialects.plain import ODD, ODD_ITEM, PLAIN
from askonce.engine import PATIENCE, Ticket
from askonce.errors import Ambiguous, UpstreamLost
from askonce.following import Hit
from askonce.frames import Event, events, read, write
from askonce.model import Outcome, Reason, Response
from askonce.plans import Plan
from askonce.policy import ASKED, DISABLED, Options
from askonce.session import Session
from askonce.streams import GeneratorSource, LoopSource, Reader, leave
from askonce.surfaces import identities
from askonce.tape import Source

Function = Callable[..., Any]

# A result is kept as `{"value": ...}`; its own text is read back without the frame.
_BEFORE, _AFTER = b'{"value":', b"}"

_computing: ContextVar[tuple[Ticket, ...]] = ContextVar("askonce_computing", default=())
"""The tickets of the coroutines that this task is inside of: it must not wait for itself.

A task that was begun inside keeps them when they are settled, and is inside of nothing then.
"""


def cached(
    function: Function,
    session: Session,
    options: Options,
    version: str,
    patience: float | None = PATIENCE,
) -> Function:
    """Return `function`, answered from the cache when it was called with equal arguments before.

    What a call raises is passed on and never kept. Of a generator its items are kept; what it
    returns at its end is not passed on. `patience` is how many seconds a call waits for an equal
    one; None is for ever.
    """
    kept = Kept(function, session, options, version, patience)
    if inspect.isasyncgenfunction(function):
        wrapper = _async_generator(function, kept)
    elif inspect.isgeneratorfunction(function):
        wrapper = _generator(function, kept)
    elif inspect.iscoroutinefunction(function):
        wrapper = _coroutine(function, kept)
    else:
        wrapper = _blocking(function, kept)
    wrapper = functools.wraps(function)(wrapper)
    wrapper.key = kept.key  # type: ignore[attr-defined]
    return wrapper


def _blocking(function: Function, kept: Kept) -> Function:
    def call(*arguments: Any, **named: Any) -> Any:
        plan = kept.plan(arguments, named)
        if plan is None:
            return function(*arguments, **named)
        turn = run(kept.begin(plan, THREADS))
        if isinstance(turn, Known):
            return turn.result
        try:
            result = function(*arguments, **named)
        except BaseException as error:
            kept.failed(turn, error)
            raise
        run(kept.settle(turn, result, THREADS))
        return result

    return call


def _coroutine(function: Function, kept: Kept) -> Function:
    async def call(*arguments: Any, **named: Any) -> Any:
        plan = kept.plan(arguments, named)
        if plan is None:
            return await function(*arguments, **named)
        turn = await kept.begin(plan, TASKS)
        if isinstance(turn, Known):
            return turn.result
        token = _computing.set((*_computing.get(), turn))
        try:
            result = await function(*arguments, **named)
        except BaseException as error:
            kept.failed(turn, error)
            raise
        finally:
            _computing.reset(token)
        await kept.settle(turn, result, TASKS)
        return result

    return call


def _generator(function: Function, kept: Kept) -> Function:
    def call(*arguments: Any, **named: Any) -> Iterator[Any]:
        plan = kept.plan(arguments, named, stream=True)
        if plan is None:
            yield from function(*arguments, **named)
            return
        turn = run(kept.begin(plan, THREADS))
        if isinstance(turn, Known) and turn.reader is None:
            yield from turn.result
            return
        odd: list[Any] = []
        if isinstance(turn, Known):
            reader = turn.reader
            assert reader is not None
        else:
            items = function(*arguments, **named)
            chunks = (kept.piece(item, odd) for item in items)
            reader = kept.record(turn, GeneratorSource(items, chunks), THREADS)
        try:
            while (piece := run(reader.next())) is not None:
                yield kept.item(piece, odd)
        finally:
            reader.leave()

    return call


def _async_generator(function: Function, kept: Kept) -> Function:
    async def call(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
        plan = kept.plan(arguments, named, stream=True)
        if plan is None:
            async for item in function(*arguments, **named):
                yield item
            return
        turn = await kept.begin(plan, TASKS)
        if isinstance(turn, Known) and turn.reader is None:
            for item in turn.result:
                yield item
            return
        odd: list[Any] = []
        if isinstance(turn, Known):
            reader = turn.reader
            assert reader is not None
        else:
            items = function(*arguments, **named)
            chunks = (kept.piece(item, odd) async for item in items)
            token = _computing.set((*_computing.get(), turn))
            # It keeps this context, for all of its items.
            source = LoopSource(chunks, items.aclose)
            _computing.reset(token)
            reader = kept.record(turn, source, TASKS)
        try:
            while (piece := await reader.next()) is not None:
                yield kept.item(piece, odd)
        finally:
            await leave(reader)

    return call


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a call: its result, the list of its items, or what reads these live."""

    result: Any = None
    reader: Reader | None = None


def _surroundings(function: Function) -> list[Any] | Ambiguous:
    try:
        return identities.surroundings(function)
    except Ambiguous as doubt:
        return doubt


class Kept:
    """Knows one function: the keys of its calls, and how its results are written and read."""

    def __init__(
        self,
        function: Function,
        session: Session,
        options: Options,
        version: str,
        patience: float | None,
    ) -> None:
        self._name = identities.name(function)
        self._signature = inspect.signature(function)
        self._function = function
        self._session = session
        self._options = options
        self._version = version
        self._patience = float("inf") if patience is None else patience
        # As they are now: what the function changes itself must not change its key.
        self._surroundings = _surroundings(function)
        self._told_in_items = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(
            function
        )

    @functools.cached_property
    def _result(self) -> Any:
        """The annotation of the result, or of an item; looked up late, when all names exist."""
        try:
            found = typing.get_type_hints(identities.plain(self._function)).get("return", Any)
        except Exception:  # noqa: BLE001 (an annotation may name what is not there)
            return Any
        if self._told_in_items:
            return (*typing.get_args(found), Any)[0]
        return found

    def _carried(self) -> list[Any]:
        if isinstance(self._surroundings, Ambiguous):
            raise self._surroundings
        return self._surroundings

    @functools.cached_property
    def _shape(self) -> Any:
        return identities.shape(self._result)

    def key(self, *arguments: Any, **named: Any) -> bytes:
        """Return the key of a call. Raises Ambiguous for arguments that have no value."""
        return self._key(arguments, named, self._session.options(self._options))

    def _key(self, arguments: Any, named: Any, options: Options) -> bytes:
        bound = self._signature.bind(*arguments, **named)
        bound.apply_defaults()
        counted = {
            "function": self._name,
            "surroundings": self._carried(),
            "result": [self._told_in_items, self._shape],
            "version": self._version,
            "arguments": [[name, values.argument(item)] for name, item in bound.arguments.items()],
        }
        return keys.value_key("function", counted, tenant=options.tenant)

    def plan(self, arguments: Any, named: Any, *, stream: bool = False) -> Plan | None:
        """Plan a call; None, with the reason on record, when it is not for the cache."""
        options = self._session.options(self._options)
        if options.bypass or not options.policy.enabled:
            return self._bypass(ASKED if options.bypass else DISABLED)
        try:
            key = self._key(arguments, named, options)
        except Ambiguous as doubt:
            self._session.journal.warn(self._name, "%s is not cached: %s", self._name, doubt)
            return self._bypass(Reason("ambiguous", str(doubt)))
        if (around := _computing.get()) and self._is_inside(key, around):
            return self._bypass(Reason("recursion", "this call is part of its own answer"))
        return Plan(key, PLAIN, Facts(model=self._name, stream=stream, samples=False), options)

    def _is_inside(self, key: bytes, around: tuple[Ticket, ...]) -> bool:
        engine = self._session.engine
        return any(it.open and it.plan.key == key and it.engine is engine for it in around)

    def _bypass(self, reason: Reason) -> Plan | None:
        self._session.note(Outcome("bypass", reason=reason, dialect=PLAIN.name, model=self._name))
        return None

    async def begin(self, plan: Plan, colour: Colour) -> Known | Ticket:
        """Find the result, or get leave to call the function.

        What its type of today cannot read is called for again.
        """
        turn = await self._session.engine.begin(plan, colour, self._patience)
        if isinstance(turn, Ticket):
            return turn
        try:
            known = self._known(turn)
        except Exception:  # noqa: BLE001 (a type's own code may raise anything)
            again = replace(plan, options=replace(plan.options, refresh=True))
            return await self.begin(again, colour)
        self._session.note(turn.outcome)
        return known

    def _known(self, hit: Hit) -> Known:
        """Read a hit: new objects each time."""
        if hit.reader is not None:
            return Known(reader=hit.reader)
        body = hit.response.body
        if hit.plan.facts.stream:
            return Known([self._read(event) for event in events(body)])
        return Known(values.read(body[len(_BEFORE) : -len(_AFTER)], self._result))

    def _read(self, item: Event) -> Any:
        return values.read(item.data.encode(), self._result)

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
        self._session.note(ticket.outcome)

    def _text(self, value: Any) -> bytes | None:
        """Write a value; None when it could not be read back as what it is."""
        try:
            text = values.write(value)
            return text if values.keeps_shape(value, text, self._result) else None
        except Exception:  # noqa: BLE001 (a value's own code may raise anything)
            return None

    def failed(self, ticket: Ticket, error: BaseException) -> None:
        """Give back the ticket of a call that raised."""
        ticket.outcome.reason = Reason("raised", f"the function raised {type(error).__name__}")
        ticket.release(failed=isinstance(error, Exception))
        self._session.note(ticket.outcome)

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
        reader = ticket.record(source, Response(200, (), b"", streamed=True), colour)
        self._session.note(ticket.outcome)
        return reader
