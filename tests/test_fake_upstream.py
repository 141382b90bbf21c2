"""The fake upstream, read by the providers' own SDKs."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import anthropic
import httpx
import openai
import pytest
from anthropic import Anthropic, AsyncAnthropic
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types
from groq import Groq
from mistralai.client import Mistral
from openai import AsyncOpenAI, AzureOpenAI, OpenAI
from pydantic import BaseModel

from askonce.testing.fake_script import Message, Reply, ToolCall, Usage, in_turn
from askonce.testing.fake_upstream import FakeUpstream

ASKED = [{"role": "user", "content": "How deep is the sea?"}]
GIVEN = "Answer to: How deep is the sea?"
CALLS = (ToolCall("depth", '{"sea": "Ægean", "unit": "m"}'), ToolCall("tide", '{"hour": 6}'))
FULL = Reply("It is deep. 🐋\n", reasoning="Think of it.\n\nThink again.", tool_calls=CALLS)
UNKNOWN = {"x_unknown": {"nested": [1, 2.5, "ü"]}}


class Depth(BaseModel):
    metres: int


@pytest.fixture
def upstream():
    with FakeUpstream() as server:
        yield server


@pytest.fixture
def client(upstream):
    with OpenAI(base_url=upstream.url + "/v1", api_key="any", max_retries=0) as opened:
        yield opened


@pytest.fixture
def claude(upstream):
    with Anthropic(base_url=upstream.url, api_key="any", max_retries=0) as opened:
        yield opened


@pytest.fixture
def gemini(upstream):
    options = genai_types.HttpOptions(base_url=upstream.url)
    opened = genai.Client(api_key="any", http_options=options)
    yield opened
    opened.close()


@pytest.fixture
def plain(upstream):
    with httpx.Client(base_url=upstream.url) as opened:
        yield opened


def ask(client, **more):
    return client.chat.completions.create(model="gpt-4o", messages=ASKED, **more)


def ask_claude(claude, **more):
    return claude.messages.create(model="claude-x", max_tokens=99, messages=ASKED, **more)


# Chat completions


def test_chat_answers_the_last_user_message_and_counts_words(client):
    answer = ask(client)
    assert answer.choices[0].message.content == GIVEN
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 7)
    assert answer.model == "gpt-4o"


def test_rag_is_explained_however_it_is_asked_for(client):
    for question in ("What is RAG?", "Explain retrieval-augmented generation."):
        messages = [{"role": "user", "content": question}]
        answer = client.chat.completions.create(model="gpt-4o", messages=messages)
        assert "Retrieval-Augmented Generation (RAG)" in answer.choices[0].message.content


def test_two_calls_differ_in_id_time_and_request_id(client):
    first, second = ask(client), ask(client)
    assert first.id != second.id
    assert first.created != second.created
    assert first._request_id != second._request_id


def test_a_chat_stream_through_the_sdk_is_the_whole_answer(upstream, client):
    upstream.script = lambda request: FULL
    whole = ask(client).choices[0]
    with client.chat.completions.stream(model="gpt-4o", messages=ASKED) as stream:
        told = stream.get_final_completion().choices[0]
    assert told.message.content == whole.message.content == FULL.text
    assert told.finish_reason == whole.finish_reason == "tool_calls"
    for choice in (whole, told):
        called = [
            (call.function.name, call.function.arguments) for call in choice.message.tool_calls
        ]
        assert called == [(call.name, call.arguments) for call in CALLS]
        assert choice.message.reasoning_content == FULL.reasoning


def test_tool_arguments_come_in_pieces(upstream, client):
    upstream.script = lambda request: Reply(tool_calls=CALLS)
    deltas = [chunk.choices[0].delta.tool_calls for chunk in ask(client, stream=True)]
    named = [piece[0].function.name for piece in deltas if piece and piece[0].id]
    assert named == ["depth", "tide"]
    assert len([piece for piece in deltas if piece]) > 6


def test_a_stream_shows_usage_only_when_asked(client):
    for chunk in ask(client, stream=True):
        assert "usage" not in chunk.model_fields_set
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    assert all("usage" in chunk.model_fields_set for chunk in chunks)
    assert [chunk.usage is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert chunks[-1].choices == []
    assert chunks[-1].usage == ask(client).usage


def test_several_choices_come_interleaved_and_each_is_whole(upstream, client):
    whole = ask(client, n=3)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    texts = ["", "", ""]
    order = []
    for chunk in ask(client, n=3, stream=True):
        choice = chunk.choices[0]
        order.append(choice.index)
        texts[choice.index] += choice.delta.content or ""
    assert texts == [choice.message.content for choice in whole.choices]
    assert order[:6] == [0, 1, 2, 0, 1, 2]
    upstream.script = lambda request: Reply(
        choices=(Message("a"), Message("b", finish_reason="length"))
    )
    given = [(choice.message.content, choice.finish_reason) for choice in ask(client).choices]
    assert given == [("a", "stop"), ("b", "length")]


def test_logprobs_come_when_asked_and_are_the_same_in_a_stream(upstream, client):
    assert ask(client).choices[0].logprobs is None
    asked = {"logprobs": True, "top_logprobs": 2}
    whole = ask(client, **asked).choices[0].logprobs.content
    assert "".join(token.token for token in whole) == GIVEN
    assert {len(token.top_logprobs) for token in whole} == {2}
    chunks = [chunk.choices[0].logprobs for chunk in ask(client, stream=True, **asked)]
    assert [token for logprobs in chunks if logprobs for token in logprobs.content] == whole
    upstream.script = lambda request: Reply("so be it", logprobs=(-0.5, -0.25))
    given = ask(client).choices[0].logprobs.content
    assert [token.logprob for token in given][:2] == [-0.5, -0.25]
    assert len(given) == 3


def test_a_refusal_is_refused_whole_and_streamed(upstream, client):
    upstream.script = lambda request: Reply(refusal="I will not.")
    assert ask(client).choices[0].message.refusal == "I will not."
    assert ask(client).choices[0].message.content is None
    said = [chunk.choices[0].delta.refusal for chunk in ask(client, stream=True)]
    assert "".join(filter(None, said)) == "I will not."


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_finish_reason_is_told_in_chat(upstream, client, reason):
    upstream.script = lambda request: Reply("cut", finish_reason=reason)
    assert ask(client).choices[0].finish_reason == reason
    assert list(ask(client, stream=True))[-1].choices[0].finish_reason == reason


def test_usage_may_be_given(upstream, client):
    upstream.script = lambda request: Reply(
        usage=Usage(100, 20, cached_tokens=60, reasoning_tokens=5)
    )
    usage = ask(client).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (100, 20, 120)
    assert usage.prompt_tokens_details.cached_tokens == 60
    assert usage.completion_tokens_details.reasoning_tokens == 5


def test_parse_reads_json_into_a_class(upstream, client):
    upstream.script = lambda request: Reply('{"metres": 3688}')
    answer = client.chat.completions.parse(model="gpt-4o", messages=ASKED, response_format=Depth)
    assert answer.choices[0].message.parsed == Depth(metres=3688)
    response = client.responses.parse(model="gpt-4o", input="depth?", text_format=Depth)
    assert response.output_parsed == Depth(metres=3688)


def test_the_async_client_is_answered_too(upstream):
    async def both():
        async with AsyncOpenAI(base_url=upstream.url + "/v1", api_key="any") as client:
            answers = await asyncio.gather(*(ask(client) for _ in range(20)))
            said = [chunk async for chunk in await ask(client, stream=True)]
        async with AsyncAnthropic(base_url=upstream.url, api_key="any") as claude:
            return answers, said, await ask_claude(claude)

    answers, said, message = asyncio.run(both())
    assert {answer.choices[0].message.content for answer in answers} == {GIVEN}
    assert "".join(chunk.choices[0].delta.content or "" for chunk in said) == GIVEN
    assert message.content[0].text == GIVEN
    assert len({answer.id for answer in answers}) == 20


# Azure, Groq, Mistral


def test_azure_finds_its_deployment_and_opens_with_its_filter(upstream):
    with AzureOpenAI(
        azure_endpoint=upstream.url, api_version="2024-10-21", api_key="any", max_retries=0
    ) as client:
        assert ask(client).choices[0].message.content == GIVEN
        chunks = list(ask(client, stream=True))
        upstream.script = lambda request: Reply(status=429)
        with pytest.raises(openai.RateLimitError):
            ask(client)
    assert upstream.requests[0].path == "/openai/deployments/gpt-4o/chat/completions"
    assert upstream.requests[0].query == "api-version=2024-10-21"
    assert chunks[0].choices == []
    assert "prompt_filter_results" in chunks[0].model_extra
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[1:]) == GIVEN


def test_groq_is_answered_whole_and_streamed(upstream):
    with Groq(base_url=upstream.url, api_key="any", max_retries=0) as client:
        upstream.script = lambda request: FULL
        whole = ask(client)
        chunks = list(ask(client, stream=True))
        upstream.script = lambda request: Reply(status=400, error="No.")
        with pytest.raises(Exception, match=r"No\.") as caught:
            ask(client)
    assert upstream.requests[0].path == "/openai/v1/chat/completions"
    assert whole.choices[0].message.reasoning == FULL.reasoning
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == FULL.text
    assert chunks[-1].x_groq.usage.total_tokens == whole.usage.total_tokens
    assert caught.value.status_code == 400


def test_mistral_is_answered_whole_and_streamed(upstream):
    with Mistral(server_url=upstream.url, api_key="any") as client:
        upstream.script = lambda request: Reply("It is deep.", tool_calls=CALLS)
        whole = client.chat.complete(model="mistral-small", messages=ASKED)
        events = [event.data for event in client.chat.stream(model="mistral-small", messages=ASKED)]
        vectors = client.embeddings.create(model="mistral-embed", inputs=["a", "b"])
    assert whole.choices[0].message.content == "It is deep."
    assert whole.choices[0].message.tool_calls[0].function.arguments == CALLS[0].arguments
    assert "".join(event.choices[0].delta.content or "" for event in events) == "It is deep."
    assert events[-1].usage.total_tokens == whole.usage.total_tokens
    assert events[-1].choices[0].finish_reason == "tool_calls"
    assert len(vectors.data) == 2


# Completions, embeddings, models


def test_a_completion_answers_every_prompt(client):
    asked = {"model": "gpt-3.5-turbo-instruct", "prompt": ["one", "two"], "logprobs": 1}
    whole = client.completions.create(**asked)
    assert [choice.text for choice in whole.choices] == ["Answer to: one", "Answer to: two"]
    texts, tokens = ["", ""], []
    for chunk in client.completions.create(**asked, stream=True):
        choice = chunk.choices[0]
        texts[choice.index] += choice.text
        tokens += choice.logprobs.tokens if choice.logprobs else []
    assert texts == ["Answer to: one", "Answer to: two"]
    assert tokens[:3] == whole.choices[0].logprobs.tokens


def test_an_embedding_depends_on_its_own_input_alone(upstream, client):
    def embed(content, **more):
        made = client.embeddings.create(model="text-embedding-3-small", input=content, **more)
        return [item.embedding for item in made.data]

    one, two = embed(["one", "two"])
    assert one != two
    assert embed("one") == [one]
    assert embed(["two", "one"]) == [two, one]
    assert embed([[1, 2], [3]]) == [*embed([1, 2]), *embed([3])]
    assert len(one) == 8
    assert [len(vector) for vector in embed(["one"], dimensions=3)] == [3]
    assert sum(number * number for number in one) == pytest.approx(1.0)
    # The SDK asks for base64 and decodes it; plain numbers must be the very same.
    assert "base64" in upstream.requests[0].json["encoding_format"]
    assert embed("one", encoding_format="float") == [one]


def test_base64_embeddings_are_32_bit_floats_little_end_first(plain):
    asked = {"model": "m", "input": "one", "encoding_format": "base64"}
    coded = plain.post("/v1/embeddings", json=asked).json()["data"][0]["embedding"]
    asked["encoding_format"] = "float"
    numbers = plain.post("/v1/embeddings", json=asked).json()["data"][0]["embedding"]
    assert list(struct.unpack("<8f", base64.b64decode(coded))) == numbers


def test_models_are_listed(client):
    assert "gpt-4o" in [model.id for model in client.models.list()]


# Responses


def test_a_response_stream_tells_every_event_in_order(upstream, client):
    upstream.script = lambda request: FULL
    whole = client.responses.create(model="gpt-4o", input="How deep?")
    events = list(client.responses.create(model="gpt-4o", input="How deep?", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.reasoning_summary_part.done") == 2
    assert kinds.count("response.function_call_arguments.done") == 2
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text == FULL.text
    told = events[-1].response
    assert [item.type for item in told.output] == [item.type for item in whole.output]
    assert [item.type for item in told.output] == ["reasoning", "message", *["function_call"] * 2]
    assert told.output[2].arguments == CALLS[0].arguments
    assert told.usage == whole.usage


def test_the_responses_helper_puts_a_stream_together(upstream, client):
    upstream.script = lambda request: FULL
    with client.responses.stream(model="gpt-4o", input="How deep?") as stream:
        told = stream.get_final_response()
    assert told.output_text == FULL.text
    assert told.output[3].name == "tide"


def test_a_response_repeats_what_was_asked_of_it(client):
    asked = {"temperature": 0, "instructions": "Be brief.", "metadata": {"who": "me"}}
    answer = client.responses.create(model="gpt-4o", input=ASKED, **asked)
    assert answer.output_text == GIVEN
    assert (answer.temperature, answer.instructions) == (0, "Be brief.")
    assert answer.metadata == {"who": "me"}


def test_a_response_cut_short_is_incomplete(upstream, client):
    upstream.script = lambda request: Reply("It is", finish_reason="length")
    answer = client.responses.create(model="gpt-4o", input="How deep?")
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    events = list(client.responses.create(model="gpt-4o", input="How deep?", stream=True))
    assert events[-1].type == "response.incomplete"


def test_a_response_gives_logprobs_and_refusals(upstream, client):
    asked = {"model": "gpt-4o", "input": "How deep?", "include": ["message.output_text.logprobs"]}
    answer = client.responses.create(**asked, top_logprobs=1)
    assert (
        "".join(token.token for token in answer.output[0].content[0].logprobs) == answer.output_text
    )
    upstream.script = lambda request: Reply(refusal="I will not.")
    assert client.responses.create(**asked).output[0].content[0].refusal == "I will not."
    kinds = [event.type for event in client.responses.create(**asked, stream=True)]
    assert "response.refusal.done" in kinds


# Anthropic


def test_a_message_stream_through_the_sdk_is_the_whole_message(upstream, claude):
    upstream.script = lambda request: FULL
    whole = ask_claude(claude)
    with claude.messages.stream(model="claude-x", max_tokens=99, messages=ASKED) as stream:
        told = stream.get_final_message()
    for message in (whole, told):
        assert [block.type for block in message.content] == ["thinking", "text", *["tool_use"] * 2]
        assert message.content[0].thinking == FULL.reasoning
        assert message.content[0].signature
        assert message.content[1].text == FULL.text
        assert message.content[2].input == json.loads(CALLS[0].arguments)
        assert message.stop_reason == "tool_use"
    assert told.usage.output_tokens == whole.usage.output_tokens


def test_a_message_stream_has_the_real_order_of_events(plain):
    asked = {"model": "m", "max_tokens": 9, "messages": ASKED, "stream": True}
    body = plain.post("/v1/messages", json=asked)
    assert body.headers["content-type"].startswith("text/event-stream")
    names = [line[7:] for line in body.text.splitlines() if line.startswith("event: ")]
    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(names[3:-3]) == {"content_block_delta"}


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (Reply("so"), "end_turn"),
        (Reply("so", finish_reason="length"), "max_tokens"),
        (Reply("so", finish_reason="content_filter"), "refusal"),
        (Reply("so", finish_reason="pause_turn"), "pause_turn"),
        (Reply(refusal="I will not."), "refusal"),
        (Reply(tool_calls=CALLS), "tool_use"),
    ],
)
def test_a_finish_reason_is_put_in_anthropics_words(upstream, claude, reply, word):
    upstream.script = lambda request: reply
    assert ask_claude(claude).stop_reason == word
    ends = [event for event in ask_claude(claude, stream=True) if event.type == "message_delta"]
    assert ends[0].delta.stop_reason == word


def test_anthropic_counts_cached_input_apart(upstream, claude):
    upstream.script = lambda request: Reply(usage=Usage(100, 20, cached_tokens=60))
    usage = ask_claude(claude).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (40, 60, 20)


def test_anthropic_counts_tokens_and_names_its_requests(claude):
    assert claude.messages.count_tokens(model="claude-x", messages=ASKED).input_tokens == 5
    assert ask_claude(claude)._request_id != ask_claude(claude)._request_id


def test_anthropic_parses_json_into_a_class(upstream, claude):
    upstream.script = lambda request: Reply('{"metres": 3688}')
    asked = {"model": "claude-x", "max_tokens": 99, "messages": ASKED}
    assert claude.messages.parse(**asked, output_format=Depth).parsed_output == Depth(metres=3688)


# Gemini


def test_gemini_answers_whole_and_streamed(upstream, gemini):
    upstream.script = lambda request: FULL
    asked = {"model": "gemini-x", "contents": "How deep is the sea?"}
    whole = gemini.models.generate_content(**asked)
    chunks = list(gemini.models.generate_content_stream(**asked))
    parts = whole.candidates[0].content.parts
    assert parts[0].thought
    assert parts[1].text == FULL.text
    assert [part.function_call.args for part in parts[2:]] == [
        json.loads(call.arguments) for call in CALLS
    ]
    told = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    said = [part.text for part in told if part.text and not part.thought]
    assert "".join(said) == FULL.text
    assert chunks[-1].candidates[0].finish_reason == whole.candidates[0].finish_reason == "STOP"
    assert chunks[-1].usage_metadata == whole.usage_metadata
    assert upstream.requests[1].query == "alt=sse"


def test_gemini_has_its_own_words_for_what_went_wrong(upstream, gemini):
    replies = {
        "MAX_TOKENS": Reply("so", finish_reason="length"),
        "SAFETY": Reply("so", finish_reason="content_filter"),
        "MALFORMED_FUNCTION_CALL": Reply(tool_calls=(ToolCall("depth", '{"sea": '),)),
    }
    for word, reply in replies.items():
        upstream.script = lambda request, reply=reply: reply
        answer = gemini.models.generate_content(model="gemini-x", contents="How deep?")
        assert answer.candidates[0].finish_reason == word
    upstream.script = lambda request: Reply(refusal="I will not.")
    answer = gemini.models.generate_content(model="gemini-x", contents="How deep?")
    assert answer.prompt_feedback.block_reason == "SAFETY"
    upstream.script = lambda request: Reply(status=429, error="Slow down.")
    with pytest.raises(genai_errors.ClientError, match="RESOURCE_EXHAUSTED") as caught:
        gemini.models.generate_content(model="gemini-x", contents="How deep?")
    assert caught.value.message == "Slow down."


def test_gemini_gives_candidates_logprobs_and_vectors(gemini):
    answer = gemini.models.generate_content(
        model="gemini-x",
        contents="How deep?",
        config={"response_logprobs": True, "candidate_count": 2},
    )
    assert len(answer.candidates) == 2
    chosen = answer.candidates[0].logprobs_result.chosen_candidates
    assert "".join(candidate.token for candidate in chosen) == "Answer to: How deep?"
    made = gemini.models.embed_content(model="e", contents=["one", "two"]).embeddings
    assert made[0].values != made[1].values
    assert len(made) == 2


# Errors


def test_errors_come_in_openais_shape(upstream, client):
    upstream.script = lambda request: Reply(status=429, error="Slow down.")
    with pytest.raises(openai.RateLimitError, match=r"Slow down\.") as caught:
        ask(client)
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["retry-after"] == "1"
    for status, kind in ((400, openai.BadRequestError), (500, openai.InternalServerError)):
        upstream.script = lambda request, status=status: Reply(status=status)
        with pytest.raises(kind):
            ask(client, stream=True)


def test_errors_come_in_anthropics_shape(upstream, claude):
    kinds = {429: "rate_limit_error", 400: "invalid_request_error", 529: "overloaded_error"}
    for status, kind in kinds.items():
        upstream.script = lambda request, status=status: Reply(status=status, error="No.")
        with pytest.raises(anthropic.APIStatusError) as caught:
            ask_claude(claude)
        assert caught.value.status_code == status
        assert caught.value.body["error"] == {"type": kind, "message": "No."}


def test_an_unknown_path_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        client.post("/nowhere", cast_to=object)


def test_replies_in_turn_let_an_sdk_retry(upstream):
    hurry = {"retry-after-ms": "1"}
    upstream.script = in_turn(
        Reply(status=429), Reply(status=503, headers=hurry), Reply("At last.")
    )
    with OpenAI(base_url=upstream.url + "/v1", api_key="any", max_retries=2) as client:
        assert ask(client).choices[0].message.content == "At last."
        assert ask(client).choices[0].message.content == GIVEN
    assert upstream.calls == 4


def test_a_script_that_fails_is_seen_by_the_client(upstream, client):
    upstream.script = lambda request: 1 / 0
    with pytest.raises(openai.InternalServerError, match="ZeroDivisionError"):
        ask(client)
    upstream.script = None
    assert ask(client).choices[0].message.content == GIVEN


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b"\xff\xfe",
        b'{"a":' * 50_000,
        b'{"messages": 5, "n": "x"}',
        b'{"n": 1e999}',
    ],
)
def test_no_body_ends_the_connection(plain, body):
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"):
        assert plain.post(path, content=body).status_code in (200, 400, 500)


# Broken and strange answers


def test_a_dropped_stream_ends_without_its_terminal_event(upstream, client, claude):
    upstream.script = lambda request: Reply(cut_after=3)
    chunks = []
    with pytest.raises(openai.APIConnectionError):
        chunks.extend(ask(client, stream=True))
    events = iter(ask_claude(claude, stream=True))
    # The third frame is the ping, which the SDK keeps to itself.
    assert [next(events).type for _ in range(2)] == ["message_start", "content_block_start"]
    with pytest.raises(Exception, match="peer closed") as caught:
        next(events)
    assert not isinstance(caught.value, anthropic.APIStatusError)


def test_a_stream_cut_cleanly_lacks_only_its_end(upstream, client):
    upstream.script = lambda request: Reply(cut_after=3, cut_cleanly=True)
    chunks = list(ask(client, stream=True))
    assert len(chunks) == 3
    assert chunks[-1].choices[0].finish_reason is None


def test_a_whole_answer_can_be_cut_or_never_come(upstream, client):
    for reply in (Reply(cut_after=0), Reply(status=0)):
        upstream.script = lambda request, reply=reply: reply
        with pytest.raises(openai.APIConnectionError):
            ask(client)


def test_an_error_can_end_a_stream(upstream, client, claude, gemini):
    upstream.script = lambda request: Reply(cut_after=2, error="Overloaded.")
    with pytest.raises(openai.APIError, match=r"Overloaded\."):
        list(ask(client, stream=True))
    with pytest.raises(anthropic.APIStatusError, match=r"Overloaded\."):
        list(ask_claude(claude, stream=True))
    events = list(client.responses.create(model="gpt-4o", input="How deep?", stream=True))
    assert events[-1].type == "error"
    assert events[-1].sequence_number == 2
    told = gemini.models.generate_content_stream(model="gemini-x", contents="How deep?")
    with pytest.raises(genai_errors.APIError, match=r"Overloaded\."):
        list(told)


def test_broken_tool_json_arrives_as_it_was_written(upstream, client, claude):
    upstream.script = lambda request: Reply(tool_calls=(ToolCall("depth", '{"sea": "Æg'),))
    assert ask(client).choices[0].message.tool_calls[0].function.arguments == '{"sea": "Æg'
    events = ask_claude(claude, stream=True)
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    assert "".join(delta.partial_json for delta in deltas) == '{"sea": "Æg'


def test_unknown_fields_reach_every_level(upstream, client, claude):
    upstream.script = lambda request: Reply("So.", tool_calls=CALLS, extra=UNKNOWN)
    answer = ask(client)
    choice = answer.choices[0]
    for level in (
        answer,
        answer.usage,
        choice,
        choice.message,
        choice.message.tool_calls[0].function,
    ):
        assert level.model_extra["x_unknown"] == UNKNOWN["x_unknown"]
    for chunk in ask(client, stream=True):
        assert chunk.choices[0].delta.model_extra["x_unknown"] == UNKNOWN["x_unknown"]
    message = ask_claude(claude)
    assert message.content[0].model_extra["x_unknown"] == UNKNOWN["x_unknown"]
    assert message.content[1].input == json.loads(CALLS[0].arguments)


def test_raw_bytes_are_sent_untouched(upstream, client, plain):
    upstream.script = lambda request: Reply(raw=b"<html>busy</html>", content_type="text/html")
    answer = plain.post("/v1/chat/completions", json={})
    assert (answer.content, answer.headers["content-type"]) == (b"<html>busy</html>", "text/html")
    packed = gzip.compress(b'{"id": "packed"}')
    upstream.script = lambda request: Reply(raw=packed, headers={"content-encoding": "gzip"})
    assert ask(client).id == "packed"


def test_raw_frames_may_split_anywhere(upstream, client):
    chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": "🐋"}}]}
    whole = f"data: {json.dumps(chunk, ensure_ascii=False)}\n\ndata: [DONE]\n\n".encode()
    frames = tuple(whole[place : place + 1] for place in range(len(whole)))
    upstream.script = lambda request: Reply(raw=frames, content_type="text/event-stream")
    assert [chunk.choices[0].delta.content for chunk in ask(client, stream=True)] == ["🐋"]


def test_headers_may_be_added_and_replaced(upstream, client):
    headers = {"x-new": "1", "x-request-id": "mine"}
    upstream.script = lambda request: Reply(headers=headers)
    answer = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=ASKED)
    assert answer.headers["x-new"] == "1"
    assert answer.request_id == "mine"


# Counting, holding, closing


def test_requests_are_recorded_as_they_came(upstream, client):
    ask(client, temperature=0)
    client.models.list()
    first = upstream.requests[0]
    assert (first.number, first.method, first.path) == (1, "POST", "/v1/chat/completions")
    assert first.headers["authorization"] == "Bearer any"
    assert first.json["temperature"] == 0
    assert json.loads(first.body) == first.json
    assert upstream.calls == 2
    assert upstream.count("/chat/completions") == 1
    upstream.forget()
    assert (upstream.calls, upstream.requests) == (0, [])
    assert ask(client).id.endswith("-3")


def test_a_body_in_chunks_is_read(plain, upstream):
    body = json.dumps({"messages": ASKED}).encode()
    answer = plain.post("/v1/chat/completions", content=iter([body[:9], body[9:]]))
    assert answer.json()["choices"][0]["message"]["content"] == GIVEN
    assert upstream.requests[0].body == body


def test_a_client_that_takes_it_for_a_proxy_is_answered(upstream):
    with httpx.Client(proxy=upstream.url) as client:
        answer = client.post("http://api.test/v1/chat/completions", json={"messages": ASKED})
    assert answer.status_code == 200
    assert upstream.requests[0].path == "/v1/chat/completions"


def test_one_connection_serves_many_requests(plain, upstream):
    for _ in range(3):
        plain.get("/v1/models")
    assert len({request.headers["host"] for request in upstream.requests}) == 1
    assert len(upstream._server._connections) == 1


def test_held_answers_are_counted_but_wait(upstream, client):
    with ThreadPoolExecutor(3) as pool:
        with upstream.held():
            asked = [pool.submit(ask, client) for _ in range(3)]
            upstream.wait_for_calls(3)
            with pytest.raises(TimeoutError, match="3 calls, 3 of them unanswered"):
                upstream.wait_until_idle(timeout=0.01)
            assert not any(future.done() for future in asked)
        assert len({future.result().id for future in asked}) == 3
    upstream.wait_until_idle()
    assert upstream.abandoned == 0


def test_a_held_stream_goes_on_frame_by_frame(upstream, client):
    with upstream.held(after_frames=2) as hold:
        stream = ask(client, stream=True)
        seen = [next(stream), next(stream)]
        rest = ThreadPoolExecutor(1)
        third = rest.submit(next, stream)
        assert not third.done()
        hold.allow(3)
        seen.append(third.result())
        hold.release()
        seen += stream
        rest.shutdown()
    said = [chunk.choices[0].delta.content or "" for chunk in seen]
    assert "".join(said) == GIVEN


def test_holds_add_up(upstream, client):
    with ThreadPoolExecutor(1) as pool, upstream.held():
        with upstream.held() as inner:
            asked = pool.submit(ask, client)
            upstream.wait_for_calls(1)
            inner.release()
        assert not asked.done()
        with pytest.raises(TimeoutError):
            upstream.wait_until_idle(timeout=0.01)
        upstream._gate.shut()
        with pytest.raises(openai.APIConnectionError):
            asked.result()


def test_an_answer_nobody_stayed_for_is_counted(upstream, client):
    with upstream.held(after_frames=1):
        stream = ask(client, stream=True)
        next(stream)
        stream.close()
    upstream.wait_until_idle()
    assert upstream.abandoned == 1
    upstream.forget()
    list(ask(client, stream=True))
    upstream.wait_until_idle()
    assert upstream.abandoned == 0


def test_delays_and_pauses_take_their_time(upstream, client):
    upstream.script = lambda request: Reply("one two three", delay=0.03, pause=0.01)
    began = time.monotonic()
    ask(client)
    whole = time.monotonic() - began
    began = time.monotonic()
    frames = len(list(ask(client, stream=True))) + 1
    assert whole >= 0.03
    assert time.monotonic() - began >= 0.03 + 0.01 * (frames - 1)


def test_closing_waits_for_nothing():
    upstream = FakeUpstream(lambda request: Reply(delay=3600.0))
    with upstream, OpenAI(base_url=upstream.url + "/v1", api_key="any", max_retries=0) as client:
        with ThreadPoolExecutor(2) as pool:
            late = pool.submit(ask, client)
            upstream.wait_for_calls(1)
            upstream.script = None
            with upstream.held():
                held = pool.submit(ask, client)
                upstream.wait_for_calls(2)
                began = time.monotonic()
                upstream.close()
                assert time.monotonic() - began < 1.0
            for future in (late, held):
                assert isinstance(future.exception(), openai.APIConnectionError)
        with pytest.raises(openai.APIConnectionError):
            ask(client)


def test_it_must_be_started_before_it_has_an_address():
    with pytest.raises(RuntimeError, match="with FakeUpstream"):
        _ = FakeUpstream().url


def test_two_hundred_threads_are_answered_at_once(upstream):
    ready = threading.Barrier(200)

    def call(number):
        body = {"messages": [{"role": "user", "content": f"Question {number}"}]}
        ready.wait()
        return plain.post("/v1/chat/completions", json=body, timeout=30).json()

    limits = httpx.Limits(max_connections=200)
    with (
        httpx.Client(base_url=upstream.url, limits=limits) as plain,
        ThreadPoolExecutor(200) as pool,
    ):
        with upstream.held():
            asked = [pool.submit(call, number) for number in range(200)]
            upstream.wait_for_calls(200, timeout=30.0)
        answers = [future.result() for future in asked]
    told = [answer["choices"][0]["message"]["content"] for answer in answers]
    assert told == [f"Answer to: Question {number}" for number in range(200)]
    assert len({answer["id"] for answer in answers}) == 200
