"""Chat completions: a stream read whole, and a whole answer read as a stream, through the SDK."""

from __future__ import annotations

import copy
import json

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI

from askonce import frames
from askonce.dialects.contract import Facts
from askonce.dialects.openai_chat import CHAT
from askonce.frames import Event

ASKED = Facts(stream=True, usage_asked=True)
NOT_ASKED = Facts(stream=True, usage_asked=False)
UNASKED = Facts(stream=True, usage_asked=False, usage_on_request=False)
ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}

HEAD = {
    "id": "chatcmpl-BxYz",
    "created": 1751500000,
    "model": "gpt-4o-2024-08-06",
    "service_tier": "default",
    "system_fingerprint": "fp_07871e2ad8",
}
USAGE = {
    "prompt_tokens": 19,
    "completion_tokens": 10,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0},
}


def client(body: bytes, kind: str) -> OpenAI:
    def handler(request):
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    transport = httpx2.MockTransport(handler)
    return OpenAI(
        api_key="test",
        base_url="http://provider.test/v1",
        http_client=httpx2.Client(transport=transport),
        max_retries=0,
    )


def read_whole(answer: dict):
    """What the SDK makes of a whole answer."""
    with client(json.dumps(answer).encode(), "application/json") as openai:
        return openai.chat.completions.create(**ASK)


def read_chunks(body: bytes) -> list:
    with client(body, "text/event-stream") as openai:
        return list(openai.chat.completions.create(**ASK, stream=True))


def read_stream(body: bytes) -> dict:
    """What the SDK's own accumulator makes of a stream, as far as it is about the answer."""
    with client(body, "text/event-stream") as openai, openai.chat.completions.stream(**ASK) as live:
        return parts(live.get_final_completion())


def parts(completion) -> dict:
    """The answer's own members: what the SDK leaves at None, or adds when it parses, is no part."""
    told = completion.model_dump(exclude_none=True)
    for choice in told["choices"]:
        # The SDK's accumulator sees only the first chunk's members of a choice that it knows not.
        choice.pop("native_finish_reason", None)
        choice["message"].pop("parsed", None)
        choice["message"].pop("annotations", None)
        for call in choice["message"].get("tool_calls", ()):
            call.pop("index", None)
            call.get("function", {}).pop("parsed_arguments", None)
    return told


def sse(*chunks: dict | str) -> bytes:
    return b"".join(
        b"data: %s\n\n" % (chunk if isinstance(chunk, str) else json.dumps(chunk)).encode()
        for chunk in chunks
    )


def chunk(*choices: dict, **more) -> dict:
    return {**HEAD, "object": "chat.completion.chunk", "choices": list(choices), **more}


def piece(delta: dict, finish: str | None = None, index: int = 0, logprobs=None, **more) -> dict:
    return {
        "index": index,
        "delta": delta,
        "logprobs": logprobs,
        "finish_reason": finish,
        **more,
    }


def stream(*choices: dict, usage: bool = True) -> bytes:
    """A stream as OpenAI writes it when usage was asked for."""
    silent = {"usage": None} if usage else {}
    padded = [chunk(choice, **silent, obfuscation="aB3x") for choice in choices]
    counted = [chunk(usage=USAGE, obfuscation="")] if usage else []
    return sse(*padded, *counted, "[DONE]")


def answer(*choices: dict, **more) -> dict:
    return {
        **HEAD,
        "object": "chat.completion",
        "choices": list(choices),
        "usage": USAGE,
        **more,
    }


def choice(message: dict, finish: str = "stop", index: int = 0, logprobs=None, **more) -> dict:
    message = {"role": "assistant", "content": None, "refusal": None, **message}
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": finish,
        **more,
    }


OPENING = {"role": "assistant", "content": "", "refusal": None}


def odds(token: str) -> dict:
    top = [{"token": token, "logprob": -0.00031, "bytes": list(token.encode())}]
    return {"token": token, "logprob": -0.00031, "bytes": list(token.encode()), "top_logprobs": top}


def call(name: str, arguments: str, place: str) -> dict:
    return {"id": place, "type": "function", "function": {"name": name, "arguments": arguments}}


def fragment(index: int, arguments: str) -> dict:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


def opened(index: int, name: str, place: str) -> dict:
    return {"tool_calls": [{"index": index, **call(name, "", place)}]}


TRANSCRIPTS = {
    "text": (
        stream(
            piece(OPENING),
            piece({"content": "Grüß"}),
            piece({"content": " Gott"}),
            piece({}, "stop"),
        ),
        answer(choice({"content": "Grüß Gott"})),
    ),
    "parallel tools in pieces": (
        stream(
            piece({**OPENING, "content": None}),
            piece(opened(0, "weather", "call_a")),
            piece(fragment(0, '{"city":')),
            piece(fragment(0, ' "Łódź"}')),
            piece(opened(1, "time", "call_b")),
            piece(fragment(1, "{}")),
            piece({}, "tool_calls"),
        ),
        answer(
            choice(
                {
                    "tool_calls": [
                        call("weather", '{"city": "Łódź"}', "call_a"),
                        call("time", "{}", "call_b"),
                    ]
                },
                "tool_calls",
            )
        ),
    ),
    "a tool called with its opening": (
        stream(
            piece({**OPENING, "content": None, **opened(0, "weather", "call_a")}),
            piece(fragment(0, '{"city": 12345678901234567890123}')),
            piece({}, "tool_calls"),
        ),
        answer(
            choice(
                {"tool_calls": [call("weather", '{"city": 12345678901234567890123}', "call_a")]},
                "tool_calls",
            )
        ),
    ),
    "reasoning": (
        stream(
            piece({**OPENING, "reasoning_content": ""}),
            piece({"reasoning_content": "Two"}),
            piece({"reasoning_content": " twos."}),
            piece({"content": "4"}),
            piece({}, "stop"),
        ),
        answer(choice({"content": "4", "reasoning_content": "Two twos."})),
    ),
    "reasoning by another name": (
        stream(
            piece(OPENING),
            piece(
                {
                    "reasoning": "Hm",
                    "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "index": 0}],
                }
            ),
            piece(
                {
                    "reasoning": ".",
                    "reasoning_details": [
                        {"type": "reasoning.text", "text": ".", "index": 0},
                        {"type": "reasoning.encrypted", "data": "ab12", "index": 1},
                    ],
                }
            ),
            piece({"content": "4"}),
            piece({}, "stop", native_finish_reason="end_turn"),
        ),
        answer(
            choice(
                {
                    "content": "4",
                    "reasoning": "Hm.",
                    "reasoning_details": [
                        {"type": "reasoning.text", "text": "Hm.", "index": 0},
                        {"type": "reasoning.encrypted", "data": "ab12", "index": 1},
                    ],
                },
                native_finish_reason="end_turn",
            )
        ),
    ),
    "logprobs": (
        stream(
            piece(OPENING, logprobs={"content": [], "refusal": None}),
            piece({"content": "Hi"}, logprobs={"content": [odds("Hi")], "refusal": None}),
            piece({"content": "!"}, logprobs={"content": [odds("!")], "refusal": None}),
            piece({}, "stop"),
        ),
        answer(
            choice(
                {"content": "Hi!"}, logprobs={"content": [odds("Hi"), odds("!")], "refusal": None}
            )
        ),
    ),
    "two choices, interleaved": (
        stream(
            piece(OPENING, index=0),
            piece(OPENING, index=1),
            piece({"content": "He"}, index=0),
            piece({"content": "Good"}, index=1),
            piece({"content": "llo"}, index=0),
            piece({}, "stop", index=0),
            piece({"content": " day"}, index=1),
            piece({}, "stop", index=1),
        ),
        answer(choice({"content": "Hello"}), choice({"content": "Good day"}, index=1)),
    ),
    "refusal": (
        stream(
            piece({**OPENING, "content": None}),
            piece({"refusal": "I can't"}),
            piece({"refusal": " do that."}),
            piece({}, "stop"),
        ),
        answer(choice({"refusal": "I can't do that."})),
    ),
    "a function called the old way": (
        stream(
            piece({**OPENING, "content": None, "function_call": {"name": "f", "arguments": ""}}),
            piece({"function_call": {"arguments": '{"a":'}}),
            piece({"function_call": {"arguments": " 1}"}}),
            piece({}, "function_call"),
        ),
        answer(choice({"function_call": {"name": "f", "arguments": '{"a": 1}'}}, "function_call")),
    ),
}
each = pytest.mark.parametrize(("recorded", "whole"), TRANSCRIPTS.values(), ids=TRANSCRIPTS)


@each
def test_a_recorded_stream_reads_whole_as_the_whole_answer_does(recorded, whole):
    found = CHAT.whole(list(frames.events(recorded)))
    assert found is not None
    assert read_whole(found) == read_whole(whole)
    assert read_whole(found).to_dict() == read_whole(whole).to_dict()


@each
def test_a_whole_answer_reads_as_the_stream_does(recorded, whole):
    told = frames.write_all(CHAT.events(whole, ASKED))
    assert read_stream(told) == read_stream(recorded)
    assert read_stream(told) == parts(read_whole(whole))


@each
def test_a_whole_answer_told_and_put_together_again_is_itself(recorded, whole):
    before = copy.deepcopy(whole)
    assert CHAT.whole(list(CHAT.events(whole, ASKED))) == whole == before


@each
def test_usage_that_was_not_asked_for_is_not_told(recorded, whole):
    told = list(CHAT.events(whole, NOT_ASKED))
    assert told[-1] == Event("[DONE]")
    assert not any("usage" in json.loads(event.data) for event in told[:-1])
    found = CHAT.whole(told)
    assert found == {name: member for name, member in whole.items() if name != "usage"}
    assert CHAT.usage(found) == {}


@each
def test_where_usage_may_come_unasked_it_is_told_beside_a_choice(recorded, whole):
    told = list(CHAT.events(whole, UNASKED))
    shown = [CHAT.show(event, UNASKED) for event in frames.events(recorded)]
    for stream in told, shown:
        assert None not in stream
        assert all(chunk.choices for chunk in read_chunks(frames.write_all(stream)))
        assert CHAT.whole(stream) == whole


def test_usage_that_was_asked_for_comes_last_and_is_null_before():
    _, whole = TRANSCRIPTS["text"]
    *chunks, counted = read_chunks(frames.write_all(CHAT.events(whole, ASKED)))
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert all("usage" in chunk.model_fields_set for chunk in chunks)
    assert counted.choices == []
    assert counted.usage == read_whole(whole).usage
    assert CHAT.usage(whole) == {"input": 19, "output": 10, "total": 29}


def test_the_first_chunk_bears_the_role_and_only_the_last_the_end():
    recorded, whole = TRANSCRIPTS["text"]
    chunks = read_chunks(frames.write_all(CHAT.events(whole, NOT_ASKED)))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, "stop"]
    assert {chunk.id for chunk in chunks} == {chunk.id for chunk in read_chunks(recorded)}
    assert {chunk.system_fingerprint for chunk in chunks} == {"fp_07871e2ad8"}


# Other hosts


def test_azures_opening_and_closing_chunks_are_part_of_the_answer():
    filters = {"hate": {"filtered": False, "severity": "safe"}}
    opening = {
        "choices": [],
        "created": 0,
        "id": "",
        "model": "",
        "object": "",
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": filters}],
    }
    recorded = sse(
        opening,
        chunk(piece(OPENING, content_filter_results={})),
        chunk(piece({"content": "Hi"}, content_filter_results=filters)),
        chunk(piece({}, "stop", content_filter_results={})),
        # with its asynchronous filter Azure speaks on after the end
        chunk({"index": 0, "finish_reason": None, "content_filter_offsets": {"check_offset": 4}}),
        "[DONE]",
    )
    found = CHAT.whole(list(frames.events(recorded)))
    assert found is not None
    assert {name: found[name] for name in HEAD} == HEAD
    assert found["prompt_filter_results"] == opening["prompt_filter_results"]
    assert found["choices"][0]["finish_reason"] == "stop"
    assert found["choices"][0]["content_filter_results"] == filters
    assert CHAT.flaw(found) is None


def test_groqs_streams_count_their_tokens_without_being_asked():
    recorded = sse(
        chunk(piece({"role": "assistant", "content": ""}), x_groq={"id": "req_1"}),
        chunk(piece({"content": "Hi"})),
        chunk(piece({}, "stop"), x_groq={"id": "req_1", "usage": USAGE}),
        "[DONE]",
    )
    found = CHAT.whole(list(frames.events(recorded)))
    assert found is not None
    assert found["usage"] == USAGE


def test_mistrals_thoughts_become_one_part_and_its_text_another():
    def thinking(text):
        return [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]

    recorded = sse(
        chunk(piece({"role": "assistant", "content": ""})),
        chunk(piece({"content": thinking("Two")})),
        chunk(piece({"content": thinking(" twos.")})),
        chunk(piece({"content": "It is"})),
        chunk(piece({"content": " 4"}, "stop"), usage=USAGE),
        "[DONE]",
    )
    found = CHAT.whole(list(frames.events(recorded)))
    assert found is not None
    content = [*thinking("Two twos."), {"type": "text", "text": "It is 4"}]
    assert found["choices"][0]["message"]["content"] == content
    assert found["usage"] == USAGE
    assert CHAT.flaw(found) is None
    assert CHAT.whole(list(CHAT.events(found, ASKED))) == found


def test_vllms_members_of_a_choice_are_kept():
    recorded = sse(
        chunk(piece(OPENING, token_ids=[1], stop_reason=None)),
        chunk(piece({"content": "Hi"}, token_ids=[2, 3], stop_reason=None)),
        chunk(piece({}, "stop", token_ids=None, stop_reason="###")),
        "[DONE]",
    )
    found = CHAT.whole(list(frames.events(recorded)))
    assert found is not None
    assert found["choices"][0]["token_ids"] == [1, 2, 3]
    assert found["choices"][0]["stop_reason"] == "###"


def test_a_name_that_is_repeated_in_each_piece_is_said_once():
    again = {"index": 0, "id": "call_a", "type": "function"}
    recorded = sse(
        chunk(
            piece(
                {
                    "role": "assistant",
                    "tool_calls": [{**again, "function": {"name": "f", "arguments": '{"a"'}}],
                }
            )
        ),
        chunk(
            piece(
                {
                    "role": "assistant",
                    "tool_calls": [
                        {**again, "id": "", "function": {"name": "f", "arguments": ": 1}"}}
                    ],
                }
            )
        ),
        chunk(piece({}, "tool_calls")),
        "[DONE]",
    )
    found = CHAT.whole(list(frames.events(recorded)))
    assert found is not None
    assert found["choices"][0]["message"]["tool_calls"] == [call("f", '{"a": 1}', "call_a")]
    assert found["choices"][0]["message"]["role"] == "assistant"


def test_what_is_said_anew_in_each_piece_of_an_entry_is_not_glued_together():
    details = [{"type": "reasoning.text", "format": "x-v1", "index": 0, "text": "Hm"}]
    recorded = sse(
        chunk(piece({**OPENING, "reasoning_details": details})),
        chunk(piece({"content": "4", "reasoning_details": details})),
        chunk(piece({}, "stop")),
        "[DONE]",
    )
    found = CHAT.whole(list(frames.events(recorded)))
    assert found is not None
    assert found["choices"][0]["message"]["reasoning_details"] == [{**details[0], "text": "HmHm"}]


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ({"channel": "analysis"}, {"channel": "analysis"}, {"channel": "analysis"}),
        ({"mark": "sig"}, {"mark": "sig"}, {"mark": "sig"}),
        ({"mark": "sig"}, {"mark": ""}, {"mark": "sig"}),
        ({"mark": "sig"}, {"mark": "nal"}, None),
        ({"reasoning": "ha"}, {"reasoning": "ha"}, {"reasoning": "haha"}),
    ],
)
def test_text_of_a_name_that_nobody_knows_is_not_glued_together(first, second, together):
    recorded = sse(
        chunk(piece({**OPENING, **first})),
        chunk(piece({"content": "4", **second})),
        chunk(piece({}, "stop")),
        "[DONE]",
    )
    found = CHAT.whole(list(frames.events(recorded)))
    if together is None:
        assert found is None
    else:
        assert found is not None
        assert found["choices"][0]["message"].items() >= together.items()


def test_a_stream_that_is_cut_anywhere_is_no_answer():
    recorded = sse(chunk(piece(OPENING)), chunk(piece({"content": "Hi"}, "stop")), "[DONE]")
    assert CHAT.whole(list(frames.events(recorded))) is not None
    for place in range(len(recorded)):
        assert CHAT.whole(list(frames.events(recorded[:place]))) is None


def test_audio_that_was_encoded_piece_by_piece_is_not_glued_together():
    def spoken(data):
        return chunk(piece({"audio": {"id": "audio_1", "data": data}}))

    good = sse(spoken("AAAA"), spoken("AQ=="), chunk(piece({}, "stop")), "[DONE]")
    found = CHAT.whole(list(frames.events(good)))
    assert found is not None
    assert found["choices"][0]["message"]["audio"] == {"id": "audio_1", "data": "AAAAAQ=="}
    bad = sse(spoken("AQ=="), spoken("AAAA"), chunk(piece({}, "stop")), "[DONE]")
    assert CHAT.whole(list(frames.events(bad))) is None


def test_two_calls_under_one_index_are_not_guessed_at():
    both = [{"index": 0, **call("f", "{}", "call_a")}, {"index": 0, **call("f", "{}", "call_b")}]
    recorded = sse(chunk(piece({"tool_calls": both})), chunk(piece({}, "tool_calls")), "[DONE]")
    assert CHAT.whole(list(frames.events(recorded))) is None


# Streams that are not complete


def broken() -> dict[str, bytes]:
    good = [chunk(piece(OPENING)), chunk(piece({"content": "Hi"})), chunk(piece({}, "stop"))]
    overloaded = {"error": {"message": "overloaded", "type": "server_error"}}
    return {
        "nothing": b"",
        "only the end": sse("[DONE]"),
        "no end mark": sse(*good),
        "no finish reason": sse(*good[:2], "[DONE]"),
        "an empty finish reason": sse(*good[:2], chunk(piece({}, "")), "[DONE]"),
        "a second choice without its end": sse(*good, chunk(piece(OPENING, index=1)), "[DONE]"),
        "an error": sse(*good[:2], overloaded, good[2], "[DONE]"),
        "an error by name": sse(*good) + b"event: error\ndata: {}\n\n" + sse("[DONE]"),
        "groq's error": sse(*good, chunk(x_groq={"error": "over capacity"}), "[DONE]"),
        "broken JSON": sse(*good, '{"id": "chat', "[DONE]"),
        "NaN": sse(*good, '{"choices": [], "x": NaN}', "[DONE]"),
        "no object": sse(*good, "[1, 2]", "[DONE]"),
        "a choice that is text": sse(*good, chunk("hello"), "[DONE]"),
        "only usage": sse(chunk(usage=USAGE), "[DONE]"),
        "content that changes its kind": sse(*good, chunk(piece({"content": 5}, "stop")), "[DONE]"),
    }


@pytest.mark.parametrize("recorded", broken().values(), ids=broken())
def test_a_stream_that_is_not_complete_is_no_answer(recorded):
    assert CHAT.whole(list(frames.events(recorded))) is None


# Flaws


def flawed() -> list[tuple[str, dict]]:
    good = choice({"content": "Hi"})
    error = {"message": "overloaded"}
    return [
        ("truncated", answer(choice({"content": "Hi"}, "length"))),
        ("truncated", answer(good, choice({"content": "Hi"}, "length", index=1))),
        ("truncated", answer(choice({"content": "Hi"}, "model_length"))),
        ("refused", answer(choice({"refusal": "No."}))),
        ("refused", answer(choice({"refusal": "No."}, "length"))),
        ("filtered", answer(choice({"content": "Hi"}, "content_filter"))),
        ("empty", answer(choice({"content": ""}))),
        ("empty", answer(choice({"content": " \n"}))),
        ("empty", answer(choice({"reasoning_content": "I think"}))),
        ("empty", answer()),
        ("empty", answer(good, choice({}, index=1))),
        ("empty", answer(choice({"content": [{"type": "thinking", "thinking": []}]}))),
        ("broken_tool_call", tools(call("f", '{"a": ', "call_a"))),
        ("broken_tool_call", tools(call("f", "[1]", "call_a"))),
        ("broken_tool_call", tools(call("f", "", "call_a"))),
        ("broken_tool_call", tools(call("", "{}", "call_a"))),
        ("broken_tool_call", tools(call("f", '{"a": NaN}', "call_a"))),
        ("broken_tool_call", tools(call("f", "{}", "call_a"), "what")),
        ("broken_tool_call", tools({"id": "call_a", "type": "custom", "custom": {"name": "f"}})),
        ("malformed", answer(choice({"content": "Hi"}, "tool_calls"))),
        ("malformed", answer(choice({"content": "Hi", "tool_calls": "f()"}))),
        ("malformed", answer("hello")),
        ("malformed", {"id": "x"}),
        ("malformed", answer({"index": 0, "finish_reason": "stop", "message": "Hi"})),
        ("malformed", answer(good, deep=nested(300))),
        ("error", {"error": error}),
        ("error", answer(choice({"content": "Hi"}, "error"))),
        ("error", answer(choice({"content": "Hi"}, error=error))),
        ("unfinished", answer(choice({"content": "Hi"}, None))),
        ("unknown_finish", answer(choice({"content": "Hi"}, "insufficient_system_resource"))),
        ("unknown_finish", answer(choice({"content": "Hi"}, {"odd": 1}))),
    ]


def tools(*calls) -> dict:
    return answer(choice({"tool_calls": list(calls)}, "tool_calls"))


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(("code", "whole"), flawed())
def test_a_flawed_answer_is_named_by_its_flaw(code, whole):
    flaw = CHAT.flaw(whole)
    assert flaw is not None
    assert flaw.code == code
    assert flaw.advice


@pytest.mark.parametrize(
    "whole",
    [
        answer(choice({"content": "Hi"})),
        answer(choice({"content": "Hi"}), error=None),
        answer(choice({"content": "Hi"}, "eos")),
        tools(call("f", "{}", "call_a")),
        answer(choice({"tool_calls": [call("f", "{}", "call_a")]}, "stop")),
        tools({"id": "a", "type": "custom", "custom": {"name": "f", "input": "not {json"}}),
        tools({"id": "a", "function": {"name": "f", "arguments": {"a": 1}}}),
        answer(choice({"audio": {"id": "a", "data": "AAAA", "transcript": "Hi"}})),
        answer(choice({"images": [{"type": "image_url", "image_url": {"url": "data:"}}]})),
        answer(choice({"content": [{"type": "text", "text": "Hi"}]})),
    ],
)
def test_a_good_answer_has_no_flaw(whole):
    assert CHAT.flaw(whole) is None


def test_the_flaws_of_a_stream_are_those_of_the_whole():
    refused, _ = TRANSCRIPTS["refusal"]
    cut = stream(piece(OPENING), piece({"content": "Hi"}), piece({}, "length"))
    codes = [CHAT.flaw(CHAT.whole(list(frames.events(body)))).code for body in (refused, cut)]
    assert codes == ["refused", "truncated"]


# Requests


def test_facts_of_a_plain_request():
    facts = CHAT.facts("/v1/chat/completions", {**ASK, "temperature": 0})
    assert facts == Facts(model="gpt-4o", usage_asked=False, temperature=0.0)
    streamed = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
    assert CHAT.facts("/v1/chat/completions", streamed) == Facts(model="gpt-4o", stream=True)


def test_on_azure_the_deployment_is_the_model_whatever_the_body_names():
    path = "/openai/deployments/my%20gpt/chat/completions"
    assert CHAT.facts(path, {"messages": []}).model == "my gpt"
    assert CHAT.facts(path, ASK).model == "my gpt"


@pytest.mark.parametrize("odd", [True, False, "0", None, [], {}])
def test_only_a_number_is_a_temperature(odd):
    assert CHAT.facts("/", {**ASK, "temperature": odd}).temperature is None


@pytest.mark.parametrize(
    "more",
    [
        {"web_search_options": {}},
        {"search_parameters": {"mode": "auto"}},
        {"plugins": [{"id": "web"}]},
        {"data_sources": [{"type": "azure_search"}]},
        {"enable_search": True},
        {"tools": [{"type": "function", "function": {}}, {"type": "browser_search"}]},
        {"tools": [{"name": "f"}]},
        {"tools": "web"},
        {"tools": {"type": "function"}},
        {"tools": [None]},
    ],
)
def test_a_look_at_the_live_world_is_an_effect(more):
    effect = CHAT.facts("/", {**ASK, **more}).effect
    assert effect is not None
    assert effect.code == "server_tool"


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "function", "function": {}}, {"type": "custom", "custom": {}}]},
        {"tools": [{"function": {"name": "f"}}]},
        {"tools": []},
        {"tools": None},
        {"functions": [{"name": "f"}]},
        {"web_search_options": None},
        {"plugins": []},
        {"enable_search": False},
    ],
)
def test_tools_that_the_caller_runs_are_no_effect(more):
    assert CHAT.facts("/", {**ASK, **more}).effect is None


def test_usage_is_asked_for_in_a_copy_and_only_where_it_was_not():
    body = {**ASK, "stream": True, "stream_options": {"include_obfuscation": False}}
    before = copy.deepcopy(body)
    options = {"include_obfuscation": False, "include_usage": True}
    assert CHAT.ask_usage(body) == {**ASK, "stream": True, "stream_options": options}
    assert body == before
    bare = {**ASK, "stream": True}
    assert CHAT.ask_usage(bare)["stream_options"] == {"include_usage": True}
    assert CHAT.ask_usage({**bare, "stream_options": None}) is not None
    assert CHAT.ask_usage({**bare, "stream_options": {"include_usage": True}}) is None
    assert CHAT.ask_usage({**bare, "stream_options": "usage"}) is None
    assert CHAT.ask_usage(ASK) is None


def test_usage_is_taken_out_of_a_callers_stream():
    recorded, _ = TRANSCRIPTS["text"]
    shown = [CHAT.show(event, NOT_ASKED) for event in frames.events(recorded)]
    seen = frames.write_all(event for event in shown if event is not None)
    bare = [chunk.to_dict() for chunk in read_chunks(recorded)][:-1]
    assert [chunk.to_dict() for chunk in read_chunks(seen)] == [
        {name: member for name, member in chunk.items() if name != "usage"} for chunk in bare
    ]
    assert shown[-1] == Event("[DONE]")


def test_what_needs_no_change_is_shown_as_the_very_same_event():
    untouched = [
        Event(json.dumps(chunk(piece({"content": "Hi"})))),
        Event(json.dumps(chunk(piece({"content": 'my "usage"'})))),
        Event('{"usage": broken'),
        Event("[DONE]"),
    ]
    assert all(CHAT.show(event, NOT_ASKED) is event for event in untouched)
    counted = Event(json.dumps(chunk(usage=USAGE)))
    assert CHAT.show(counted, ASKED) is counted
    assert CHAT.show(counted, NOT_ASKED) is None


def test_the_end_mark_is_the_terminal_event():
    assert CHAT.terminal(Event("[DONE]"))
    assert not CHAT.terminal(Event(json.dumps(chunk(piece({}, "stop")))))


# Any answer at all

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SAID = TEXT.filter(bool)
CALLS = st.lists(
    st.builds(call, SAID, st.dictionaries(TEXT, st.integers(), max_size=2).map(json.dumps), SAID),
    min_size=1,
    max_size=3,
)
TOKENS = st.lists(st.builds(odds, SAID), max_size=3)
LOGPROBS = st.none() | st.fixed_dictionaries({"content": TOKENS, "refusal": st.none()})
MESSAGES = st.fixed_dictionaries(
    {"content": st.none() | TEXT},
    optional={
        "refusal": st.none() | SAID,
        "reasoning_content": st.none() | TEXT,
        "tool_calls": CALLS,
        "function_call": st.fixed_dictionaries({"name": SAID, "arguments": TEXT}),
        "provider_says": TEXT,
    },
)
CHOICES = st.lists(
    st.tuples(MESSAGES, st.sampled_from(["stop", "length", "tool_calls"]), LOGPROBS),
    min_size=1,
    max_size=3,
).map(
    lambda rows: [
        choice(message, finish, index, logprobs)
        for index, (message, finish, logprobs) in enumerate(rows)
    ]
)
ANSWERS = CHOICES.map(lambda choices: answer(*choices))


@settings(deadline=None)
@given(ANSWERS)
def test_any_answer_told_and_put_together_again_is_itself(whole):
    assert CHAT.whole(list(CHAT.events(whole, ASKED))) == whole
    assert read_whole(CHAT.whole(list(CHAT.events(whole, ASKED)))) == read_whole(whole)


@settings(deadline=None)
@given(CHOICES, st.data())
def test_any_answer_in_any_pieces_is_put_together(choices, data):
    whole = answer(*choices)
    pieces = []
    for event in list(CHAT.events(whole, ASKED))[:-1]:
        told = json.loads(event.data)
        pieces += [Event(json.dumps(fine)) for fine in finer(told, data)]
    assert CHAT.whole([*pieces, Event("[DONE]")]) == whole


def finer(told: dict, data) -> list[dict]:
    """Cut the text of a chunk in two, wherever that is allowed."""
    if not told["choices"] or not told["choices"][0]["delta"]:
        return [told]
    [piece] = told["choices"]
    name, value = next(iter(piece["delta"].items()))
    whole = ("role", "tool_calls", "function_call", "provider_says")
    if name in whole or not isinstance(value, str):
        return [told]
    place = data.draw(st.integers(0, len(value)))
    first = {**piece, "delta": {name: value[:place]}}
    second = {**piece, "delta": {name: value[place:]}, "logprobs": None}
    return [{**told, "choices": [first]}, {**told, "choices": [second]}]
