"""A program that makes calls at a steady pace, and looks at every answer. `chaos.py` starts it.

It calls from threads through the wrapped OpenAI client, or from tasks through `cache.transport`
over httpx2. Six of ten calls ask what was asked before, three ask something new, one carries a tag.

    python bench/callers.py threads|tasks URL UPSTREAM SECONDS RATE FLOOD
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
from openai import OpenAI

from askonce import Cache

CALLERS = 8
"""Threads or tasks that call."""
KNOWN = 300
"""Questions that are asked again and again."""
NEAR = "256KB"
"""Memory of the cache: a third of the known answers, so that the server is asked all the time."""
LARGE = 5 * 10**6
"""Bytes of a large answer."""


@dataclass
class Load:
    """Takes note of every call."""

    seconds: float
    rate: float
    began: float = field(default_factory=time.monotonic)
    taken: list[float] = field(default_factory=list)
    """Seconds that each call took."""
    failed: list[str] = field(default_factory=list)
    """What was raised, or said wrongly."""
    asked: set[str] = field(default_factory=set)

    def times(
        self, number: int, rate: float = 0.0, since: float = 0.0, until: float = 1.0
    ) -> Iterator[float]:
        """Go through the moments at which one caller begins its calls."""
        rate = rate or self.rate / CALLERS
        at = self.seconds * since + number / CALLERS / rate
        while at < self.seconds * until:
            yield self.began + at
            at += 1 / rate

    def note(self, question: str, began: float, said: str | BaseException) -> None:
        """Take note of a call."""
        self.taken.append(time.monotonic() - began)
        self.asked.add(question)
        if isinstance(said, BaseException):
            self.failed.append("".join(traceback.format_exception(said)))
        elif said != answer(question):
            self.failed.append(f"{question!r} was answered {said[:100]!r}")


def chosen(chance: random.Random) -> tuple[str, list[str]]:
    """Choose what to ask, and the tags of the call."""
    kind = chance.random()
    if kind < 0.6:
        return f"known {chance.randrange(KNOWN)}", []
    if kind < 0.9:
        return f"new {chance.getrandbits(64)}", []
    number = chance.randrange(KNOWN // 10)
    return f"tagged {number}", [f"doc:{number}"]


def answer(question: str) -> str:
    """Return the one right answer."""
    return large(question) if question.startswith("large") else f"Answer to: {question}"


def large(question: str) -> str:
    """Return an answer of 5 MB, always the same one to a question, that hardly compresses."""
    return random.Random(question).randbytes(LARGE // 2).hex()


def body(question: str) -> dict[str, Any]:
    """Write a request."""
    messages = [{"role": "user", "content": question}]
    return {"model": "gpt-4o", "temperature": 0, "messages": messages}


# Threads


def from_threads(load: Load, cache: Cache, upstream: str) -> None:
    """Let threads call until the time is over."""
    client = cache.wrap(OpenAI(base_url=f"{upstream}/v1", api_key="k", max_retries=0))
    threads = [
        threading.Thread(target=call_from_thread, args=(load, cache, client, number))
        for number in range(CALLERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()


def call_from_thread(load: Load, cache: Cache, client: OpenAI, number: int) -> None:
    """Ask through a wrapped client, at a steady pace."""
    chance = random.Random(number)
    for due in load.times(number):
        time.sleep(max(0.0, due - time.monotonic()))
        question, tags = chosen(chance)
        began = time.monotonic()
        said: str | BaseException
        try:
            with cache.using(tags=tags):
                answered = client.chat.completions.create(**body(question))
            said = answered.choices[0].message.content or ""
        except Exception as error:
            said = error
        load.note(question, began, said)


# Tasks


async def from_tasks(load: Load, cache: Cache, upstream: str, flood: float) -> None:
    """Let tasks call until the time is over; some of them for large answers."""
    transport = cache.transport(httpx2.AsyncHTTPTransport())
    async with httpx2.AsyncClient(transport=transport, base_url=upstream, timeout=60) as client:
        callers = [call_from_task(load, cache, client, number) for number in range(CALLERS)]
        if flood:
            callers.append(call_for_large(load, cache, client, flood))
        await asyncio.gather(*callers)


async def call_from_task(load: Load, cache: Cache, client: httpx2.AsyncClient, number: int) -> None:
    """Ask through the transport, at a steady pace."""
    chance = random.Random(-1 - number)
    for due in load.times(number):
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await ask(load, cache, client, *chosen(chance))


async def call_for_large(load: Load, cache: Cache, client: httpx2.AsyncClient, rate: float) -> None:
    """Ask for large answers in the middle third of the time, for each of them twice."""
    for number, due in enumerate(load.times(0, rate, 1 / 3, 2 / 3)):
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await ask(load, cache, client, f"large {number // 2}", [])


async def ask(
    load: Load, cache: Cache, client: httpx2.AsyncClient, question: str, tags: list[str]
) -> None:
    """Ask one question through the transport."""
    began = time.monotonic()
    said: str | BaseException
    try:
        with cache.using(tags=tags):
            answered = await client.post("/v1/chat/completions", json=body(question))
        said = answered.raise_for_status().json()["choices"][0]["message"]["content"]
    except Exception as error:
        said = error
    load.note(question, began, said)


def main(kind: str, url: str, upstream: str, *pace: float) -> None:
    """Wait for a line, call, and write down what came of it."""
    seconds, rate, flood = pace
    cache = Cache(url, memory=NEAR)
    print("ready", flush=True)
    sys.stdin.readline()
    load = Load(seconds, rate)
    if kind == "threads":
        from_threads(load, cache, upstream)
    else:
        asyncio.run(from_tasks(load, cache, upstream, flood))
    stats = cache.stats()
    print(
        json.dumps(
            {
                "taken": load.taken,
                "failed": load.failed,
                "asked": sorted(load.asked),
                "openings": stats.store_failures,
                "trouble": stats.trouble,
            }
        )
    )
    cache.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], *map(float, sys.argv[4:]))
