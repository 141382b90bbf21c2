"""Keys: what must differ, what must be equal, and what has no key at all."""

from __future__ import annotations

import asyncio
import base64
import datetime
import inspect
import json
import math
import random
from collections import OrderedDict
from decimal import Decimal

import anthropic
import httpx
import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import NOT_GIVEN, AsyncOpenAI, AzureOpenAI, OpenAI, omit
from pydantic import BaseModel

from askonce import Ambiguous, Cache, Models, Policy, keys, plans
from askonce.model import Reason, Request
from askonce.policy import Options
from askonce.testing.fake_script import Reply

ANYTHING = Policy(sampled=True, effects=True)
MODELS = Models.shipped().extended(stands_for={"ours": "gpt-4o", "theirs": "gpt-4.1"})
CHAT = "https://api.openai.com/v1/chat/completions"
QUESTION = [{"role": "user", "content": "What is RAG?"}]
BASE = {"model": "gpt-4o", "messages": QUESTION, "temperature": 0}

settings.register_profile("keys", derandomize=True, deadline=None, max_examples=200)
settings.load_profile("keys")


def plan(*, url=CHAT, headers=(), raw=None, method="POST", tenant="", left_out=(), **changes):
    """Plan a chat call that differs from the base in what is given."""
    body = {name: value for name, value in {**BASE, **changes}.items() if name not in left_out}
    encoded = json.dumps(body).encode() if raw is None else raw
    options = Options(policy=ANYTHING, tenant=tenant)
    return plans.make(Request(method, url, tuple(headers), encoded), options, MODELS)


def key(**changes):
    found = plan(**changes)
    assert not isinstance(found, Reason), found
    return found.key


def said(*turns):
    return [{"role": role, "content": content} for role, content in turns]


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


def tool(name, **properties):
    schema = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def schema(**properties):
    named = {"name": "City", "schema": {"type": "object", "properties": properties}}
    return {"type": "json_schema", "json_schema": named}


def image(url, **more):
    return {"type": "image_url", "image_url": {"url": url, **more}}


def data_url(content):
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


TEXT, NUMBER = {"type": "string"}, {"type": "number"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(2000)
ORG = "openai-organization"


def row(name, left, right):
    return pytest.param(left, right, id=name)


MUST_DIFFER = [
    row("an unknown field", {}, {"released_next_year": False}),
    row("an unknown field's value", {"later": 1}, {"later": 2}),
    row("null and left out", {}, {"seed": None}),
    row("guided_json", {}, {"guided_json": {"type": "object"}}),
    row("guided_json's content", {"guided_json": {"a": 1}}, {"guided_json": {"a": 2}}),
    row("num_ctx", {"options": {"num_ctx": 2048}}, {"options": {"num_ctx": 4096}}),
    row("safety_settings", {}, {"safety_settings": [{"threshold": "BLOCK_NONE"}]}),
    row("model", {}, {"model": "gpt-4.1"}),
    row("n", {"n": 1}, {"n": 2}),
    row("seed", {"seed": 1}, {"seed": 2}),
    row("logit_bias", {"logit_bias": {"50256": -100}}, {"logit_bias": {"50256": 100}}),
    row("frequency_penalty", {}, {"frequency_penalty": 0.5}),
    row("presence_penalty", {"presence_penalty": 0.5}, {"presence_penalty": 0.25}),
    row("max_tokens", {"max_tokens": 10}, {"max_tokens": 11}),
    row("max_completion_tokens", {}, {"max_completion_tokens": 10}),
    row("both limits' names", {"max_tokens": 10}, {"max_completion_tokens": 10}),
    row("logprobs", {"logprobs": True}, {"logprobs": False}),
    row("top_logprobs", {"top_logprobs": 1}, {"top_logprobs": 2}),
    row("parallel_tool_calls", {}, {"parallel_tool_calls": False}),
    row("reasoning_effort", {"reasoning_effort": "low"}, {"reasoning_effort": "high"}),
    row("temperature", {}, {"temperature": 1e-9}),
    row("top_p", {"top_p": 0.9}, {"top_p": 0.95}),
    row("stop", {"stop": "a"}, {"stop": ["a"]}),
    row("tool order", {"tools": [tool("f"), tool("g")]}, {"tools": [tool("g"), tool("f")]}),
    row("tool schema", {"tools": [tool("f", x=TEXT)]}, {"tools": [tool("f", x=NUMBER)]}),
    row("tool choice", {"tool_choice": "auto"}, {"tool_choice": "required"}),
    row("schema", {"response_format": schema(a=TEXT)}, {"response_format": schema(b=TEXT)}),
    row(
        "image bytes",
        {"messages": user(image(data_url(PNG)))},
        {"messages": user(image(data_url(PNG[:-1] + b"\1")))},
    ),
    row("image url", {"messages": user(image("u/1"))}, {"messages": user(image("u/2"))}),
    row(
        "image detail",
        {"messages": user(image("u", detail="low"))},
        {"messages": user(image("u", detail="high"))},
    ),
    row("role", {"messages": said(("user", "x"))}, {"messages": said(("system", "x"))}),
    row("name", {}, {"messages": [{**QUESTION[0], "name": "ann"}]}),
    row(
        "system prompt",
        {"messages": said(("system", "Be brief."), ("user", "x"))},
        {"messages": said(("system", "Be kind."), ("user", "x"))},
    ),
    row(
        "history",
        {"messages": said(("user", "a"), ("assistant", "b"), ("user", "x"))},
        {"messages": said(("user", "a"), ("assistant", "c"), ("user", "x"))},
    ),
    row("a turn more", {"messages": said(("user", "x"), ("user", "x"))}, {"messages": QUESTION}),
    row(
        "where a turn ends",
        {"messages": said(("user", "ab"), ("user", "c"))},
        {"messages": said(("user", "a"), ("user", "bc"))},
    ),
    row("text and a part", {}, {"messages": user({"type": "text", "text": "What is RAG?"})}),
    row(
        "case",
        {"messages": said(("user", "Polish"))},
        {"messages": said(("user", "polish"))},
    ),
    row("white space", {"messages": said(("user", "x"))}, {"messages": said(("user", "x "))}),
    row(
        "composed and decomposed",
        {"messages": said(("user", "\u00e9"))},
        {"messages": said(("user", "e\u0301"))},
    ),
    row("text and number", {"stop": "1"}, {"stop": 1}),
    row("text and truth", {"stop": "true"}, {"stop": True}),
    row("truth and number", {"x": True}, {"x": 1}),
    row("falsehood and zero", {"x": False}, {"x": 0}),
    row("falsehood and null", {"x": False}, {"x": None}),
    row("text and null", {"x": "null"}, {"x": None}),
    row("empty text and null", {"x": ""}, {"x": None}),
    row("empty list and empty object", {"x": []}, {"x": {}}),
    row("neighbours beyond 2^53", {"seed": 2**53}, {"seed": 2**53 + 1}),
    row("the last bit of a float", {"top_p": 0.1}, {"top_p": math.nextafter(0.1, 1)}),
    row("scheme", {}, {"url": CHAT.replace("https", "http")}),
    row("host", {}, {"url": CHAT.replace("api.", "eu.api.")}),
    row("port", {}, {"url": CHAT.replace(".com", ".com:8443")}),
    row("base path", {}, {"url": CHAT.replace("/v1", "/v2")}),
    row("case of the path", {}, {"url": CHAT.replace("/v1", "/V1")}),
    row("endpoint", {"prompt": "x"}, {"prompt": "x", "url": CHAT.replace("/chat", "")}),
    row("api version", {"url": f"{CHAT}?api-version=1"}, {"url": f"{CHAT}?api-version=2"}),
    row("unknown parameter", {}, {"url": f"{CHAT}?beta=true"}),
    row("order of one parameter", {"url": f"{CHAT}?a=1&a=2"}, {"url": f"{CHAT}?a=2&a=1"}),
    row("organisation", {"headers": [(ORG, "a")]}, {"headers": [(ORG, "b")]}),
    row("openai-beta", {}, {"headers": [("openai-beta", "assistants=v2")]}),
    row("anthropic-beta", {}, {"headers": [("anthropic-beta", "context-1m")]}),
    row("unknown header", {}, {"headers": [("x-region", "eu")]}),
    row("order of one header", {"headers": [("b", "1"), ("b", "2")]}, {"headers": [("b", "2"), ("b", "1")]}),
    row("charset", {}, {"headers": [("content-type", "application/json; charset=latin-1")]}),
    row("content type", {}, {"headers": [("content-type", "text/plain")]}),
    row("content encoding", {}, {"headers": [("content-encoding", "gzip")]}),
    row("tenant", {"tenant": "acme"}, {"tenant": "emca"}),
    row("a tenant and none", {}, {"tenant": "acme"}),
    row("what a name stands for", {"model": "ours"}, {"model": "theirs"}),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), MUST_DIFFER)
def test_what_may_change_the_answer_changes_the_key(left, right):
    assert key(**left) != key(**right)
    assert key(**left) == key(**left)


def spelt(text):
    return {"raw": text.encode()}


WRITTEN = '{"model":"m","messages":[{"role":"user","content":"A/B é"}],"temperature":0,"x":[1,{"a":2,"b":100}]}'  # fmt: skip

MUST_BE_EQUAL = [
    row("order of fields", {"a": 1, "b": 2}, {"b": 2, "a": 1}),
    row("order in a map", {"x": [{"a": 1, "b": {"c": 1, "d": 2}}]},
        {"x": [{"b": {"d": 2, "c": 1}, "a": 1}]}),
    row("order in a tool's schema", {"tools": [tool("f", x=TEXT, y=NUMBER)]},
        {"tools": [tool("f", y=NUMBER, x=TEXT)]}),
    row("0 and 0.0", {"temperature": 0}, {"temperature": 0.0}),
    row("0 and -0.0", {"temperature": 0}, {"temperature": -0.0}),
    row("1 and 1.0, far down", {"x": [{"y": [1]}]}, {"x": [{"y": [1.0]}]}),
    row("stream on and off", {"stream": True}, {"stream": False}),
    row("stream and none", {"stream": True}, {}),
    row("stream and null", {"stream": None}, {}),
    row("stream_options", {"stream": True, "stream_options": {"include_usage": True}}, {}),
    row("user", {"user": "a"}, {"user": "b"}),
    row("metadata", {"metadata": {"a": "b"}}, {}),
    row("safety_identifier", {"safety_identifier": "a"}, {}),
    row("prompt_cache_key", {"prompt_cache_key": "a"}, {"prompt_cache_key": "b"}),
    row("service_tier", {"service_tier": "flex"}, {}),
    row("store", {"store": True}, {}),
    row("white space of JSON", spelt(WRITTEN), spelt(WRITTEN.replace(",", " ,\r\n\t"))),
    row("escapes of JSON", spelt(WRITTEN), spelt(WRITTEN.replace("A/B é", "\\u0041\\/B \\u00e9"))),
    row("exponents", spelt(WRITTEN), spelt(WRITTEN.replace("100", "1E+2"))),
    row("places behind the point", spelt(WRITTEN), spelt(WRITTEN.replace("100", "100.000"))),
    row("https' own port", {}, {"url": CHAT.replace(".com", ".com:443")}),
    row("case of the host", {}, {"url": CHAT.replace("api.openai", "API.OpenAI")}),
    row("order of parameters", {"url": f"{CHAT}?a=1&b=2"}, {"url": f"{CHAT}?b=2&a=1"}),
    row("credential in the query", {"url": f"{CHAT}?key=secret"}, {}),
    row("credential", {"headers": [("authorization", "Bearer a")]},
        {"headers": [("authorization", "Bearer b")]}),
    row("api key", {"headers": [("api-key", "a"), ("x-api-key", "a")]}, {}),
    row("order of headers", {"headers": [("a", "1"), ("b", "2")]},
        {"headers": [("b", "2"), ("a", "1")]}),
    row("version of the SDK", {"headers": [("x-stainless-package-version", "1.0"),
        ("user-agent", "OpenAI/Python 1.0")]}, {"headers": [("user-agent", "curl/8")]}),
    row("timeout", {"headers": [("x-stainless-read-timeout", "600")]}, {}),
    row("retries", {"headers": [("x-stainless-retry-count", "1")]}, {}),
    row("idempotency key", {"headers": [("idempotency-key", "a")]}, {}),
    row("tracing", {"headers": [("traceparent", "00-1"), ("x-request-id", "1")]}, {}),
    row("more tracing", {"headers": [("b3", "1"), ("uber-trace-id", "1"), ("newrelic", "1")]}, {}),
    row("JSON and no type", {"headers": [("content-type", "application/json")]}, {}),
    row("UTF-8 said and not said", {"headers": [("content-type", "application/json; charset=UTF-8")]},
        {"headers": [("content-type", "application/json")]}),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), MUST_BE_EQUAL)
def test_what_cannot_change_the_answer_leaves_the_key(left, right):
    assert key(**left) == key(**right)


@pytest.mark.parametrize("value", ["yes", "true", 1, 0, [], {}])
def test_a_stream_that_is_neither_true_nor_false_has_no_key(value):
    # vLLM takes 1 and "yes" for true, OpenAI refuses them.
    assert plan(stream=value).code == "ambiguous"


def test_parameters_that_are_not_utf_8_have_no_key():
    assert plan(url=f"{CHAT}?a=%FF").code == "ambiguous"


# Through the real clients


OPENED = []


@pytest.fixture(autouse=True)
def closed_again():
    yield
    while OPENED:
        OPENED.pop().close()


def opened(client):
    if not inspect.iscoroutinefunction(client.close):
        OPENED.append(client)
    return client


class World:
    """Clients of every kind, each call on a cache of its own unless told otherwise."""

    def __init__(self, upstream, cache):
        self.upstream = upstream
        self.cache = cache

    def openai(self, kind=OpenAI, **settings):
        named = {"base_url": f"{self.upstream.url}/v1", "api_key": "secret", "max_retries": 0}
        return self.cache.wrap(opened(kind(**{**named, **settings})))

    def chat(self, client=None, method="create", **changes):
        completions = (client or self.openai()).chat.completions
        getattr(completions, method)(**{**BASE, **changes})

    def chat_later(self, **changes):
        async def main():
            async with self.openai(AsyncOpenAI) as client:
                await client.chat.completions.create(**{**BASE, **changes})

        asyncio.run(main())

    def responses(self, **changes):
        call = {"model": "gpt-4o", "input": "What is RAG?", "temperature": 0}
        self.openai().responses.create(**{**call, **changes})

    def azure(self, version="2025-01-01", model="our-deployment"):
        named = {"azure_endpoint": self.upstream.url, "api_key": "secret"}
        client = self.cache.wrap(opened(AzureOpenAI(api_version=version, **named)))
        client.chat.completions.create(**{**BASE, "model": model})

    def anthropic(self, client=None, **changes):
        made = client or opened(anthropic.Anthropic(base_url=self.upstream.url, api_key="secret"))
        call = {"model": "claude-opus-5", "max_tokens": 100, "messages": QUESTION}
        self.cache.wrap(made).messages.create(**{**call, **changes})

    def version(self):
        """The version of the API that the SDK asked for in the call before."""
        headers = self.upstream.requests[-1].headers
        return {"anthropic-version": headers["anthropic-version"]}

    def anthropic_later(self, **changes):
        async def main():
            async with anthropic.AsyncAnthropic(base_url=self.upstream.url, api_key="x") as made:
                call = {"model": "claude-opus-5", "max_tokens": 100, "messages": QUESTION}
                await self.cache.wrap(made).messages.create(**{**call, **changes})

        asyncio.run(main())

    def bare(self, path="/v1/chat/completions", library=httpx2, headers=None, **body):
        transport = self.cache.transport(library.HTTPTransport())
        with library.Client(transport=transport) as http:
            http.post(f"{self.upstream.url}{path}", json=body or BASE, headers=headers)

    def bare_later(self, library=httpx2):
        async def main():
            transport = self.cache.transport(library.AsyncHTTPTransport())
            async with library.AsyncClient(transport=transport) as http:
                await http.post(f"{self.upstream.url}/v1/chat/completions", json=BASE)

        asyncio.run(main())


def keys_of(upstream, *calls):
    """The keys of calls, each computed on the wire of a cache of its own."""
    found = []
    for call in calls:
        with (
            Cache("memory://", strict=True, policy=ANYTHING) as cache,
            cache.recording() as outcomes,
        ):
            call(World(upstream, cache))
            assert [outcome.kind for outcome in outcomes] == ["miss"]
            found.append(outcomes[0].key)
    return found


def answering_parse(request):
    """What a parsed call can read: JSON with the fields of all cities here."""
    schema = json.dumps((request.json or {}).get("response_format"))
    size = 1 if '"integer"' in schema else '"1"'
    answer = f'{{"name": "1", "mayor": "y", "size": {size}, "a": "1"}}'
    return None if schema == "null" else Reply(answer)


def city(title, /, **fields):
    return type(title, (BaseModel,), {"__annotations__": fields})


def source(kind, **members):
    return user({"type": "image", "source": {"type": kind, **members}})


def png(content):
    return source("base64", media_type="image/png", data=base64.b64encode(content).decode())


CLIENTS_DIFFER = [
    row("extra_body", lambda w: w.chat(), lambda w: w.chat(extra_body={"guided_json": {"a": 1}})),
    row("extra_body's content", lambda w: w.chat(extra_body={"num_ctx": 1}),
        lambda w: w.chat(extra_body={"num_ctx": 2})),
    row("extra_body over a parameter", lambda w: w.chat(seed=1),
        lambda w: w.chat(seed=1, extra_body={"seed": 2})),
    row("extra_headers", lambda w: w.chat(), lambda w: w.chat(extra_headers={"x-region": "eu"})),
    row("extra_query", lambda w: w.chat(), lambda w: w.chat(extra_query={"beta": "true"})),
    row("null and left out", lambda w: w.chat(), lambda w: w.chat(seed=None)),
    row("two classes of one name",
        lambda w: w.chat(method="parse", response_format=city("City", name=str)),
        lambda w: w.chat(method="parse", response_format=city("City", mayor=str))),
    row("types of a class's field",
        lambda w: w.chat(method="parse", response_format=city("City", size=int)),
        lambda w: w.chat(method="parse", response_format=city("City", size=str))),
    row("image bytes", lambda w: w.chat(messages=user(image(data_url(PNG)))),
        lambda w: w.chat(messages=user(image(data_url(PNG + b"\0"))))),
    row("image url", lambda w: w.chat(messages=user(image("https://a/1.png"))),
        lambda w: w.chat(messages=user(image("https://a/2.png")))),
    row("image by bytes or url", lambda w: w.chat(messages=user(image("https://a/1.png"))),
        lambda w: w.chat(messages=user(image(data_url(PNG))))),
    row("tenant", lambda w: w.chat(), lambda w: tenant(w, "acme")),
    row("organization", lambda w: w.chat(), lambda w: w.chat(w.openai(organization="org"))),
    row("project", lambda w: w.chat(), lambda w: w.chat(w.openai(project="p"))),
    row("default headers", lambda w: w.chat(),
        lambda w: w.chat(w.openai(default_headers={"OpenAI-Beta": "v2"}))),
    row("base url", lambda w: w.chat(),
        lambda w: w.chat(w.openai(base_url=f"{w.upstream.url}/other/v1"))),
    row("azure's api version", lambda w: w.azure("2025-01-01"), lambda w: w.azure("2025-02-01")),
    row("azure's deployment", lambda w: w.azure(model="a"), lambda w: w.azure(model="b")),
    row("responses' store", lambda w: w.responses(), lambda w: w.responses(store=False)),
    row("responses' instructions", lambda w: w.responses(), lambda w: w.responses(instructions="x")),
    row("anthropic's system", lambda w: w.anthropic(), lambda w: w.anthropic(system="Be brief.")),
    row("anthropic's temperature", lambda w: w.anthropic(),
        lambda w: w.anthropic(extra_body={"temperature": 0})),
    row("anthropic's beta", lambda w: w.anthropic(),
        lambda w: w.anthropic(extra_headers={"anthropic-beta": "context-1m"})),
    row("anthropic's image bytes", lambda w: w.anthropic(messages=png(PNG)),
        lambda w: w.anthropic(messages=png(PNG + b"\0"))),
    row("anthropic's image url", lambda w: w.anthropic(messages=source("url", url="https://a/1")),
        lambda w: w.anthropic(messages=source("url", url="https://a/2"))),
    row("anthropic's version", lambda w: w.anthropic(),
        lambda w: w.anthropic(extra_headers={"anthropic-version": "2024-01-01"})),
]  # fmt: skip


def tenant(world, name):
    with world.cache.using(tenant=name):
        world.chat()


@pytest.mark.parametrize(("left", "right"), CLIENTS_DIFFER)
def test_what_may_change_the_answer_changes_a_clients_key(upstream, left, right):
    upstream.script = answering_parse
    one, other = keys_of(upstream, left, right)
    assert one != other
    # The digest of the arguments, which finds an answer before the SDK does anything, agrees.
    with Cache("memory://", strict=True, policy=ANYTHING) as cache:
        calls = upstream.calls
        for call in (left, right):
            call(World(upstream, cache))
            assert cache.last.kind == "miss"
        assert upstream.calls == calls + 2


def newer_sdk(world):
    fields = {"X-Stainless-Package-Version": "99.0.0", "X-Stainless-Lang": "x", "User-Agent": "new"}
    return world.openai(default_headers=fields)


ANTHROPIC_BODY = {"model": "claude-opus-5", "max_tokens": 100, "messages": QUESTION}

CLIENTS_EQUAL = [
    row("left out and NOT_GIVEN", lambda w: w.chat(), lambda w: w.chat(seed=NOT_GIVEN)),
    row("left out and omit", lambda w: w.chat(), lambda w: w.chat(seed=omit, tools=omit)),
    row("order of keywords", lambda w: w.chat(seed=1, n=1),
        lambda w: w.openai().chat.completions.create(n=1, seed=1, **dict(reversed(BASE.items())))),
    row("timeout", lambda w: w.chat(), lambda w: w.chat(timeout=7)),
    row("the client's timeout", lambda w: w.chat(), lambda w: w.chat(w.openai(timeout=7))),
    row("retries", lambda w: w.chat(), lambda w: w.chat(w.openai().with_options(max_retries=5))),
    row("api key", lambda w: w.chat(), lambda w: w.chat(w.openai(api_key="rotated"))),
    row("user", lambda w: w.chat(user="a"), lambda w: w.chat(user="b")),
    row("metadata", lambda w: w.chat(), lambda w: w.chat(metadata={"a": "b"})),
    row("version of the SDK", lambda w: w.chat(), lambda w: w.chat(newer_sdk(w))),
    row("blocking and async", lambda w: w.chat(), lambda w: w.chat_later()),
    row("stream on and off", lambda w: w.chat(), lambda w: list_of(w.openai(), stream=True)),
    row("stream_options", lambda w: list_of(w.openai(), stream=True),
        lambda w: list_of(w.openai(), stream=True, stream_options={"include_usage": True})),
    row("wrapped and bare httpx2", lambda w: w.chat(), lambda w: w.bare()),
    row("wrapped and bare httpx", lambda w: w.chat(), lambda w: w.bare(library=httpx)),
    row("wrapped and bare async", lambda w: w.chat(), lambda w: w.bare_later()),
    row("bare httpx2 and httpx, async", lambda w: w.bare_later(), lambda w: w.bare_later(httpx)),
    row("raw and plain", lambda w: w.chat(),
        lambda w: w.openai().chat.completions.with_raw_response.create(**BASE)),
    row("extra_body and parameter", lambda w: w.chat(seed=1), lambda w: w.chat(extra_body={"seed": 1})),
    row("0 and 0.0", lambda w: w.chat(), lambda w: w.chat(temperature=0.0)),
    row("tuple and list", lambda w: w.chat(), lambda w: w.chat(messages=tuple(QUESTION))),
    row("one class twice", lambda w: w.chat(method="parse", response_format=city("City", a=str)),
        lambda w: w.chat(method="parse", response_format=city("City", a=str))),
    row("anthropic left out and NOT_GIVEN", lambda w: w.anthropic(),
        lambda w: w.anthropic(system=anthropic.NOT_GIVEN, tools=anthropic.omit)),
    row("anthropic's metadata", lambda w: w.anthropic(),
        lambda w: w.anthropic(metadata={"user_id": "u"})),
    row("anthropic blocking and async", lambda w: w.anthropic(), lambda w: w.anthropic_later()),
    row("anthropic wrapped and bare", lambda w: w.anthropic(), lambda w: w.bare(
        "/v1/messages", headers=w.version(), **ANTHROPIC_BODY)),
]  # fmt: skip


def list_of(client, **changes):
    return list(client.chat.completions.create(**{**BASE, **changes}))


@pytest.mark.parametrize(("left", "right"), CLIENTS_EQUAL)
def test_what_cannot_change_the_answer_leaves_a_clients_key(upstream, left, right):
    upstream.script = answering_parse
    one, other = keys_of(upstream, left, right)
    assert one == other
    with (
        Cache("memory://", strict=True, policy=ANYTHING) as cache,
        cache.recording() as outcomes,
    ):
        for call in (left, right):
            call(World(upstream, cache))
        assert {outcome.key for outcome in outcomes} == {one}


@pytest.mark.parametrize("form", [dict, OrderedDict], ids=lambda form: form.__name__)
@pytest.mark.parametrize("hours", [0, 2])
def test_one_instant_in_two_time_zones_is_written_twice(upstream, hours, form):
    # The SDK writes a datetime with its zone; equal instants are other requests.
    zone = datetime.timezone(datetime.timedelta(hours=hours))
    noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
    with Cache("memory://", strict=True) as cache:
        world = World(upstream, cache)
        world.chat(extra_body={"when": form(at=noon)})
        world.chat(extra_body={"when": form(at=noon.astimezone(zone))})
        assert cache.last.kind == ("miss" if hours else "hit")


# The canonical form


TRICKY = [
    None, True, False, 0, 1, -1, 2, 0.0, -0.0, 1.0, -1.0, 0.5, 0.1, 1e-9, 2**53, 2**53 + 1,
    float(2**53), 2**63 - 1, -(2**63), 1e18, 10**18, 203, 255, -53, "", "0", "1", "a", "A", "b",
    "\u00e9", "e\u0301", "\u00cb", "\u0000", "null", "[]", "\U0001f600", "a" * 32, "a" * 31,
]  # fmt: skip
NAMES = st.sampled_from(["", "a", "b", "A", "0", "\u00e9"])


def nested(leaves):
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=6,
    )


NEAR = nested(st.sampled_from(TRICKY))
INTEGERS = st.integers(-(2**63), 2**64 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON = nested(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
)


def alike(left, right):
    """Compare as JSON: types count, but 0 and 0.0 are one number."""
    numbers = (int, float)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, numbers) and isinstance(right, numbers):
        return left == right
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(alike(left[name], right[name]) for name in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(alike, left, right))
    return left == right


@given(NEAR, NEAR)
@settings(max_examples=1000)
def test_two_values_share_a_canonical_form_exactly_when_they_are_alike(left, right):
    assert (keys.canonical(left) == keys.canonical(right)) == alike(left, right)
    assert (keys.digest(left) == keys.digest(right)) == alike(left, right)


@given(JSON, JSON)
def test_no_two_values_that_differ_share_a_canonical_form(left, right):
    if keys.canonical(left) == keys.canonical(right):
        assert alike(left, right)
    assert keys.canonical([left, right]) != keys.canonical([[left, right]])
    assert keys.canonical([left]) != keys.canonical([left, left])


@given(INTEGERS, st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_that_differ_never_share_a_canonical_form(whole, real):
    for left, right in ((whole, real), (int(real) % 2**63, real), (whole, float(whole))):
        if left != right:
            assert keys.canonical(left) != keys.canonical(right)
        elif abs(left) < 2**63:
            assert keys.canonical(left) == keys.canonical(right)


def shuffled(value, source):
    if isinstance(value, dict):
        names = source.sample(list(value), len(value))
        return {name: shuffled(value[name], source) for name in names}
    return [shuffled(item, source) for item in value] if isinstance(value, list) else value


@given(JSON, st.integers(0, 2**32))
def test_the_order_of_maps_never_matters_at_any_depth(value, seed):
    assert keys.canonical(shuffled(value, random.Random(seed))) == keys.canonical(value)


@given(st.lists(JSON, min_size=2, max_size=5), st.data())
def test_the_order_of_lists_does(value, data):
    other = data.draw(st.permutations(value))
    same = all(map(alike, value, other))
    assert (keys.digest({"x": value}) == keys.digest({"x": other})) == same


@given(JSON)
def test_a_value_written_as_json_and_read_again_is_the_same(value):
    for ascii_only in (True, False):
        for indent in (None, 2):
            text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
            assert keys.canonical(keys.parse(text.encode())) == keys.canonical(value)


DECIMALS = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)  # fmt: skip


def canonical_number(text):
    try:
        return keys.canonical(keys.parse(text.encode()))
    except Ambiguous:
        return None


@given(DECIMALS, st.data())
@settings(max_examples=500)
def test_two_numbers_as_written_share_a_key_only_if_they_are_equal(text, data):
    digit = data.draw(st.sampled_from([at for at, mark in enumerate(text) if mark.isdigit()]))
    other = text[:digit] + data.draw(st.sampled_from("0123456789")) + text[digit + 1 :]
    one, two = canonical_number(text), canonical_number(other)
    if one is not None and one == two:
        assert Decimal(text) == Decimal(other)


@given(JSON, JSON)
def test_a_difference_is_named_exactly_when_there_is_one(left, right):
    assert (keys.difference(left, right) == []) == (keys.canonical(left) == keys.canonical(right))
    assert keys.difference(left, left) == []


def test_a_difference_is_named_by_its_place():
    left = {"messages": [{"role": "user", "content": "Polish"}], "seed": 1, "n": 1}
    right = {"messages": [{"role": "user", "content": "polish"}], "n": 1.0, "stop": None}
    assert keys.difference(left, right) == ["messages[0].content", "seed", "stop"]


@pytest.mark.parametrize("size", [12_200, 12_287, 12_288, 12_300, 200_000])
def test_digests_of_any_size_tell_the_last_character(size):
    ends = [keys.digest({"content": "a" * size + end}) for end in ("", "a", "b")]
    assert len(set(ends)) == 3
    assert {len(end) for end in ends} == {keys.LENGTH}


def test_the_canonical_form_is_frozen():
    """A change here strands every stored answer: raise keys.VERSION with it."""
    value = {"b": [1, 1.0, -0.5, None, True, "\u00e9"], "a": {"": {}, "x": []}}
    assert keys.canonical(value).hex() == (
        "82a16182a080a17890a1629601" + "01" + "cbbfe0000000000000" + "c0c3a2c3a9"
    )
    assert keys.digest(value).hex() == "3f9d9ea222563a5c95e83bd7d11762c8f9bcd6b4"
    assert keys.digest(["x" * 20_000]).hex() == "24685be72934c82916356193d7f5a5f009968853"
    assert keys.VERSION == 1


# What has no key

REFUSED = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"What is RAG?", id="no JSON"),
    pytest.param(b'{"a":1', id="cut off"),
    pytest.param(b'{"a":1}{"a":1}', id="two values"),
    pytest.param(b'{"a":1,}', id="a comma too many"),
    pytest.param(b"{'a':1}", id="single quotes"),
    pytest.param(b'{"a":01}', id="a leading zero"),
    pytest.param(b'{"a":+1}', id="a plus"),
    pytest.param(b'{"a":.5}', id="no digit before the point"),
    pytest.param(b'{"a":0x10}', id="hexadecimal"),
    pytest.param(b'{"a":"\t"}', id="a control character"),
    pytest.param(b'{"a":NaN}', id="NaN"),
    pytest.param(b'{"a":[null,NaN]}', id="NaN beside null"),
    pytest.param(b'{"a":Infinity}', id="infinity"),
    pytest.param(b'{"a":-Infinity}', id="minus infinity"),
    pytest.param(b'{"a":1e400}', id="beyond all floats"),
    pytest.param(b'{"a":1e-400}', id="below all floats"),
    pytest.param(b'{"a":1e99999999999999999999}', id="an endless exponent"),
    pytest.param(b'{"a":0e-99999999999999999999}', id="an endless exponent of nothing"),
    pytest.param(b'{"a":0.10000000000000001}', id="more digits than a float holds"),
    pytest.param(b'{"a":9007199254740993.0}', id="a whole float that no float holds"),
    pytest.param(b'{"a":123456789012345678901234567890}', id="30 digits"),
    pytest.param(b'{"a":18446744073709551616}', id="2^64"),
    pytest.param(b'{"a":-9223372036854775809}', id="below -2^63"),
    pytest.param(b'{"a":' + b"1" * 5000 + b"}", id="5,000 digits"),
    pytest.param(b'{"a":1,"a":1}', id="one name twice"),
    pytest.param(b'{"x":[{"a":1,"b":2,"\\u0061":3}]}', id="one name twice, escaped, far down"),
    pytest.param(b'{"a":"\\ud800"}', id="a lone surrogate"),
    pytest.param(b'{"\\udc00":1}', id="a lone surrogate in a name"),
    pytest.param(b'{"a":"\xed\xa0\x80"}', id="a surrogate in UTF-8"),
    pytest.param(b'{"a":"\xff"}', id="a byte that UTF-8 has not"),
    pytest.param(b'{"a":"\xc0\xaf"}', id="an overlong form"),
    pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark"),
    pytest.param('{"a":"é"}'.encode("latin-1"), id="latin-1"),
    pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
    pytest.param('{"a":1}'.encode("utf-16-le"), id="UTF-16 without its mark"),
    pytest.param('{"a":1}'.encode("utf-32"), id="UTF-32"),
    pytest.param(b"[" * 100_000 + b"]" * 100_000, id="lists in lists"),
    pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="objects in objects"),
]


@pytest.mark.parametrize("body", REFUSED)
def test_what_two_readers_could_take_differently_has_no_key(body):
    with pytest.raises(Ambiguous):
        keys.canonical(keys.parse(body))
    assert plan(raw=body).code == "ambiguous"


@pytest.mark.parametrize(
    "value",
    [
        math.nan, [math.inf], {"a": -math.inf}, 2**64, -(2**63) - 1, "\ud800", {"\udfff": 1}, {1: 2},
        {"a": 1, 1: 2}, object(), [int], iter(()), datetime.datetime.now(datetime.UTC),
        [0.5, {"x": datetime.datetime.now(datetime.UTC)}],
    ],
)  # fmt: skip
def test_values_that_are_not_json_have_no_key(value):
    with pytest.raises(Ambiguous):
        keys.digest(value)


@given(st.binary(max_size=80) | TEXTS.map(str.encode))
@settings(max_examples=500)
def test_any_bytes_at_all_are_read_or_refused(body):
    try:
        value = keys.parse(body)
    except Ambiguous:
        return
    assert alike(value, json.loads(body))


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null", b"true"])
def test_a_body_that_is_no_object_has_no_key(body):
    assert plan(raw=body).code == "ambiguous"


def test_values_nested_as_deep_as_requests_are_have_keys():
    assert keys.digest(keys.parse(b"[" * 200 + b"]" * 200))


def test_calls_that_are_not_for_the_cache_say_why():
    assert plan(method="GET").code == "endpoint"
    assert plan(url="https://api.openai.com/v1/files").code == "endpoint"
    assert plan(raw=b" " * (plans.LARGEST_BODY + 1)).code == "too_large"


def test_the_sdk_refuses_nan_itself(upstream, cache):
    world = World(upstream, cache)
    with pytest.raises((ValueError, openai.OpenAIError)):
        world.chat(top_p=math.nan)
    assert upstream.calls == 0
