"""The function surface: functions, generators and coroutines, cached by their arguments.

A cached function is a chain: what it calls inside is called only on a miss, has entries of its own,
and lends the chain its tags.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import suppress
from typing import Any

from askonce.blocking import run
from askonce.colours import TASKS, THREADS
from askonce.policy import Options
from askonce.session import Session
from askonce.streams import GeneratorSource, LoopSource, leave
from askonce.surfaces.kept import Decoration, Function, Kept, Known, computing
from askonce.tickets import Ticket


def cached(
    function: Function, session: Session, options: Options, decoration: Decoration | None = None
) -> Function:
    """Return `function`, answered from the cache when it was called with equal arguments before.

    What a call raises is passed on and never kept. Of a generator its items are kept; what it
    returns at its end is not passed on.
    """
    kept = Kept(function, session, options, decoration or Decoration())
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
            if (ticket := turn.refresh) is not None:
                kept.behind.in_thread([ticket], lambda: _refresh(kept, ticket, arguments, named))
            return turn.result
        try:
            with kept.chain(turn):
                result = function(*arguments, **named)
        except BaseException as error:
            known = run(kept.failed(turn, error))
            if known is None:
                raise
            return known.result
        run(kept.settle(turn, result, THREADS))
        kept.note(turn)
        return result

    return call


def _refresh(kept: Kept, ticket: Ticket, arguments: Any, named: Any) -> None:
    # The caller goes on meanwhile, and may change what it gave.
    if kept.is_same(ticket, arguments, named):
        with kept.chain(ticket):
            result = kept.function(*arguments, **named)
        run(kept.settle(ticket, result, THREADS))


def _coroutine(function: Function, kept: Kept) -> Function:
    async def call(*arguments: Any, **named: Any) -> Any:
        plan = kept.plan(arguments, named)
        if plan is None:
            return await function(*arguments, **named)
        turn = await kept.begin(plan, TASKS)
        if isinstance(turn, Known):
            if (ticket := turn.refresh) is not None:
                kept.behind.in_task([ticket], lambda: _refresh_task(kept, ticket, arguments, named))
            return turn.result
        try:
            result = await _compute(kept, turn, arguments, named)
        except BaseException as error:
            known = await kept.failed(turn, error)
            if known is None:
                raise
            return known.result
        await kept.settle(turn, result, TASKS)
        kept.note(turn)
        return result

    return call


async def _compute(kept: Kept, ticket: Ticket, arguments: Any, named: Any) -> Any:
    token = computing.set((*computing.get(), ticket))
    try:
        with kept.chain(ticket):
            return await kept.function(*arguments, **named)
    finally:
        # A coroutine that is collected is closed in another context, which is not changed.
        with suppress(ValueError):
            computing.reset(token)


async def _refresh_task(kept: Kept, ticket: Ticket, arguments: Any, named: Any) -> None:
    if kept.is_same(ticket, arguments, named):
        result = await _compute(kept, ticket, arguments, named)
        await kept.settle(ticket, result, TASKS)


def _generator(function: Function, kept: Kept) -> Function:
    def call(*arguments: Any, **named: Any) -> Iterator[Any]:
        plan = kept.plan(arguments, named, stream=True)
        if plan is None:
            yield from function(*arguments, **named)
            return
        turn = run(kept.begin(plan, THREADS))
        if isinstance(turn, Known) and turn.reader is None:
            if (ticket := turn.refresh) is not None:
                kept.behind.in_thread([ticket], lambda: _drain(kept, ticket, arguments, named))
            yield from turn.result
            return
        odd: list[Any] = []
        reader = turn.reader if isinstance(turn, Known) else None
        if isinstance(turn, Ticket):
            reader = kept.record(turn, _source(kept, turn, odd, arguments, named), THREADS)
            kept.note(turn)
        assert reader is not None
        try:
            while (piece := run(reader.next())) is not None:
                yield kept.item(piece, odd)
        finally:
            reader.leave()

    return call


def _source(
    kept: Kept, ticket: Ticket, odd: list[Any], arguments: Any, named: Any
) -> GeneratorSource:
    items = kept.function(*arguments, **named)
    with kept.chain(ticket):
        context = contextvars.copy_context()
    chunks = (kept.piece(item, odd) for item in _within(context, items))
    return GeneratorSource(items, chunks)


def _within(context: contextvars.Context, items: Generator[Any, None, None]) -> Iterator[Any]:
    """Go through a generator that runs in a context of its own, the same one for all items."""
    end = object()
    while (item := context.run(next, items, end)) is not end:
        yield item


def _drain(kept: Kept, ticket: Ticket, arguments: Any, named: Any) -> None:
    if kept.is_same(ticket, arguments, named):
        source = _source(kept, ticket, [], arguments, named)
        reader = kept.record(ticket, source, THREADS)
        try:
            while run(reader.next()) is not None:
                pass
        finally:
            reader.leave()


def _async_generator(function: Function, kept: Kept) -> Function:
    async def call(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
        plan = kept.plan(arguments, named, stream=True)
        if plan is None:
            async for item in function(*arguments, **named):
                yield item
            return
        turn = await kept.begin(plan, TASKS)
        if isinstance(turn, Known) and turn.reader is None:
            if (ticket := turn.refresh) is not None:
                kept.behind.in_task([ticket], lambda: _drain_task(kept, ticket, arguments, named))
            for item in turn.result:
                yield item
            return
        odd: list[Any] = []
        reader = turn.reader if isinstance(turn, Known) else None
        if isinstance(turn, Ticket):
            reader = kept.record(turn, _task_source(kept, turn, odd, arguments, named), TASKS)
            kept.note(turn)
        assert reader is not None
        try:
            while (piece := await reader.next()) is not None:
                yield kept.item(piece, odd)
        finally:
            await leave(reader)

    return call


def _task_source(
    kept: Kept, ticket: Ticket, odd: list[Any], arguments: Any, named: Any
) -> LoopSource:
    items = kept.function(*arguments, **named)
    chunks = (kept.piece(item, odd) async for item in items)
    token = computing.set((*computing.get(), ticket))
    # It keeps this context, for all of its items.
    with kept.chain(ticket):
        source = LoopSource(chunks, items.aclose)
    computing.reset(token)
    return source


async def _drain_task(kept: Kept, ticket: Ticket, arguments: Any, named: Any) -> None:
    if kept.is_same(ticket, arguments, named):
        source = _task_source(kept, ticket, [], arguments, named)
        reader = kept.record(ticket, source, TASKS)
        try:
            while await reader.next() is not None:
                pass
        finally:
            await leave(reader)
