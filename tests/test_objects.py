"""A hit is the object that the SDK builds from the same bytes, and nobody else's to change."""

from __future__ import annotations

import asyncio
import copy
import functools
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from askonce import Cache
from askonce.surfaces.clones import UnclonableError, clone
from askonce.testing.fake_script import Reply, ToolCall

QUESTION = [{"role": "user", "content": "What is RAG?"}]
FUTURE = {"future": {"field": [1, {"deep": None}], "text": "x"}, "later": ["y"]}
RICH = Reply(
    "Yes.",
    reasoning="First.\n\nSecond.",
    tool_calls=(ToolCall("add", '{"a": 1}'), ToolCall("stop")),
    logprobs=(-0.5, -1.25),
    extra=FUTURE,
)

# The answers here hold values of wrong types on purpose; pydantic says so when it writes them.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")


@dataclass(frozen=True)
class Endpoint:
    """One `create` method of one SDK, and a call of it that is cached."""

    sdk: Any
    resource: str
    call: dict[str, Any]
    base: str = ""

    def client(self, url: str, *, colour: str = "", **settings: Any) -> Any:
        name = {"openai": "OpenAI", "anthropic": "Anthropic"}[self.sdk.__name__]
        settings = {"api_key": "secret", "max_retries": 0, **settings}
        return getattr(self.sdk, colour + name)(base_url=url + self.base, **settings)

    def create(self, client: Any, **changes: Any) -> Any:
        resource = functools.reduce(getattr, self.resource.split("."), client)
        return resource.create(**{**self.call, **changes})


CHAT = Endpoint(
    openai,
    "chat.completions",
    {"model": "gpt-4o", "messages": QUESTION, "temperature": 0},
    "/v1",
)
ENDPOINTS = {
    "chat": CHAT,
    "responses": Endpoint(
        openai, "responses", {"model": "gpt-4o", "input": "What is RAG?", "temperature": 0}, "/v1"
    ),
    "completions": Endpoint(
        openai, "completions", {"model": "davinci-002", "prompt": "Hi", "temperature": 0}, "/v1"
    ),
    "messages": Endpoint(
        anthropic,
        "messages",
        {"model": "claude-opus-5", "max_tokens": 100, "messages": QUESTION},
    ),
}
each_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=ENDPOINTS)


@pytest.fixture
def opened() -> Iterator[Callable[[Any], Any]]:
    """Keep clients until the end of the test, and close them."""
    with ExitStack() as stack:
        yield stack.enter_context


def facts(value: Any) -> Any:
    """All that can be seen of a value, and of the models in it, in words that compare exactly."""
    if isinstance(value, BaseModel):
        return (
            type(value),
            sorted(value.model_fields_set),
            [(name, facts(item)) for name, item in value.__dict__.items()],
            facts(value.__pydantic_extra__),
            facts(value.__pydantic_private__),
        )
    if isinstance(value, dict):
        return [(name, facts(item)) for name, item in value.items()]
    if isinstance(value, list):
        return [facts(item) for item in value]
    return (type(value), repr(value))


def assert_same(found: Any, expected: Any) -> None:
    assert found is not expected
    assert facts(found) == facts(expected)
    assert found == expected
    assert repr(found) == repr(expected)
    assert found.model_dump() == expected.model_dump()
    assert found.model_dump(mode="json", exclude_unset=True) == expected.model_dump(
        mode="json", exclude_unset=True
    )
    assert found.to_json() == expected.to_json()
    assert found.to_dict() == expected.to_dict()
    assert found._request_id == expected._request_id


def models_in(value: Any) -> Iterator[BaseModel]:
    """Every model in a tree of models, lists and dicts."""
    if isinstance(value, BaseModel):
        yield value
        inner = [*value.__dict__.values(), *(value.__pydantic_extra__ or {}).values()]
    elif isinstance(value, dict):
        inner = list(value.values())
    else:
        inner = value if isinstance(value, list) else []
    for item in inner:
        yield from models_in(item)


@contextmanager
def requests_built(client: Any) -> Iterator[list[Any]]:
    """Collect the HTTP requests that the SDK builds; the fast path builds none."""
    built: list[Any] = []
    original = client._build_request

    def build(*arguments: Any, **named: Any) -> Any:
        built.append(original(*arguments, **named))
        return built[-1]

    client._build_request = build
    try:
        yield built
    finally:
        del client._build_request


# Equal to what the SDK builds


@each_endpoint
def test_every_hit_equals_what_the_sdk_builds_from_the_same_bytes(
    endpoint, upstream, cache, opened
):
    upstream.script = lambda request: RICH
    plain = opened(endpoint.client(upstream.url))
    resource = functools.reduce(getattr, endpoint.resource.split("."), plain)
    raw = resource.with_raw_response.create(**endpoint.call).http_response
    upstream.script = lambda request: Reply(
        raw=raw.content,
        headers={name: raw.headers[name] for name in raw.headers if name.endswith("request-id")},
    )
    expected = endpoint.create(plain)
    assert expected._request_id
    wrapped = cache.wrap(opened(endpoint.client(upstream.url)))
    upstream.forget()
    assert_same(endpoint.create(wrapped), expected)
    with requests_built(wrapped) as built:
        for _ in range(3):
            assert_same(endpoint.create(wrapped), expected)
    assert not built
    assert upstream.calls == 1


@each_endpoint
def test_unknown_fields_are_kept_on_every_model(endpoint, upstream, cache, opened):
    upstream.script = lambda request: RICH
    wrapped = cache.wrap(opened(endpoint.client(upstream.url)))
    miss, *hits = (endpoint.create(wrapped) for _ in range(3))
    found = list(models_in(miss))
    assert len(found) > 2
    for hit in hits:
        for model, twin in zip(found, models_in(hit), strict=True):
            assert twin.model_extra == model.model_extra
            assert twin.future == FUTURE["future"]
    assert upstream.calls == 1


@pytest.mark.parametrize("name", ["chat", "responses", "messages"])
def test_the_hits_of_async_clients_are_the_same_objects(name, upstream, cache, opened):
    endpoint = ENDPOINTS[name]
    upstream.script = lambda request: RICH
    miss = endpoint.create(cache.wrap(opened(endpoint.client(upstream.url))))

    async def main() -> list[Any]:
        async with endpoint.client(upstream.url, colour="Async") as made:
            wrapped = cache.wrap(made)
            return [await endpoint.create(wrapped) for _ in range(3)]

    for hit in asyncio.run(main()):
        assert_same(hit, miss)
    assert upstream.calls == 1


@each_endpoint
def test_another_process_has_the_fast_path_at_its_first_call(endpoint, upstream, url, opened):
    upstream.script = lambda request: RICH
    with Cache(url, strict=True) as cache:
        miss = endpoint.create(cache.wrap(opened(endpoint.client(upstream.url))))
    with Cache(url, strict=True) as cache:
        wrapped = cache.wrap(opened(endpoint.client(upstream.url)))
        with requests_built(wrapped) as built:
            assert_same(endpoint.create(wrapped), miss)
            assert_same(endpoint.create(wrapped), miss)
        assert not built
    assert upstream.calls == 1


@each_endpoint
def test_the_fast_path_reads_what_was_recorded_as_a_stream(endpoint, upstream, cache, opened):
    wrapped = cache.wrap(opened(endpoint.client(upstream.url)))
    asking = {} if endpoint.resource in ("responses", "messages") else {"include_usage": True}
    list(endpoint.create(wrapped, stream=True, **({"stream_options": asking} if asking else {})))
    first = endpoint.create(wrapped)
    with requests_built(wrapped) as built:
        assert_same(endpoint.create(wrapped), first)
        assert_same(endpoint.create(wrapped), first)
    assert not built
    assert upstream.calls == 1


@each_endpoint
def test_copies_and_pickles_of_a_hit_are_those_of_the_miss(endpoint, upstream, cache, opened):
    upstream.script = lambda request: RICH
    wrapped = cache.wrap(opened(endpoint.client(upstream.url)))
    miss, *hits = (endpoint.create(wrapped) for _ in range(3))
    for hit in hits:
        assert_same(copy.deepcopy(hit), copy.deepcopy(miss))
        assert_same(copy.copy(hit), copy.copy(miss))
        assert_same(hit.model_copy(deep=True), miss.model_copy(deep=True))
        assert_same(pickle.loads(pickle.dumps(hit)), pickle.loads(pickle.dumps(miss)))
        assert type(hit).construct(**hit.to_dict()) == type(miss).construct(**miss.to_dict())


# Nobody else's to change


def spoil(value: Any) -> None:
    """Change everything that can be changed, from the leaves up."""
    if isinstance(value, BaseModel):
        for item in (*value.__dict__.values(), *(value.__pydantic_extra__ or {}).values()):
            spoil(item)
        for name in list(value.__dict__):
            setattr(value, name, "spoilt")
        if value.__pydantic_extra__ is not None:
            value.__pydantic_extra__.clear()
            value.__pydantic_extra__["spoilt"] = True
        if value.__pydantic_private__:
            value.__pydantic_private__.clear()
        value.__pydantic_fields_set__.clear()
        object.__setattr__(value, "_request_id", "spoilt")
    elif isinstance(value, dict):
        for item in value.values():
            spoil(item)
        value.clear()
        value["spoilt"] = True
    elif isinstance(value, list):
        for item in value:
            spoil(item)
        value.append("spoilt")
        value.reverse()


@each_endpoint
def test_no_change_of_an_answer_reaches_a_later_hit(endpoint, upstream, cache, opened):
    upstream.script = lambda request: RICH
    wrapped = cache.wrap(opened(endpoint.client(upstream.url)))
    miss = endpoint.create(wrapped)
    told = facts(miss)
    spoil(miss)
    assert facts(miss) != told
    for _ in range(3):
        hit = endpoint.create(wrapped)
        assert facts(hit) == told
        spoil(hit)
        assert facts(hit) != told
    assert upstream.calls == 1


def test_changing_the_arguments_after_a_call_changes_no_key(upstream, cache, opened):
    wrapped = cache.wrap(opened(CHAT.client(upstream.url)))
    messages = copy.deepcopy(QUESTION)
    CHAT.create(wrapped, messages=messages)
    messages.append({"role": "user", "content": "And in short?"})
    CHAT.create(wrapped, messages=messages)
    assert upstream.calls == 2
    messages.pop()
    CHAT.create(wrapped, messages=messages)
    assert upstream.calls == 2


def test_what_cannot_be_cloned_is_refused():
    with pytest.raises(UnclonableError, match="object"):
        clone({"a": [object()]})


# Any body at all

BODIES = {
    "chat": {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "logprobs": {"content": [{"token": "Yes", "logprob": -0.5, "bytes": [89]}]},
                "message": {
                    "role": "assistant",
                    "content": "Yes.",
                    "refusal": None,
                    "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}],
                    "tool_calls": [
                        {
                            "id": "c",
                            "type": "function",
                            "function": {"name": "f", "arguments": "{}"},
                        }
                    ],
                },
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    },
    "responses": {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-4o",
        "error": None,
        "metadata": {"a": "b"},
        "output": [
            {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm"}]},
            {
                "type": "message",
                "id": "msg",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Yes.", "annotations": []}],
            },
            {
                "type": "function_call",
                "id": "fc",
                "call_id": "c",
                "name": "f",
                "arguments": "{}",
            },
        ],
        "parallel_tool_calls": True,
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    },
    "messages": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5",
        "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "s"},
            {"type": "text", "text": "Yes.", "citations": None},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1, {"b": None}]}},
        ],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1, "cache_creation": {"x": 1}},
    },
}
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "text", "tool_use", "function", "message", "2026-01-01", "ß"])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
    ),
    max_leaves=4,
)
NAMES = st.sampled_from(
    ["type", "content", "text", "id", "usage", "model", "model_dump", "copy", "_request_id", "ß"]
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a body with every key or index in it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [
        place
        for key, item in inner
        for place in [(value, key), *(_places(item) if isinstance(item, dict | list) else [])]
    ]


@st.composite
def mutated(draw: Any, name: str) -> Any:
    """A body with a few members missing, null, of another kind, or new."""
    body = copy.deepcopy(BODIES[name])
    for _ in range(draw(st.integers(0, 4))):
        places = _places(body)
        if not places:
            break
        container, key = draw(st.sampled_from(places))
        change = draw(st.sampled_from(["gone", "null", "other", "new"]))
        if change == "gone":
            del container[key]
        elif change == "null":
            container[key] = None
        elif change == "other" or isinstance(container, list):
            container[key] = draw(ANYTHING)
        else:
            container[draw(NAMES)] = draw(ANYTHING)
    return body


class Canned:
    """Clients of both ways, and an upstream that answers them with the body it is given."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.body = b""
        self.calls = 0
        self.plain = self._client(endpoint)
        self.wrapped = self._client(endpoint)

    def _client(self, endpoint: Endpoint) -> Any:
        http = httpx2.Client(transport=httpx2.MockTransport(self._answer))
        return endpoint.client("http://models.invalid", http_client=http)

    def _answer(self, request: Any) -> Any:
        self.calls += 1
        headers = {"content-type": "application/json", "x-request-id": "r", "request-id": "r"}
        return httpx2.Response(200, headers=headers, content=self.body)


def _attempt(call: Callable[[], Any]) -> Any:
    try:
        return facts(call())
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("name", BODIES)
def test_hits_and_clones_equal_the_built_object_whatever_the_body(name):
    endpoint, canned, kept = ENDPOINTS[name], Canned(ENDPOINTS[name]), []

    @settings(
        max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(mutated(name))
    def check(body: Any) -> None:
        canned.body = json.dumps(body).encode()
        built = _attempt(lambda: endpoint.create(canned.plain))
        with Cache("memory://", strict=True) as cache:
            canned.wrapped.__dict__.pop("request", None)
            wrapped = cache.wrap(Canned.__new__(Canned)) if False else cache.wrap(canned.wrapped)
            canned.calls = 0
            for _ in range(3):
                assert _attempt(lambda: endpoint.create(wrapped)) == built
            kept.append(canned.calls)
        if not isinstance(built, type):
            twin = endpoint.create(canned.plain)
            assert_same(clone(twin), twin)

    check()
    # Both ways were seen: answers that are kept, and answers that are not.
    assert {1, 3} <= set(kept)
