"""What every dialect promises: it is found, it never raises, and it changes nothing."""

from __future__ import annotations

import copy
import json
import time
import typing

import pytest
from anthropic.types import message_create_params as messages
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import completion_create_params as completions
from openai.types import embedding_create_params as embeddings
from openai.types.chat import completion_create_params as chat
from openai.types.responses import response_create_params as responses

from askonce import dialects
from askonce.dialects import wire
from askonce.dialects.contract import Facts
from askonce.frames import Event

EACH = pytest.mark.parametrize("dialect", dialects.ALL, ids=lambda dialect: dialect.name)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "openai.chat"),
        ("/openai/deployments/gpt/chat/completions", "openai.chat"),
        ("/api/v1/chat/completions", "openai.chat"),
        ("/v1/completions", "openai.completions"),
        ("/openai/deployments/gpt/completions", "openai.completions"),
        ("/v1/responses", "openai.responses"),
        ("/openai/responses", "openai.responses"),
        ("/v1/embeddings", "openai.embeddings"),
        ("/v1/messages", "anthropic.messages"),
        ("/anthropic/v1/messages", "anthropic.messages"),
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini.generate_content"),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent", "gemini.generate_content"),
    ],
)
def test_a_path_leads_to_its_dialect(path, name):
    found = dialects.find(path)
    assert found is not None
    assert found.name == name
    assert dialects.named(name) is found
    assert [dialect for dialect in dialects.ALL if dialect.matches(path)] == [found]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1/models",
        "/v1/chat/completions/chatcmpl-1",
        "/v1/responses/resp_1",
        "/v1/messages/count_tokens",
        "/v1/messages/batches",
        "/v1/threads/thread_1/messages",
        "/v1beta/models/gemini-2.5-pro:countTokens",
        "/v1beta/models/gemini-2.5-pro:embedContent",
    ],
)
def test_other_paths_lead_nowhere(path):
    assert dialects.find(path) is None


def test_an_unknown_name_leads_nowhere():
    assert dialects.named("openai.telepathy") is None
    assert len({dialect.name for dialect in dialects.ALL}) == len(dialects.ALL)


def fields(*params) -> set[str]:
    return {name for each in params for name in typing.get_type_hints(each)}


@pytest.mark.parametrize(
    ("name", "known", "neutral"),
    [
        (
            "openai.chat",
            fields(chat.CompletionCreateParamsStreaming),
            """
            stream stream_options user metadata safety_identifier prompt_cache_key
            prompt_cache_options prompt_cache_retention service_tier store
            """,
        ),
        (
            "openai.responses",
            fields(responses.ResponseCreateParamsStreaming),
            """
            stream stream_options user metadata safety_identifier prompt_cache_key
            prompt_cache_retention service_tier
            """,
        ),
        (
            "openai.completions",
            fields(completions.CompletionCreateParamsStreaming),
            "stream stream_options user",
        ),
        ("openai.embeddings", fields(embeddings.EmbeddingCreateParams), "user"),
        (
            "anthropic.messages",
            fields(messages.MessageCreateParamsStreaming),
            "stream metadata service_tier",
        ),
    ],
)
def test_all_fields_of_the_sdk_count_but_those_proven_neutral(name, known, neutral):
    dialect = dialects.named(name)
    assert dialect is not None
    assert dialect.neutral == set(neutral.split())
    assert dialect.neutral <= known


# Anything at all

WORDS = st.sampled_from(
    """
    id object model choices message delta content role tool_calls function name arguments index
    finish_reason stop refusal text type logprobs usage error output status completed item summary
    function_call custom custom_tool_call input output_text stop_reason end_turn tool_use thinking
    content_block signature candidates parts finishReason STOP functionCall args promptFeedback
    blockReason usageMetadata data embedding tools environment shell namespace temperature stream
    stream_options include_usage prompt conversation container mcp_servers generationConfig
    message_start message_delta message_stop content_block_start content_block_delta
    content_block_stop text_delta input_json_delta partial_json response.completed response
    incomplete incomplete_details reason x_groq annotations citations reasoning output_tokens
    input_tokens function_declarations audio images plugins message_1 annotation
    """.split()
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | st.text(max_size=5)
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)
OBJECTS = st.dictionaries(WORDS, JSON, max_size=6)

# Almost an answer: one right in its frame, with anything inside.
ALMOST = st.one_of(
    st.builds(
        lambda message, finish: {"choices": [{"message": message, "finish_reason": finish}]},
        OBJECTS | JSON,
        st.just("stop") | JSON,
    ),
    st.builds(lambda output: {"status": "completed", "output": output}, st.lists(OBJECTS) | JSON),
    st.builds(
        lambda content: {"stop_reason": "end_turn", "content": content}, st.lists(OBJECTS) | JSON
    ),
    st.builds(
        lambda content: {"candidates": [{"finishReason": "STOP", "content": content}]},
        OBJECTS | st.lists(OBJECTS).map(lambda parts: {"parts": parts}),
    ),
    st.builds(lambda data: {"data": data}, st.lists(OBJECTS) | JSON),
    OBJECTS,
)


@EACH
@settings(deadline=None)
@given(st.text(max_size=30), OBJECTS)
def test_any_request_has_facts(dialect, path, body):
    before = copy.deepcopy(body)
    facts = dialect.facts(path, body)
    assert isinstance(facts, Facts)
    assert isinstance(facts.model, str)
    dialect.ask_usage(body)
    assert json.dumps(body) == json.dumps(before)


@EACH
@settings(deadline=None)
@given(ALMOST)
def test_any_answer_is_judged_counted_and_told(dialect, answer):
    before = copy.deepcopy(answer)
    flaw = dialect.flaw(answer)
    assert flaw is None or flaw.advice
    assert all(isinstance(count, int) and count >= 0 for count in dialect.usage(answer).values())
    told = list(dialect.events(answer, Facts(stream=True)))
    found = dialect.whole(told)
    if flaw is None and told:
        assert found is not None
        assert dialect.flaw(found) is None
    assert json.dumps(answer) == json.dumps(before)


EVENTS = st.lists(
    st.builds(
        Event,
        OBJECTS.map(json.dumps) | st.sampled_from(["[DONE]", "", "null", "{", "NaN", "[]"]),
        st.none() | WORDS,
    ),
    max_size=6,
)


@EACH
@settings(deadline=None)
@given(EVENTS)
def test_any_stream_is_an_answer_or_none(dialect, stream):
    found = dialect.whole(stream)
    assert found is None or isinstance(found, dict)
    for event in stream:
        assert dialect.terminal(event) in (True, False)
        shown = dialect.show(event, Facts(usage_asked=False))
        assert shown is None or isinstance(shown, Event)


@EACH
def test_an_answer_nested_too_deep_is_not_kept(dialect):
    deep: list = []
    for _ in range(900):
        deep = [deep]
    good = {
        "choices": [
            {"index": 0, "finish_reason": "stop", "text": "Hi", "message": {"content": "Hi"}}
        ],
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}],
        "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Hi"}],
        "candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": "Hi"}]}}],
        "data": [{"embedding": [0.5]}],
    }
    assert dialect.flaw(good) is None
    assert dialect.flaw({**good, "x": deep}).code == "malformed"
    dialect.whole([Event(json.dumps({**good, "x": deep})), Event("[DONE]")])


def test_a_delta_nested_too_deep_is_no_answer():
    deep = '{"a": ' * 900 + "1" + "}" * 900
    piece = f'{{"choices": [{{"delta": {deep}, "finish_reason": "stop"}}]}}'
    assert dialects.named("openai.chat").whole([Event(piece), Event("[DONE]")]) is None


def test_a_long_stream_costs_time_in_its_length_only():
    piece = {"id": "x", "choices": [{"index": 0, "delta": {"content": "a word "}}]}
    last = {"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    stream = [Event(json.dumps(piece))] * 100_000 + [Event(json.dumps(last)), Event("[DONE]")]
    begun = time.process_time()
    found = dialects.named("openai.chat").whole(stream)
    # Gluing the 700 KB together piece by piece would copy 35 GB.
    assert time.process_time() - begun < 5
    assert len(found["choices"][0]["message"]["content"]) == 700_000


# Numbers


@settings(deadline=None)
@given(JSON)
def test_json_is_read_as_it_was_written(value):
    assert wire.decode(wire.encode(value)) == value
    assert wire.decode(json.dumps(value)) == value


def test_every_integer_keeps_all_its_digits():
    for number in (2**63, -(2**63) - 1, 2**64, 10**30 + 1, -(10**30) - 1):
        assert wire.decode(f'{{"a": {number}}}') == {"a": number}
        assert wire.decode(wire.encode([number])) == [number]


@pytest.mark.parametrize("text", ["NaN", "[NaN, 1234567890123456789]", "", "{", "[" * 2000, "1 2"])
def test_what_is_not_json_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 (orjson and json have messages of their own)
        wire.decode(text)
    assert wire.decode_object(text) is None


def test_a_number_too_long_to_be_a_float_is_infinite():
    assert wire.number(10**400) == float("inf")
    assert wire.number(-(10**400)) == float("-inf")
    assert wire.number(0) == 0.0
