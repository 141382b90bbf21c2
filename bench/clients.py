"""A hit as the user writes it: `chat.completions.create` of the wrapped official client.

Nothing here touches a network: the clients' transports are canned, and count how often they are
asked. A hit through the wrapped client must not reach them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2

import peers
import workload
from askonce import Cache
from rows import ANY, Budget, Row
from timing import Pace, Subject, Timed, race

BUDGETS = {"4 KB": Budget(most=25), "60 KB": Budget(most=45)}
LITELLM = {"4 KB": Budget(at_least_times=40)}
CANNED = {"4 KB": Budget(at_least_times=50)}
SIZES = ("4 KB", "60 KB", "4 KB, with floats", "60 KB, not ASCII")
NEVER = "this answer must not be seen"


class Canned(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A transport that has the answer at once, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.calls += 1
        request.read()
        return self._answer()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.calls += 1
        await request.aread()
        return self._answer()

    def _answer(self) -> httpx2.Response:
        text = bytes(memoryview(workload.ANSWER_JSON))  # a copy of its own, as from a socket
        return httpx2.Response(200, headers=workload.ANSWER_HEADERS, content=text)


def measure(pace: Pace) -> Iterator[Row]:
    """Measure hits of blocking and async clients."""
    for size in SIZES:
        request = workload.REQUESTS[size]
        subjects = [
            Subject(
                "askonce: wrapped OpenAI", lambda r=request: _wrapped(r), BUDGETS.get(size, ANY)
            ),
            Subject(
                "LangChain: ChatOpenAI.invoke, InMemoryCache",
                lambda r=request: _langchain(r),
                note="message objects made outside the timing",
            ),
            Subject(
                "LiteLLM: completion, local cache",
                lambda r=request: _litellm(r),
                LITELLM.get(size, ANY),
                "half of its work is a thread's, which holds up some later call",
                ratio_of="mean",
            ),
            Subject(
                "OpenAI over a canned transport",
                lambda r=request: _canned(r),
                CANNED.get(size, ANY),
            ),
        ]
        yield from race(f"Hit through the client, {size}", subjects, pace)
    with asyncio.Runner() as runner:
        for size in ("4 KB", "60 KB"):
            yield from _async(size, pace, runner)


def _async(size: str, pace: Pace, runner: asyncio.Runner) -> Iterator[Row]:
    request = workload.REQUESTS[size]
    subjects = [
        Subject("askonce: wrapped AsyncOpenAI", lambda: _async_wrapped(request, runner)),
        Subject(
            "LangChain: ChatOpenAI.ainvoke, InMemoryCache",
            lambda: _async_langchain(request, runner),
        ),
        Subject("LiteLLM: acompletion, local cache", lambda: _async_litellm(request, runner)),
        Subject("AsyncOpenAI over a canned transport", lambda: _async_canned(request)),
    ]
    yield from race(f"Hit through the async client, {size}", subjects, pace, runner)


def _fresh(request: str) -> Any:
    return lambda: json.loads(request)


def openai(transport: Canned) -> Any:
    from openai import OpenAI

    return OpenAI(http_client=httpx2.Client(transport=transport), max_retries=0)


def async_openai(transport: Canned) -> Any:
    from openai import AsyncOpenAI

    return AsyncOpenAI(http_client=httpx2.AsyncClient(transport=transport), max_retries=0)


def _wrapped(request: str) -> Timed:
    transport, cache = Canned(), Cache("memory://")
    client = cache.wrap(openai(transport))
    create, fresh = client.chat.completions.create, _fresh(request)
    missed = create(**fresh())

    def proof() -> None:
        assert create(**fresh()).to_json() == missed.to_json()
        assert transport.calls == cache.stats().miss == 1

    return Timed(lambda asked: create(**asked), fresh, proof)


def _async_wrapped(request: str, runner: asyncio.Runner) -> Timed:
    transport, cache = Canned(), Cache("memory://")
    client = cache.wrap(async_openai(transport))
    create, fresh = client.chat.completions.create, _fresh(request)
    missed = runner.run(create(**fresh()))

    def proof() -> None:
        assert runner.run(create(**fresh())).to_json() == missed.to_json()
        assert transport.calls == cache.stats().miss == 1

    return Timed(lambda asked: create(**asked), fresh, proof)


def _canned(request: str) -> Timed:
    create = openai(Canned()).chat.completions.create
    return Timed(lambda asked: create(**asked), _fresh(request))


def _async_canned(request: str) -> Timed:
    create = async_openai(Canned()).chat.completions.create
    return Timed(lambda asked: create(**asked), _fresh(request))


def _litellm(request: str) -> Timed:
    complete, fresh = peers.litellm_calls(), _fresh(request)
    complete(caching=True, mock_response=workload.ANSWER_TEXT, **fresh())
    peers.litellm_settled()

    def hit(asked: dict[str, Any]) -> Any:
        return complete(caching=True, mock_response=NEVER, **asked)

    def proof() -> None:
        assert hit(fresh()).choices[0].message.content == workload.ANSWER_TEXT

    return Timed(hit, fresh, proof)


def _async_litellm(request: str, runner: asyncio.Runner) -> Timed:
    complete, fresh = peers.litellm_calls(asynchronous=True), _fresh(request)

    async def fill() -> None:
        await complete(caching=True, mock_response=workload.ANSWER_TEXT, **fresh())
        await asyncio.sleep(0.5)  # it keeps the answer in a task of its own

    runner.run(fill())

    def hit(asked: dict[str, Any]) -> Any:
        return complete(caching=True, mock_response=NEVER, **asked)

    def proof() -> None:
        assert runner.run(hit(fresh())).choices[0].message.content == workload.ANSWER_TEXT

    return Timed(hit, fresh, proof)


def _langchain(request: str) -> Timed:
    transport = Canned()
    model = peers.langchain_model(http_client=httpx2.Client(transport=transport))
    fresh = lambda: peers.langchain_messages(json.loads(request))  # noqa: E731 (as the others' fresh)
    model.invoke(fresh())

    def proof() -> None:
        assert model.invoke(fresh()).content == workload.ANSWER_TEXT
        assert transport.calls == 1

    return Timed(model.invoke, fresh, proof)


def _async_langchain(request: str, runner: asyncio.Runner) -> Timed:
    transport = Canned()
    model = peers.langchain_model(http_async_client=httpx2.AsyncClient(transport=transport))
    fresh = lambda: peers.langchain_messages(json.loads(request))  # noqa: E731 (as the others' fresh)
    runner.run(model.ainvoke(fresh()))

    def proof() -> None:
        assert runner.run(model.ainvoke(fresh())).content == workload.ANSWER_TEXT
        assert transport.calls == 1

    return Timed(model.ainvoke, fresh, proof)
