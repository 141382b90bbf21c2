"""The function surface: functions, generators and coroutines, cached by their arguments."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

from askonce import keys, values
from askonce.blocking import run
from askonce.colours import TASKS, THREADS, Colour
from askonce.dialects.contract import Facts
from askonce.dialects.plain import PLAIN
from askonce.engine import PATIENCE, Ticket
from askonce.errors import Ambiguous
from askonce.following import Hit
from askonce.frames import Event, events, read, write
from askonce.model import Outcome, Reason, Response
from askonce.plans import Plan
from askonce.policy import ASKED, DISABLED, Options
from askonce.session import Session
from askonce.streams import GeneratorSource, LoopSource, Reader
from askonce.surfaces import identities
from askonce.tape import Source

Function = Callable[..., Any]

# A result is kept as `{"value": ...}`; its own text is read back without the frame.
_BEFORE, _AFTER = b'{"value":', b"}"

_computing: ContextVar[frozenset[bytes]] = ContextVar("askonce_computing", default=frozenset())
"""Keys of the coroutines that this task is inside of: it must not wait for itself."""


def cached(function: Function, session: Session, options: Options, version: str) -> Function:
    """Return `function`, answered from the cache when it was called with equal arguments before.

    What a call raises is passed on and never kept.
    """
    kept = Kept(function, session, options, version)
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
        if isinstance(turn, Hit):
            return kept.value(turn)
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
        if isinstance(turn, Hit):
            return kept.value(turn)
        token = _computing.set(_computing.get() | {plan.key})
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
        if isinstance(turn, Hit) and turn.reader is None:
            yield from kept.items(turn)
            return
        if isinstance(turn, Hit):
            reader = turn.reader
            assert reader is not None
        else:
            items = function(*arguments, **named)
            chunks = (kept.piece(item) for item in items)
            reader = kept.record(turn, GeneratorSource(items, chunks), THREADS)
        try:
            while (piece := run(reader.next())) is not None:
                yield kept.item(piece)
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
        if isinstance(turn, Hit) and turn.reader is None:
            for item in kept.items(turn):
                yield item
            return
        if isinstance(turn, Hit):
            reader = turn.reader
            assert reader is not None
        else:
            items = function(*arguments, **named)
            chunks = (kept.piece(item) async for item in items)
            reader = kept.record(turn, LoopSource(chunks, items.aclose), TASKS)
        try:
            while (piece := await reader.next()) is not None:
                yield kept.item(piece)
        finally:
            reader.leave()

    return call


def _surroundings(function: Function) -> list[Any] | Ambiguous:
    try:
        return identities.surroundings(function)
    except Ambiguous as doubt:
        return doubt


class Kept:
    """Knows one function: the keys of its calls, and how its results are written and read."""

    def __init__(
        self, function: Function, session: Session, options: Options, version: str
    ) -> None:
        self._name = identities.name(function)
        self._signature = inspect.signature(function)
        self._function = function
        self._session = session
        self._options = options
        self._version = version
        # As they are when the function is decorated: what it changes itself must not change its key.
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
        if key in _computing.get():
            return self._bypass(Reason("recursion", "this call is part of its own answer"))
        return Plan(key, PLAIN, Facts(model=self._name, stream=stream, samples=False), options)

    def _bypass(self, reason: Reason) -> Plan | None:
        self._session.note(Outcome("bypass", reason=reason, dialect=PLAIN.name, model=self._name))
        return None

    async def begin(self, plan: Plan, colour: Colour) -> Hit | Ticket:
        turn = await self._session.engine.begin(plan, colour)
        if isinstance(turn, Hit):
            self._session.note(turn.outcome)
        return turn

    # Single results

    def value(self, hit: Hit) -> Any:
        """Read the result of a hit: a new object each time."""
        return values.read(hit.response.body[len(_BEFORE) : -len(_AFTER)], self._result)

    async def settle(self, ticket: Ticket, result: Any, colour: Colour) -> None:
        """Keep a result, if it can be read back as what it is."""
        try:
            text = values.write(result)
            fits = values.keeps_shape(result, text, self._result)
        except Exception:  # noqa: BLE001 (a result's own code may raise anything)
            fits, text = False, b""
        if fits:
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

    def failed(self, ticket: Ticket, error: BaseException) -> None:
        """Give back the ticket of a call that raised."""
        ticket.outcome.reason = Reason("raised", f"the function raised {type(error).__name__}")
        ticket.release(failed=isinstance(error, Exception))
        self._session.note(ticket.outcome)

    # Items of generators

    def piece(self, item: Any) -> bytes:
        """Write one item. Raises TypeError for an item that could not be read back."""
        text = values.write(item)
        if not values.keeps_shape(item, text, self._result):
            raise TypeError(
                f"{self._name} yields a {type(item).__qualname__} that cannot be kept: yield JSON, "
                "or annotate the function as Iterator[...] of what it yields"
            )
        return write(Event(text.decode()))

    def item(self, piece: bytes) -> Any:
        """Read one item."""
        event = read(piece)
        assert event is not None
        return values.read(event.data.encode(), self._result)

    def items(self, hit: Hit) -> list[Any]:
        """Read all items of a hit."""
        return [
            values.read(event.data.encode(), self._result) for event in events(hit.response.body)
        ]

    def record(self, ticket: Ticket, source: Source, colour: Colour) -> Reader:
        """Record a generator while its caller, and others, read it."""
        reader = ticket.record(source, Response(200, (), b"", streamed=True), colour)
        self._session.note(ticket.outcome)
        return reader
