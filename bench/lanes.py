"""The ways through the cache that are fuzzed: its stores, its colours, its transports."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import httpx2

from askonce import Cache
from askonce.surfaces.http import CachingTransport
from askonce.testing import FakeUpstream
from hostile_requests import HOSTS, Sent
from hostile_upstream import Canned, Upstream


@dataclass(frozen=True, slots=True)
class Result:
    """What a caller gets: an answer, or the name of an exception and what came before it."""

    status: int
    content_type: str
    body: bytes
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer as it was recorded: on its own, or as a part of a batch."""

    asked: bool
    """It was asked for as a stream."""
    streamed: bool
    """It came as a stream."""
    stamps: frozenset[bytes]
    labels: str = "{}"
    part: bool = False


@dataclass
class Lane:
    """One way through the cache: its store, its colour, its transport."""

    name: str
    number: int
    cache: Cache
    upstream: Upstream
    hosts: tuple[str, ...]
    plain: Any
    cached: Any
    runner: asyncio.Runner | None = None
    stored: dict[str, Stored] = field(default_factory=dict)
    """What the cache should hold, by the digest of its meaning."""

    def send(self, client: Any, sent: Sent) -> Result:
        if self.runner is None:
            return _blocking(client, sent)
        return self.runner.run(_async(client, sent))


def _blocking(client: httpx2.Client, sent: Sent) -> Result:
    head, pieces = Result(0, "", b""), []
    try:
        response = client.send(request(client, sent), stream=True)
        head = Result(response.status_code, response.headers.get("content-type", ""), b"")
        try:
            pieces.extend(response.iter_bytes())
        finally:
            response.close()
    except Exception as error:
        return _failed(client, replace(head, body=b"".join(pieces)), error)
    return replace(head, body=b"".join(pieces))


async def _async(client: httpx2.AsyncClient, sent: Sent) -> Result:
    head, pieces = Result(0, "", b""), []
    try:
        response = await client.send(request(client, sent), stream=True)
        head = Result(response.status_code, response.headers.get("content-type", ""), b"")
        try:
            async for piece in response.aiter_bytes():
                pieces.append(piece)  # noqa: PERF401 (what came before an error counts)
        finally:
            await response.aclose()
    except Exception as error:
        return _failed(client, replace(head, body=b"".join(pieces)), error)
    return replace(head, body=b"".join(pieces))


def _failed(client: Any, got: Result, error: Exception) -> Result:
    if isinstance(client._transport, CachingTransport) or isinstance(error, httpx2.HTTPError):
        return replace(got, error=type(error).__name__)
    raise error  # a fault of this script


def request(client: Any, sent: Sent) -> httpx2.Request:
    """Make the request of a client."""
    return client.build_request(
        sent.method, sent.url, headers=list(sent.headers), content=sent.body
    )


_WAYS = tuple(product(("memory", "sqlite"), ("canned", "wire"), ("blocking", "async")))


@contextmanager
def lanes(seed: int, folder: str, only: int | None = None) -> Iterator[list[Lane]]:
    """Open every way through the cache, or only one."""
    with ExitStack() as stack:
        numbers = range(len(_WAYS)) if only is None else [only]
        yield [_lane(number, seed, folder, stack) for number in numbers]


def _lane(number: int, seed: int, folder: str, stack: ExitStack) -> Lane:
    store, transport, colour = _WAYS[number]
    upstream = Upstream(seed)
    url = "memory://" if store == "memory" else f"sqlite:///{folder}/answers{number}.db"
    cache = stack.enter_context(Cache(url))
    hosts, inner = HOSTS, Canned(upstream)
    is_async = colour == "async"
    if transport == "wire":
        hosts = (stack.enter_context(FakeUpstream(upstream.script)).url,)
        inner = httpx2.AsyncHTTPTransport() if is_async else httpx2.HTTPTransport()
    kind = httpx2.AsyncClient if is_async else httpx2.Client
    plain, cached = kind(transport=inner), kind(transport=cache.transport(inner))
    runner = stack.enter_context(asyncio.Runner()) if is_async else None
    for client in (plain, cached):
        stack.callback(lambda it=client: runner.run(it.aclose()) if runner else it.close())
    name = f"{store}, {transport}, {colour}"
    return Lane(name, number, cache, upstream, hosts, plain, cached, runner)
