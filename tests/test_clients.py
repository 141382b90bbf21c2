"""The official clients, wrapped: same objects, same errors, no second call."""

from __future__ import annotations

import asyncio
import gc
import json

import anthropic
import httpx2
import openai
import pytest
from openai import AsyncOpenAI, AzureOpenAI, OpenAI
from pydantic import BaseModel

from askonce import Cache, ConfigError, Models, Policy
from askonce.testing.fake_script import Reply, ToolCall

QUESTION = [{"role": "user", "content": "What is RAG?"}]


def chat(client, **changes):
    call = {"model": "gpt-4o", "messages": QUESTION, "temperature": 0, **changes}
    return client.chat.completions.create(**call)


@pytest.fixture
def client(upstream, cache):
    with OpenAI(base_url=f"{upstream.url}/v1", api_key="secret", max_retries=0) as made:
        yield cache.wrap(made)


def test_wrap_returns_the_same_object(upstream, cache, opened):
    client = opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="secret"))
    assert cache.wrap(client) is client
    assert cache.wrap(client) is client


def test_a_repeated_call_is_answered_without_the_upstream(client, upstream, cache):
    first = chat(client)
    assert cache.last.kind == "miss"
    assert cache.last.stored
    second = chat(client)
    assert cache.last.kind == "hit"
    assert upstream.calls == 1
    assert second == first
    assert second.to_json() == first.to_json()
    assert second.model_fields_set == first.model_fields_set
    assert second._request_id == first._request_id


def test_every_hit_is_an_object_of_its_own(client, upstream):
    first = chat(client)
    text = first.choices[0].message.content
    for _ in range(3):
        answer = chat(client)
        assert answer.choices[0].message.content == text
        answer.choices[0].message.content = "changed"
        answer.choices.append(None)
    assert upstream.calls == 1


def test_the_first_hit_of_another_process_is_what_the_sdk_would_build(upstream, url, opened):
    def client(cache):
        return cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="secret")))

    upstream.script = lambda request: Reply("Yes.", extra={"future": {"field": [1]}})
    with Cache(url) as cache:
        miss = chat(client(cache))
    with Cache(url) as cache:
        hit = chat(client(cache))
        assert cache.last.kind == "hit"
        assert chat(client(cache)) == hit
    assert upstream.calls == 1
    assert hit == miss
    assert hit.model_dump() == miss.model_dump()
    assert hit.model_extra == miss.model_extra
    assert hit.choices[0].model_extra == miss.choices[0].model_extra
    assert hit._request_id == miss._request_id


def test_a_stream_serves_whole_reads_and_a_whole_answer_serves_streams(client, upstream, cache):
    streamed = "".join(
        chunk.choices[0].delta.content or ""
        for chunk in chat(client, stream=True, stream_options={"include_usage": True})
        if chunk.choices
    )
    whole = chat(client)
    assert cache.last.kind == "hit"
    assert whole.choices[0].message.content == streamed
    assert whole.usage.total_tokens > 0
    other = [{"role": "user", "content": "What is a transformer?"}]
    said = chat(client, messages=other).choices[0].message.content
    replayed = "".join(
        chunk.choices[0].delta.content or ""
        for chunk in chat(client, messages=other, stream=True)
        if chunk.choices
    )
    assert replayed == said
    assert upstream.calls == 2


def test_usage_is_asked_for_where_the_host_knows_it_and_hidden_from_the_caller(upstream, opened):
    cache = Cache("memory://", models=Models.shipped().extended(usage_on_request=("127.0.0.1",)))
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="secret")))
    chunks = list(chat(client, stream=True))
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    assert all(chunk.choices for chunk in chunks)
    assert chat(client).usage.total_tokens > 0
    assert upstream.calls == 1


def test_a_host_that_refuses_to_be_asked_for_usage_is_asked_as_the_caller_asked(upstream):
    def script(request):
        if "stream_options" in request.json:
            return Reply(status=400, raw=b'{"error": {"message": "stream_options?"}}')
        return None

    async def tasks(cache):
        made = AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)
        async with cache.wrap(made) as client:
            return [chunk async for chunk in await chat(client, stream=True)]

    upstream.script = script
    models = Models.shipped().extended(usage_on_request=("127.0.0.1",))
    for is_async in False, True:
        with (
            Cache("memory://", models=models) as cache,
            OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0) as made,
        ):
            client = cache.wrap(made)
            upstream.forget()
            first = asyncio.run(tasks(cache)) if is_async else list(chat(client, stream=True))
            assert [bool("stream_options" in call.json) for call in upstream.requests] == [1, 0]
            assert list(chat(client, stream=True)) == first
            assert cache.last.kind == "hit"
            with pytest.raises(openai.BadRequestError):
                list(chat(client, stream=True, stream_options={"include_usage": True}))


def told_unasked(alone):
    """A stream of a host that tells usage to everybody: alone (OpenRouter) or not (Mistral)."""

    def chunk(*choices, **more):
        told = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return f"data: {json.dumps({**told, 'choices': choices, **more})}\n\n".encode()

    usage = {"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
    said = {"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    ends = [chunk(end), chunk(**usage)] if alone else [chunk(end, **usage)]
    return (chunk(said), *ends, b"data: [DONE]\n\n")


@pytest.mark.parametrize("alone", [True, False])
def test_usage_that_a_host_tells_unasked_is_told_by_hits_too(client, upstream, alone):
    frames = told_unasked(alone)
    upstream.script = lambda request: Reply(raw=frames, content_type="text/event-stream")
    miss, hit = list(chat(client, stream=True)), list(chat(client, stream=True))
    assert upstream.calls == 1
    assert [chunk.usage for chunk in hit] == [chunk.usage for chunk in miss]
    assert hit[-1].usage.total_tokens == 3
    assert all(chunk.choices for chunk in hit)


def test_a_whole_answer_told_as_a_stream_tells_usage_where_the_host_would(client, upstream):
    usage = chat(client).usage
    told = list(chat(client, stream=True))
    assert upstream.calls == 1
    assert told[-1].usage == usage
    assert all(chunk.choices for chunk in told)


def test_a_stream_without_usage_does_not_serve_whole_reads(client, upstream):
    list(chat(client, stream=True))
    list(chat(client, stream=True))
    assert upstream.calls == 1
    assert chat(client).usage.total_tokens > 0
    assert upstream.calls == 2


def test_an_abandoned_stream_is_never_stored(client, upstream):
    stream = chat(client, stream=True)
    next(stream)
    stream.close()
    list(chat(client, stream=True))
    assert upstream.calls == 2


def test_a_cut_stream_is_never_stored(client, upstream):
    upstream.script = lambda request: Reply("one two three four", cut_after=2)
    with pytest.raises((openai.APIConnectionError, httpx2.HTTPError)):
        list(chat(client, stream=True))
    upstream.script = None
    list(chat(client, stream=True))
    assert upstream.calls == 2


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply("half", finish_reason="length"), "truncated"),
        (Reply("", finish_reason="content_filter"), "filtered"),
        (Reply("", refusal="I cannot."), "refused"),
        (Reply(""), "empty"),
        (Reply("", tool_calls=(ToolCall("f", '{"a": '),)), "broken_tool_call"),
    ],
)
def test_bad_answers_are_not_kept(client, upstream, cache, reply, code):
    upstream.script = lambda request: reply
    chat(client)
    assert not cache.last.stored
    assert cache.last.reason.code == code
    chat(client)
    assert upstream.calls == 2


def test_sampled_calls_are_bypassed_with_their_reason(client, upstream, cache):
    chat(client, temperature=0.7)
    assert cache.last.kind == "bypass"
    assert cache.last.reason.code == "sampled"
    client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert "temperature=0" in cache.last.reason.advice
    client.chat.completions.create(model="gpt-5-mini", messages=QUESTION)
    assert cache.last.kind == "miss"
    assert cache.last.unpinned
    client.chat.completions.create(model="gpt-5-mini", messages=QUESTION)
    assert cache.last.kind == "hit"
    assert cache.last.unpinned
    assert upstream.calls == 3


def test_errors_pass_untouched_and_are_not_kept(client, upstream, cache):
    upstream.script = lambda request: Reply(status=429, error="slow down")
    with pytest.raises(openai.RateLimitError):
        chat(client)
    assert cache.last.kind == "miss"
    assert cache.last.reason.code == "status"
    upstream.script = None
    assert chat(client).choices[0].message.content
    assert upstream.calls == 2


def test_a_flight_spans_the_retries_of_the_sdk(upstream, cache, opened):
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="s", max_retries=2)))
    failing = Reply(status=500, error="oops", headers={"retry-after-ms": "1"})
    upstream.script = lambda request: failing if request.number < 3 else None
    chat(client)
    chat(client)
    assert upstream.calls == 3
    assert len(cache.session.engine.flights) == 0


def test_parse_raw_and_streaming_helpers_are_cached_too(client, upstream, cache):
    class City(BaseModel):
        name: str

    upstream.script = lambda request: Reply('{"name": "Paris"}')
    call = {"model": "gpt-4o", "messages": QUESTION, "temperature": 0}
    for _ in range(2):
        parsed = client.chat.completions.parse(response_format=City, **call)
        assert parsed.choices[0].message.parsed == City(name="Paris")
    assert upstream.calls == 1
    for _ in range(2):
        raw = client.chat.completions.with_raw_response.create(**call)
        assert raw.http_response.elapsed is not None
        assert raw.parse().choices[0].message.content == '{"name": "Paris"}'
    assert raw.headers["cache-status"] == "askonce; hit"
    with client.chat.completions.with_streaming_response.create(**call) as response:
        assert response.parse().choices[0].message.content == '{"name": "Paris"}'
    with client.chat.completions.stream(**call) as stream:
        events = [event.type for event in stream]
    assert "content.done" in events
    assert upstream.calls == 2


def test_two_classes_of_one_name_with_other_fields_are_two_requests(client, upstream):
    def city(field):
        return type("City", (BaseModel,), {"__annotations__": {field: str}})

    call = {"model": "gpt-4o", "messages": QUESTION, "temperature": 0}
    upstream.script = lambda request: Reply('{"name": "Paris", "mayor": "Anne"}')
    client.chat.completions.parse(response_format=city("name"), **call)
    client.chat.completions.parse(response_format=city("mayor"), **call)
    assert upstream.calls == 2


def test_copies_of_a_wrapped_client_are_wrapped(client, upstream, cache):
    chat(client)
    chat(client.with_options(timeout=5))
    chat(client.copy(max_retries=1))
    assert upstream.calls == 1
    chat(client.with_options(default_headers={"OpenAI-Beta": "future=v1"}))
    assert upstream.calls == 2


def test_a_client_that_only_wrap_keeps_alive_works(upstream, cache, opened):
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="secret")))
    gc.collect()
    chat(client)
    chat(client)
    assert upstream.calls == 1


def test_a_shared_http_client_caches_only_the_wrapped_client(upstream, cache, opened):
    with httpx2.Client() as http:
        plain = opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="a", http_client=http))
        wrapped = opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="b", http_client=http))
        cache.wrap(wrapped)
        chat(wrapped)
        chat(wrapped)
        assert upstream.calls == 1
        chat(plain)
        chat(plain)
        assert upstream.calls == 3


def test_a_proxy_from_the_environment_is_cached(upstream, cache, monkeypatch, opened):
    monkeypatch.setenv("HTTP_PROXY", upstream.url)
    client = cache.wrap(opened(OpenAI(base_url="http://models.invalid/v1", api_key="secret")))
    chat(client)
    chat(client)
    assert upstream.calls == 1


def test_azure_deployments_hide_the_model_and_a_setting_tells_it(upstream, opened):
    models = Models.shipped().extended(stands_for={"our-deployment": "gpt-5-mini"})
    with Cache("memory://", models=models) as cache:
        client = cache.wrap(
            opened(
                AzureOpenAI(azure_endpoint=upstream.url, api_version="2025-01-01", api_key="secret")
            )
        )
        for _ in range(2):
            client.chat.completions.create(model="our-deployment", messages=QUESTION)
        assert cache.last.kind == "hit"
        assert upstream.calls == 1
        other = client.with_options(api_version="2025-02-01")
        other.chat.completions.create(model="our-deployment", messages=QUESTION)
        assert upstream.calls == 2


def test_responses_completions_and_embeddings_are_cached(client, upstream):
    for _ in range(2):
        said = client.responses.create(model="gpt-4o", input="What is RAG?", temperature=0)
        assert said.output_text
    assert upstream.count("/responses") == 1
    for _ in range(2):
        done = client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hi", temperature=0)
        assert done.choices[0].text
    assert upstream.count("/completions") == 1
    for _ in range(2):
        client.embeddings.create(model="text-embedding-3-small", input="What is RAG?")
    assert upstream.count("/embeddings") == 1


def test_a_responses_stream_and_a_whole_response_are_one_entry(client, upstream):
    call = {"model": "gpt-4o", "input": "What is RAG?", "temperature": 0}
    whole = client.responses.create(**call)
    events = list(client.responses.create(stream=True, **call))
    assert events[-1].response.output_text == whole.output_text
    assert upstream.calls == 1
    with client.responses.stream(**call) as stream:
        assert stream.get_final_response().output_text == whole.output_text
    assert upstream.calls == 1


def test_a_batch_of_embeddings_asks_only_for_what_is_missing(client, upstream):
    model = "text-embedding-3-small"
    first = client.embeddings.create(model=model, input=["one", "two"])
    second = client.embeddings.create(model=model, input=["three", "two", "one", "three"])
    assert upstream.calls == 2
    assert upstream.requests[-1].json["input"] == ["three"]
    assert [item.index for item in second.data] == [0, 1, 2, 3]
    assert second.data[1].embedding == first.data[1].embedding
    assert second.data[2].embedding == first.data[0].embedding
    assert second.data[0].embedding == second.data[3].embedding
    assert client.embeddings.create(model=model, input="one").data[0].embedding == (
        first.data[0].embedding
    )
    assert upstream.calls == 2


USAGE = {"prompt_tokens": 7, "total_tokens": 7, "cost": 0.5, "prompt_tokens_details": {"a": 1}}


@pytest.mark.parametrize("usage", [{"usage": USAGE}, {}], ids=["counted", "not counted"])
def test_a_batch_of_which_nothing_was_known_is_counted_as_the_provider_counts(
    client, upstream, usage
):
    data = [{"object": "embedding", "index": at, "embedding": [0.5, at]} for at in range(2)]
    answer = {"object": "list", "model": "m", "data": data, **usage}
    upstream.script = lambda request: Reply(raw=json.dumps(answer).encode())
    batch = {"model": "m", "input": ["one", "two", "one"], "encoding_format": "float"}
    told = client.embeddings.with_raw_response.create(**batch).http_response.json()
    assert told.get("usage") == usage.get("usage")
    again = client.embeddings.with_raw_response.create(**batch).http_response.json()
    assert again.get("usage", {}).keys() == usage.get("usage", {}).keys() & {
        "prompt_tokens", "total_tokens",
    }  # fmt: skip
    assert upstream.calls == 1


def test_anthropic_takes_temperature_in_extra_body(upstream, cache, opened):
    client = cache.wrap(opened(anthropic.Anthropic(base_url=upstream.url, api_key="secret")))
    call = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": QUESTION}
    client.messages.create(**call)
    assert cache.last.reason.code == "sampled"
    first = client.messages.create(extra_body={"temperature": 0}, **call)
    second = client.messages.create(extra_body={"temperature": 0}, **call)
    assert cache.last.kind == "hit"
    assert second == first
    assert second._request_id == first._request_id
    with client.messages.stream(extra_body={"temperature": 0}, **call) as stream:
        assert stream.get_final_text() == first.content[0].text
    assert upstream.calls == 2
    client.messages.create(**{**call, "model": "claude-opus-5"})
    assert cache.last.unpinned


def test_async_clients_share_entries_with_blocking_ones(client, upstream, cache):
    first = chat(client)

    async def main():
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="other") as made:
            wrapped = cache.wrap(made)
            answers = [await chat(wrapped), await chat(wrapped)]
            stream = await chat(wrapped, stream=True)
            text = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
            raw = await wrapped.chat.completions.with_raw_response.create(
                model="gpt-4o", messages=QUESTION, temperature=0
            )
            return answers, text, raw.headers["cache-status"]

    answers, text, status = asyncio.run(main())
    assert answers == [first, first]
    assert text == first.choices[0].message.content
    assert status == "askonce; hit"
    assert upstream.calls == 1


def test_async_anthropic_is_cached(upstream, cache):
    async def main():
        async with anthropic.AsyncAnthropic(base_url=upstream.url, api_key="secret") as made:
            client = cache.wrap(made)
            call = {"model": "claude-opus-5", "max_tokens": 100, "messages": QUESTION}
            async with client.messages.stream(**call) as stream:
                text = await stream.get_final_text()
            message = await client.messages.create(**call)
            return text, message.content[0].text

    text, said = asyncio.run(main())
    assert text == said
    assert upstream.calls == 1


def test_using_changes_the_calls_of_its_block(client, upstream, cache):
    chat(client)
    with cache.using(bypass=True):
        chat(client)
        assert cache.last.reason.code == "asked"
    with cache.using(refresh=True):
        chat(client)
        assert cache.last.kind == "miss"
    chat(client)
    assert cache.last.kind == "hit"
    with cache.using(tenant="acme"):
        chat(client)
        assert cache.last.kind == "miss"
    assert upstream.calls == 4


def test_an_answer_dies_with_its_tag(client, upstream, cache):
    chat(client)
    with cache.using(tags=["doc:42"]):
        chat(client)
        assert cache.last.kind == "miss"
        chat(client)
        assert cache.last.kind == "hit"
        cache.invalidate(tag="doc:42")
        chat(client)
        assert cache.last.kind == "miss"
    assert upstream.calls == 3


def test_an_answer_in_flight_when_its_tag_is_invalidated_is_not_served(upstream, cache, opened):
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="secret")))

    def invalidate(request):
        if request.number == 1:
            cache.invalidate(tag="doc:42")

    upstream.script = invalidate
    with cache.using(tags=["doc:42"]):
        chat(client)
        chat(client)
    assert upstream.calls == 2


def test_time_to_live_is_absolute(upstream, opened):
    now = [1_000_000.0]
    cache = Cache("memory://", ttl="24h", clock=lambda: now[0])
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="secret")))
    chat(client)
    now[0] += 24 * 3600 - 1
    chat(client)
    assert cache.last.age == 24 * 3600 - 1
    now[0] += 1
    chat(client)
    assert upstream.calls == 2


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_repeats_its_callers_labels_repeats_this_callers(
    upstream, cache, streamed, opened
):
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")))

    def ask(**labels):
        made = client.responses.create(
            model="gpt-4o", temperature=0, input="Why?", stream=streamed, **labels
        )
        answer = list(made)[-1].response if streamed else made
        return answer.metadata, answer.user

    assert ask(metadata={"trace": "alice"}, user="alice") == ({"trace": "alice"}, "alice")
    assert ask(metadata={"trace": "bob"}, user="bob") == ({"trace": "bob"}, "bob")
    assert ask(extra_body={"user": "eve"})[1] == "eve"
    assert ask(extra_body={"user": "eve"})[1] == "eve"
    assert ask()[0] in ({}, None)
    assert ask()[1] is None
    assert upstream.calls == 1


def test_a_call_made_inside_another_is_not_taken_for_it(upstream, cache, opened):
    upstream.script = lambda request: Reply(text=request.json["messages"][0]["content"])
    inner = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k")))

    def ask(client, text):
        messages = [{"role": "user", "content": text}]
        answer = client.chat.completions.create(model="gpt-4o", temperature=0, messages=messages)
        return answer.choices[0].message.content

    def key():
        ask(inner, "What is my key?")
        return "k"

    outer = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key=key)))
    assert [ask(outer, "Why?") for _ in range(3)] == ["Why?"] * 3


def test_azure_urls_that_differ_are_never_one_request(upstream, cache, opened):
    plain = cache.wrap(
        opened(
            OpenAI(
                base_url=f"{upstream.url}/openai", api_key="k", default_query={"api-version": "v1"}
            )
        )
    )
    azure = cache.wrap(
        opened(AzureOpenAI(azure_endpoint=upstream.url, api_key="k", api_version="v1"))
    )
    request = {"model": "gpt-4o", "temperature": 0, "messages": QUESTION}
    first = plain.chat.completions.create(**request)
    assert azure.chat.completions.create(**request).id != first.id
    assert upstream.calls == 2


def test_a_client_of_an_unknown_kind_is_refused_with_the_fix(cache):
    with pytest.raises(ValueError, match="cache.transport"):
        cache.wrap(object())


def test_a_call_made_inside_another_keeps_its_own_options(upstream, cache, opened):
    transport = cache.transport(httpx2.HTTPTransport(), policy=Policy(sampled=True))
    inner = opened(
        OpenAI(
            base_url=f"{upstream.url}/v1",
            api_key="k",
            http_client=httpx2.Client(transport=transport),
        )
    )
    question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "A key?"}]}

    def key():
        return str(inner.chat.completions.create(**question).id)

    outer = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key=key)))
    chat(outer)
    chat(outer, seed=1)
    assert sum(b"A key?" in request.body for request in upstream.requests) == 1
    inner.close()


def test_wrapping_twice_with_other_options_is_refused(upstream, cache, opened):
    client = opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k"))
    cache.wrap(client, tags=["doc"])
    assert cache.wrap(client, tags=["doc"]) is cache.wrap(client) is client
    with pytest.raises(ConfigError, match="using"):
        cache.wrap(client, policy=Policy(sampled=True))
