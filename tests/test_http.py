"""The transport: what it answers looks like the real thing, and all else passes untouched."""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import cramjam
import httpx
import httpx2
import pytest
import trio

from askonce import Cache, Policy
from askonce.errors import ConfigError
from askonce.testing import FakeUpstream
from askonce.testing.fake_script import Reply

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
BODY = {
    "model": "gpt-4o",
    "temperature": 0,
    "messages": [{"role": "user", "content": "What is RAG?"}],
}
STREAM = {**BODY, "stream": True}
SAID = {
    "id": "chatcmpl-1",
    "choices": [{"index": 0, "message": {"content": "Ja. 🐋"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
WHOLE = json.dumps(SAID).encode()
FRAMES = (
    b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"Ja. "}}]}\n\n'
    b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"!"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
BROKEN = b'data: {"error":{"message":"overloaded"}}\n\n'
EVENTS = "text/event-stream"


@dataclass(frozen=True)
class Door:
    """One kind of HTTP client, a cache, and an upstream. Every request has a client of its own."""

    http: ModuleType
    is_async: bool
    cache: Cache
    upstream: FakeUpstream

    @property
    def inner(self) -> Any:
        return self.http.AsyncHTTPTransport if self.is_async else self.http.HTTPTransport

    @property
    def client(self) -> Any:
        return self.http.AsyncClient if self.is_async else self.http.Client

    def post(
        self, body: Any = BODY, path: str = CHAT, *, around: Any = None, **request: Any
    ) -> Any:
        """Post through the cache, or through `around(inner)`; read the answer."""
        transport = (around or self.cache.transport)(self.inner())
        return self.send("POST", path, {"transport": transport}, json=body, **request)

    def send(self, method: str, path: str, client: dict[str, Any], **request: Any) -> Any:
        url = path if "://" in path else self.upstream.url + path
        if not self.is_async:
            with self.client(**client) as opened:
                return opened.request(method, url, **request)

        async def main() -> Any:
            async with self.client(**client) as opened:
                return await opened.request(method, url, **request)

        return asyncio.run(main())


KINDS = {
    f"{http.__name__} {colour}".strip(): (http, bool(colour))
    for http in (httpx2, httpx)
    for colour in ("", "async")
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def door(request, cache, upstream) -> Door:
    return Door(*request.param, cache, upstream)


@pytest.fixture
def outcomes(cache) -> Iterator[list[Any]]:
    with cache.recording() as calls:
        yield calls


def straight(inner: Any) -> Any:
    return inner


# What passes


def in_pieces(door: Door) -> Any:
    async def later() -> AsyncIterator[bytes]:
        yield json.dumps(BODY).encode()

    return later() if door.is_async else iter([json.dumps(BODY).encode()])


GEMINI = "/v1beta/models/gemini-2.5-flash"
ASKED = {"contents": [], "generationConfig": {"temperature": 0}}


PASSING = [
    ("endpoint", "GET", "/v1/models", {}),
    ("endpoint", "POST", "/v1/messages/count_tokens", {"json": {}}),
    ("endpoint", "POST", "/v1/unheard/of", {"json": BODY}),
    ("body", "POST", CHAT, {"content": in_pieces}),
    ("ambiguous", "POST", CHAT, {"content": b"not JSON"}),
    ("too_large", "POST", CHAT, {"content": b" " * 2**25 + b"{} "}),
    ("sampled", "POST", CHAT, {"json": {**BODY, "temperature": 1}}),
    ("form", "POST", f"{GEMINI}:streamGenerateContent", {"json": ASKED}),
    ("form", "POST", f"{GEMINI}:generateContent?alt=proto", {"json": ASKED}),
]


@pytest.mark.parametrize("call", PASSING, ids=[f"{code}-{path}" for code, _, path, _ in PASSING])
def test_what_is_not_for_the_cache_passes_and_says_why(door, outcomes, call):
    code, method, path, given = call
    statuses = set()
    for around in (door.cache.transport, door.cache.transport, straight):
        body = {name: item(door) if callable(item) else item for name, item in given.items()}
        answer = door.send(method, path, {"transport": around(door.inner())}, **body)
        assert "cache-status" not in answer.headers
        statuses.add(answer.status_code)
    assert len(statuses) == 1
    assert door.upstream.calls == 3
    assert [(outcome.kind, outcome.reason.code) for outcome in outcomes] == [("bypass", code)] * 2
    assert not list(door.cache.entries())


# These move from call to call, and the last says how one connection frames the body.
MOVING = {
    *("date", "x-request-id", "openai-processing-ms", "set-cookie"),
    *("x-ratelimit-remaining-requests", "transfer-encoding"),
}


def attempt(door: Door, body: Any, around: Any) -> tuple[Any, ...]:
    """Send a request, and tell all that its caller sees: the answer, or what was raised."""
    try:
        answer = door.post(body, around=around)
    except Exception as error:
        return type(error), str(error)
    headers = {name: value for name, value in answer.headers.items() if name not in MOVING}
    return answer.status_code, answer.reason_phrase, headers, answer.content


@pytest.mark.parametrize(
    ("reply", "body", "code"),
    [
        (Reply(status=429, error="slow down"), BODY, "status"),
        (Reply(status=500, error="oops"), STREAM, "status"),
        (Reply(status=0), BODY, "failed"),
        (Reply("Half.", cut_after=0), BODY, "failed"),
        (Reply("One two three.", cut_after=2), STREAM, "incomplete"),
        (Reply(raw=(FRAMES[:80],), content_type=EVENTS), STREAM, "incomplete"),
        (Reply(raw=(FRAMES[:-1],), content_type=EVENTS), STREAM, "incomplete"),
        (Reply(raw=(FRAMES[:80], BROKEN), content_type=EVENTS), STREAM, "incomplete"),
        (Reply(raw=b"{"), BODY, "incomplete"),
        *((Reply(raw=WHOLE, status=status), BODY, "status") for status in (202, 203, 206, 226)),
        (Reply(raw=(FRAMES,), content_type=EVENTS, status=206), STREAM, "status"),
    ],
)
def test_errors_pass_untouched_and_are_never_stored(door, outcomes, reply, body, code):
    door.upstream.script = lambda request: reply
    assert attempt(door, body, door.cache.transport) == attempt(door, body, straight)
    assert [(outcome.kind, outcome.reason.code) for outcome in outcomes] == [("miss", code)]
    assert not list(door.cache.entries())
    door.upstream.script = None
    assert door.post(body).status_code == 200
    assert door.post(body).headers["cache-status"] == "askonce; hit"
    assert door.upstream.calls == 3


def test_a_gateway_that_answers_201_is_cached(door):
    door.upstream.script = lambda request: Reply(raw=WHOLE, status=201)
    answers = [door.post(), door.post()]
    assert [(answer.status_code, answer.content) for answer in answers] == [(201, WHOLE)] * 2
    assert door.upstream.calls == 1


def test_a_stream_that_repeats_its_callers_labels_is_given_out_as_it_came(door):
    output = [{"type": "message", "content": [{"type": "output_text", "text": "Ja."}]}]
    said = {"id": "r", "status": "completed", "user": "alice", "output": output}
    told = {"type": "response.completed", "response": said}
    raw = (
        b"event: response.completed\r\ndata: "
        + json.dumps(told, indent=1).replace("\n", "\r\ndata: ").encode()
        + b"\r\n\r\n"
    )
    door.upstream.script = lambda request: Reply(raw=(raw,), content_type=EVENTS)
    body = {"model": "gpt-4o", "temperature": 0, "input": "Why?", "stream": True}
    assert door.post({**body, "user": "alice"}, "/v1/responses").content == raw
    assert b'"user":"bob"' in door.post({**body, "user": "bob"}, "/v1/responses").content
    assert door.upstream.calls == 1


@pytest.mark.parametrize("status", [200, 201, 202, 206])
def test_a_part_of_a_batch_is_kept_of_an_answer_only(door, status):
    one, many = [1.0], {"input": ["a", "b"], "model": "text-embedding-3-small"}
    listed = [{"object": "embedding", "index": place, "embedding": one} for place in (0, 1)]
    said = {"object": "list", "data": listed, "model": "m", "usage": {"prompt_tokens": 2}}
    door.upstream.script = lambda request: Reply(raw=json.dumps(said).encode(), status=status)
    for _ in range(2):
        assert len(door.post(many, EMBEDDINGS).json()["data"]) == 2
    assert door.upstream.calls == (1 if status < 202 else 2)


def test_timeouts_and_refused_connections_pass_untouched(door, outcomes):
    with door.upstream.held(), pytest.raises(door.http.ReadTimeout):
        door.post(timeout=0.05)
    with door.upstream.held(after_frames=1), pytest.raises(door.http.ReadTimeout):
        door.post(STREAM, timeout=0.05)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port
        with pytest.raises(door.http.ConnectError):
            door.post(BODY, f"http://127.0.0.1:{taken.getsockname()[1]}{CHAT}")
    assert [outcome.reason.code for outcome in outcomes] == ["failed", "incomplete", "failed"]
    assert len(door.cache.session.engine.flights) == 0
    assert not list(door.cache.entries())
    assert door.post().status_code == 200
    assert door.upstream.calls == 3


@pytest.mark.parametrize("http", [httpx2, httpx])
def test_a_stream_that_is_left_is_closed_upstream_and_never_stored(http, upstream, cache, outcomes):
    async def leave() -> None:
        transport = cache.transport(http.AsyncHTTPTransport())
        async with (
            http.AsyncClient(transport=transport) as client,
            client.stream("POST", upstream.url + CHAT, json=STREAM) as answer,
        ):
            await anext(answer.aiter_bytes())

    with (
        upstream.held(after_frames=1),
        http.Client(transport=cache.transport(http.HTTPTransport())) as client,
    ):
        with client.stream("POST", upstream.url + CHAT, json=STREAM) as answer:
            next(answer.iter_bytes())
        asyncio.run(leave())
    upstream.wait_until_idle()
    assert upstream.abandoned == 2
    assert [str(outcome.reason) for outcome in outcomes] == [
        "incomplete: the stream was left before it came to its end"
    ] * 2
    assert not list(cache.entries())


@pytest.mark.parametrize("http", [httpx2, httpx])
def test_another_async_library_than_asyncio_passes_uncached(http, upstream, cache, outcomes):
    async def main() -> None:
        transport = cache.transport(http.AsyncHTTPTransport())
        async with http.AsyncClient(transport=transport) as client:
            for _ in range(2):
                assert (await client.post(upstream.url + CHAT, json=BODY)).status_code == 200

    trio.run(main)
    assert upstream.calls == 2
    assert [(outcome.kind, outcome.reason.code) for outcome in outcomes] == [("bypass", "loop")] * 2


# What a replayed answer looks like


def test_a_hit_says_so_and_how_old_it_is(door):
    now = [1_000.0]
    with Cache("memory://", clock=lambda: now[0]) as cache:
        missed = door.post(around=cache.transport)
        now[0] += 90.5
        hit = door.post(around=cache.transport)
        streamed = door.post(STREAM, around=cache.transport)
    assert door.upstream.calls == 1
    assert "cache-status" not in missed.headers
    assert "age" not in missed.headers
    for answer in (hit, streamed):
        assert answer.headers["cache-status"] == "askonce; hit"
        assert answer.headers["age"] == "90"
        assert answer.headers["x-request-id"] == missed.headers["x-request-id"]
    for answer in (missed, hit, streamed):
        assert int(answer.headers["content-length"]) == len(answer.content)
    assert hit.content == missed.content
    assert hit.headers["content-type"] == "application/json"
    assert streamed.headers["content-type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize("http", [httpx2, httpx])
def test_a_client_has_its_request_its_elapsed_time_and_its_hooks(http, upstream, cache):
    seen = []
    with http.Client(
        transport=cache.transport(http.HTTPTransport()),
        event_hooks={"response": [seen.append], "request": [seen.append]},
    ) as client:
        for body in (BODY, BODY, STREAM, STREAM):
            answer = client.post(upstream.url + CHAT, json=body)
            assert answer.elapsed.total_seconds() > 0
            assert json.loads(answer.request.content) == body
            assert answer.http_version == "HTTP/1.1"
            assert answer.is_closed
    assert len(seen) == 8
    assert upstream.calls == 1


PACKED = {
    "gzip": gzip.compress,
    "br": lambda data: bytes(cramjam.brotli.compress(data)),
    "zstd": lambda data: bytes(cramjam.zstd.compress(data)),
}


@pytest.mark.parametrize("encoding", PACKED)
def test_encoded_answers_are_stored_decoded_and_replayed_as_they_read(door, encoding):
    def script(request: Any) -> Reply:
        headers = {"content-encoding": encoding}
        if not request.json.get("stream"):
            return Reply(raw=PACKED[encoding](WHOLE), headers=headers)
        packed = PACKED[encoding](FRAMES)
        return Reply(raw=(packed[:20], packed[20:]), content_type=EVENTS, headers=headers)

    door.upstream.script = script
    for body, expected in ((BODY, WHOLE), ({**STREAM, "seed": 1}, FRAMES)):
        missed, hit = door.post(body), door.post(body)
        assert missed.content == hit.content == expected
        assert hit.headers["cache-status"] == "askonce; hit"
        assert "content-encoding" not in {*missed.headers, *hit.headers}
    assert door.upstream.calls == 2
    assert {entry.body for _, entry in door.cache.entries()} == {WHOLE, FRAMES}


def test_headers_of_one_connection_or_account_are_not_replayed(door):
    headers = {"keep-alive": "timeout=5", "connection": "keep-alive", "x-account": "a"}
    door.upstream.script = lambda request: Reply("Yes.", headers=headers)
    missed, hit = door.post(), door.post()
    assert missed.headers["x-account"] == "a"
    assert missed.cookies
    assert not hit.cookies
    kept = {"content-type", "content-length", "x-request-id", "openai-version"}
    assert set(hit.headers) == kept | {"cache-status", "age"}


# How it stands in a client


def test_mounts_and_proxies_are_cached_where_they_are_given_a_transport(door):
    cached = door.cache.transport
    for _ in range(2):
        mounts = {"http://": cached(door.inner(proxy=door.upstream.url))}
        answer = door.send("POST", f"http://models.invalid{CHAT}", {"mounts": mounts}, json=BODY)
        assert answer.status_code == 200
    assert door.upstream.calls == 1
    for _ in range(2):
        mounts = {"all://other.invalid": cached(door.inner())}
        door.send("POST", CHAT, {"mounts": mounts}, json=BODY)
    assert door.upstream.calls == 3


@pytest.mark.parametrize("http", [httpx2, httpx])
def test_closing_a_client_closes_the_inner_transport(http, cache):
    log = []

    class Blocking(http.BaseTransport):
        def close(self) -> None:
            log.append("close")

    class Async(http.AsyncBaseTransport):
        async def aclose(self) -> None:
            log.append("aclose")

    async def main() -> None:
        async with http.AsyncClient(transport=cache.transport(Async())):
            pass
        await http.AsyncClient(transport=cache.transport(Async())).aclose()

    with http.Client(transport=cache.transport(Blocking())):
        pass
    http.Client(transport=cache.transport(Blocking())).close()
    asyncio.run(main())
    assert log == ["close", "close", "aclose", "aclose"]


@pytest.mark.parametrize("wrong", [httpx2.Client, httpx.AsyncClient, type(None)])
def test_what_is_no_transport_is_refused_with_the_fix(wrong, cache):
    with pytest.raises(ConfigError, match=r"Client\(transport=cache.transport"):
        cache.transport(wrong())


def test_a_transport_around_a_transport_of_the_same_cache_is_one_cache(door, outcomes):
    def twice(inner: Any) -> Any:
        return door.cache.transport(door.cache.transport(inner))

    batch = {"model": "text-embedding-3-small", "input": ["one", "two"]}
    for _ in range(2):
        door.post(around=twice)
        door.post(batch, EMBEDDINGS, around=twice)
    assert door.upstream.calls == 2
    assert [outcome.kind for outcome in outcomes] == ["miss", "miss", "hit", "hit"]


def test_two_caches_around_one_transport_keep_their_own_entries(door):
    with Cache("memory://") as other:

        def both(inner: Any) -> Any:
            return door.cache.transport(other.transport(inner))

        for around in (door.cache.transport, other.transport) * 2:
            door.post(around=around)
        assert door.upstream.calls == 2
        door.cache.forget(*[key for key, _ in door.cache.entries()])
        for _ in range(2):
            assert door.post(around=both).headers.get_list("cache-status") == ["askonce; hit"]
        assert len(list(door.cache.entries())) == 1
    assert door.upstream.calls == 2


def test_a_batch_asks_only_for_what_is_missing(door, outcomes):
    def embed(*inputs: str) -> Any:
        body = {"model": "text-embedding-3-small", "input": list(inputs)}
        return door.post(body, EMBEDDINGS)

    first, second = embed("one", "two").json(), embed("three", "one").json()
    assert door.upstream.requests[-1].json["input"] == ["three"]
    assert second["data"][1]["embedding"] == first["data"][0]["embedding"]
    assert embed("one", "two", "three").headers["cache-status"] == "askonce; hit"
    door.upstream.script = lambda request: Reply(status=500, error="oops")
    assert embed("one", "four").status_code == 500
    assert door.upstream.calls == 3
    told = [(outcome.kind, outcome.reason and outcome.reason.code) for outcome in outcomes]
    assert told == [("miss", None), ("miss", None), ("hit", None), ("miss", "status")]


def test_the_settings_of_a_transport_and_of_a_block_hold(door, outcomes):
    cache = door.cache
    door.post()
    door.post(around=functools.partial(cache.transport, policy=Policy(enabled=False)))
    with cache.using(bypass=True):
        door.post()
    with cache.using(refresh=True):
        door.post()
    door.post(around=functools.partial(cache.transport, tags=["doc:42"]))
    told = [outcome.reason and outcome.reason.code for outcome in outcomes]
    assert told == [None, "policy", "asked", None, None]
    assert door.upstream.calls == 5
