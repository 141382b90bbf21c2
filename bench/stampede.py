"""Many identical calls at once: how many of them reach the provider.

The provider is a local server that holds every answer back until no further call has arrived for
three seconds, so that all calls are in flight together. It counts what arrives.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import peers
import workload
from askonce import Cache
from askonce.testing import FakeUpstream
from rows import ANY, Budget, Row, failure
from timing import Pace

QUIET = 3.0
"""Seconds without a new call after which all have arrived, or wait for others."""
PATIENCE = 120.0
"""Seconds after which a call that has not come back is given up."""
KEY = os.urandom(8).hex()

Ask = Callable[[dict[str, Any]], Any]


def measure(pace: Pace) -> Iterator[Row]:
    """Count the upstream calls of askonce and the peers, from threads and from tasks."""
    crowds = (("threads", _threads, BLOCKING), ("tasks", _tasks, ASYNC))
    for name, crowd, subjects in crowds:
        group = f"{pace.crowd:,} identical calls at once, {name}"
        for what, (prepare, budget) in subjects.items():
            try:
                with FakeUpstream() as upstream:
                    calls, errors, seconds = crowd(
                        prepare(f"{upstream.url}/v1"), upstream, pace.crowd
                    )
            except Exception as error:
                yield failure(group, what, error, budget=budget)
                continue
            note = f"{errors} failed; " if errors else ""
            yield Row(
                group,
                what,
                "calls",
                calls,
                budget=budget,
                note=f"{note}{seconds:.1f} s from first to last",
            )


def _request(about: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"What is {about}?"}]
    return {"model": workload.MODEL, "temperature": 0, "messages": messages}


def _threads(ask: Ask, upstream: FakeUpstream, count: int) -> tuple[int, int, float]:
    ask(_request("a warm-up"))
    upstream.forget()
    gate, errors = threading.Barrier(count + 1), []

    def call() -> None:
        gate.wait()
        try:
            ask(_request("RAG"))
        except Exception as error:
            errors.append(error)

    callers = [threading.Thread(target=call, daemon=True) for _ in range(count)]
    with upstream.held():
        for caller in callers:
            caller.start()
        gate.wait()
        began = time.perf_counter()
        _wait_until_quiet(upstream)
    for caller in callers:
        caller.join(PATIENCE)
    return upstream.calls, len(errors), time.perf_counter() - began


def _tasks(
    ask: Callable[[dict[str, Any]], Awaitable[Any]], upstream: FakeUpstream, count: int
) -> tuple[int, int, float]:
    async def crowd() -> tuple[int, int, float]:
        await ask(_request("a warm-up"))
        upstream.forget()
        with upstream.held():
            began = time.perf_counter()
            calls = [asyncio.ensure_future(ask(_request("RAG"))) for _ in range(count)]
            await asyncio.to_thread(_wait_until_quiet, upstream)
        async with asyncio.timeout(PATIENCE):
            said = await asyncio.gather(*calls, return_exceptions=True)
        errors = sum(isinstance(answer, BaseException) for answer in said)
        return upstream.calls, errors, time.perf_counter() - began

    return asyncio.run(crowd())


def _wait_until_quiet(upstream: FakeUpstream) -> None:
    seen = 0
    upstream.wait_for_calls(1, timeout=PATIENCE)
    while upstream.calls > seen:
        seen = upstream.calls
        time.sleep(QUIET)


# Who is asked


def _askonce(url: str) -> Ask:
    from openai import OpenAI

    client = Cache("memory://").wrap(OpenAI(base_url=url, api_key=KEY, max_retries=0))
    return lambda request: client.chat.completions.create(**request)


def _async_askonce(url: str) -> Ask:
    from openai import AsyncOpenAI

    client = Cache("memory://").wrap(AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0))
    return lambda request: client.chat.completions.create(**request)


def _litellm(url: str) -> Ask:
    complete = peers.litellm_calls()
    return lambda request: complete(
        caching=True, api_base=url, api_key=KEY, custom_llm_provider="openai", **request
    )


def _async_litellm(url: str) -> Ask:
    complete = peers.litellm_calls(asynchronous=True)
    return lambda request: complete(
        caching=True, api_base=url, api_key=KEY, custom_llm_provider="openai", **request
    )


def _langchain(url: str) -> Ask:
    model = peers.langchain_model(base_url=url)
    return lambda request: model.invoke(request["messages"])


def _async_langchain(url: str) -> Ask:
    model = peers.langchain_model(base_url=url)
    return lambda request: model.ainvoke(request["messages"])


ONE = Budget(most=1)

BLOCKING = {
    "askonce: wrapped OpenAI": (_askonce, ONE),
    "LiteLLM: completion, local cache": (_litellm, ANY),
    "LangChain: ChatOpenAI.invoke, InMemoryCache": (_langchain, ANY),
}
ASYNC = {
    "askonce: wrapped AsyncOpenAI": (_async_askonce, ONE),
    "LiteLLM: acompletion, local cache": (_async_litellm, ANY),
    "LangChain: ChatOpenAI.ainvoke, InMemoryCache": (_async_langchain, ANY),
}
