"""What a miss costs the caller beside the upstream call: the answer is kept before it is returned.

There is no writer thread; a put is in the file when the call returns. Every call has a request of
its own (4 KB) and an answer of 1.6 KB, kept in memory over a SQLite file as `Cache()` has it. A
transport keeps the answer; a wrapped client keeps in the same transaction the alias that leads to
it. The file lies in the folder for temporary files (TMPDIR).
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import peers
import workload
from askonce import Cache, keys
from askonce.blocking import run
from askonce.colours import TASKS, THREADS
from askonce.engine import Engine
from askonce.model import Reason, Request, Response
from askonce.policy import Options
from askonce.tickets import Ticket
from rows import Budget, Row
from timing import Pace, Subject, Timed, race

REQUEST = workload.REQUESTS["4 KB"]
URL = "https://api.openai.com/v1/chat/completions"
HEADERS = (("content-type", "application/json"), ("host", "api.openai.com"))
RESPONSE = Response(200, workload.ANSWER_HEADERS, workload.ANSWER_JSON)


def measure(pace: Pace) -> Iterator[Row]:
    """Measure puts, blocking and async."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        yield from race(
            "Put of a fresh answer, 4 KB",
            [
                Subject(
                    "askonce: engine.settle, as a transport does",
                    lambda: _settle(folder / "settle.db", alias=False),
                    Budget(most=60),
                ),
                Subject(
                    "askonce: engine.settle with an alias, as a wrapped client does",
                    lambda: _settle(folder / "alias.db", alias=True),
                    Budget(most=60),
                ),
                Subject(
                    "askonce: all of a miss (key, lookups, lease, put)",
                    lambda: _miss(folder / "miss.db"),
                    note="plan and begin before the call, settle after it; the request as bytes",
                ),
                Subject(
                    "askonce: cache.put(answer, **request)",
                    lambda: _cache_put(folder / "put.db"),
                    note="one row, no alias; the answer given as a dict",
                ),
                Subject("DSPy: Cache.put, disk", lambda: _dspy(name)),
                Subject("LiteLLM: Cache.add_cache, local", _litellm, note="in memory alone"),
                Subject("LangChain: SQLiteCache.update", lambda: _langchain(folder)),
            ],
            pace,
        )
        with asyncio.Runner() as runner:
            settle = Subject(
                "askonce: engine.settle with an alias",
                lambda: _settle_in_task(folder / "tasks.db"),
                note="on a thread of the loop's pool, so that the loop goes on; two switches more",
            )
            yield from race("Put of a fresh answer under asyncio, 4 KB", [settle], pace, runner)


def _wire_requests() -> Callable[[], Request]:
    numbers = itertools.count()
    return lambda: Request("POST", URL, HEADERS, _body(next(numbers)))


def _body(number: int) -> bytes:
    return workload.numbered(REQUEST, number).encode()


def _calls() -> Callable[[], Any]:
    numbers = itertools.count()
    return lambda: json.loads(workload.numbered(REQUEST, next(numbers)))


def _begin(engine: Engine, request: Request, options: Options) -> Ticket:
    plan = engine.plan(request, options)
    assert not isinstance(plan, Reason)
    turn = run(engine.begin(plan, THREADS))
    assert isinstance(turn, Ticket)
    return turn


Asked = tuple[Ticket, bytes | None]


def _tickets(path: Path, *, alias: bool) -> Callable[[], Asked]:
    """Return what makes leave to call upstream, each time for another request."""
    engine, requests, options = _cache(path).session.engine, _wire_requests(), Options()

    def fresh() -> Asked:
        request = requests()
        name = keys.digest(request.body.decode()) if alias else None
        return _begin(engine, request, options), name

    return fresh


def _settle(path: Path, *, alias: bool) -> Timed:
    fresh = _tickets(path, alias=alias)

    def settle(asked: Asked) -> None:
        ticket, name = asked
        run(ticket.engine.settle(ticket, RESPONSE, THREADS, alias=name))
        assert ticket.outcome.stored

    return Timed(settle, fresh)


def _settle_in_task(path: Path) -> Timed:
    async def settle(asked: Asked) -> None:
        ticket, name = asked
        await ticket.engine.settle(ticket, RESPONSE, TASKS, alias=name)
        assert ticket.outcome.stored

    return Timed(settle, _tickets(path, alias=True))


def _miss(path: Path) -> Timed:
    engine = _cache(path).session.engine

    def miss(request: Request) -> Ticket:
        ticket = _begin(engine, request, Options())
        run(engine.settle(ticket, RESPONSE, THREADS))
        return ticket

    requests = _wire_requests()

    def proof() -> None:
        assert miss(requests()).outcome.stored

    return Timed(miss, requests, proof)


def _cache_put(path: Path) -> Timed:
    cache, answer, fresh = _cache(path), workload.answer(), _calls()

    def proof() -> None:
        asked = fresh()
        cache.put(answer, **asked)
        assert cache.get(**asked) == answer

    return Timed(lambda asked: cache.put(answer, **asked), fresh, proof)


def _cache(path: Path) -> Cache:
    return Cache(f"sqlite:///{path}")


def _dspy(folder: str) -> Timed:
    cache, answer = peers.dspy_cache(folder), workload.answer()
    return Timed(lambda asked: cache.put(asked, answer), _calls())


def _litellm() -> Timed:
    cache, answer = peers.litellm_cache(), peers.litellm_response()
    return Timed(lambda asked: cache.add_cache(answer, **asked), _calls())


def _langchain(folder: Path) -> Timed:
    _, update = peers.langchain_cache(peers.langchain_sqlite(str(folder / "langchain.db")))
    calls = _calls()
    return Timed(update, lambda: peers.langchain_messages(calls()))
