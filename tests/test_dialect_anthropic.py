"""Messages: a stream read whole, and a whole answer read as a stream, through the SDK."""

from __future__ import annotations

import copy
import json

import httpx2
import pytest
from anthropic import Anthropic
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce import frames
from askonce.dialects.anthropic import MESSAGES
from askonce.dialects.contract import Facts
from askonce.frames import Event

STREAM = Facts(stream=True)
ASK = {
    "model": "claude-opus-5",
    "max_tokens": 1024,
    "messages": [{"role": "user", "content": "Hi"}],
}
USAGE = {
    "input_tokens": 25,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 4,
    "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 15,
    "service_tier": "standard",
}


def client(body: bytes, kind: str) -> Anthropic:
    def handler(request):
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    return Anthropic(
        api_key="test",
        base_url="http://provider.test",
        http_client=httpx2.Client(transport=httpx2.MockTransport(handler)),
        max_retries=0,
    )


def read_whole(answer: dict) -> dict:
    with client(json.dumps(answer).encode(), "application/json") as anthropic:
        return anthropic.messages.create(**ASK).to_dict()


def read_stream(body: bytes) -> dict:
    """What the SDK's own accumulator ends with."""
    with client(body, "text/event-stream") as anthropic, anthropic.messages.stream(**ASK) as live:
        return bare(live.get_final_message().to_dict())


def read_beta_stream(body: bytes) -> dict:
    with (
        client(body, "text/event-stream") as anthropic,
        anthropic.beta.messages.stream(**ASK) as live,
    ):
        return bare(live.get_final_message().to_dict())


def bare(message: dict) -> dict:
    """Without what the SDK's accumulator sets to null although nobody said so."""
    for block in message["content"]:
        block.pop("parsed_output", None)
    if message.get("stop_details") is None:
        message.pop("stop_details", None)
    return message


def read_events(body: bytes) -> list:
    with client(body, "text/event-stream") as anthropic:
        return list(anthropic.messages.create(**ASK, stream=True))


def answer(*content: dict, stop: str | None = "end_turn", **more) -> dict:
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-20260401",
        "content": list(content),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": USAGE,
        **more,
    }


def text(said: str, *citations: dict) -> dict:
    block = {"type": "text", "text": said}
    return {**block, "citations": list(citations)} if citations else block


def thinking(said: str, signature: str = "EqQB") -> dict:
    return {"type": "thinking", "thinking": said, "signature": signature}


def tool(name: str, given: dict, place: str = "toolu_1", kind: str = "tool_use") -> dict:
    return {"type": kind, "id": place, "name": name, "input": given}


def step(kind: str, **members) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def start(index: int, block: dict) -> bytes:
    return step("content_block_start", index=index, content_block=block)


def delta(index: int, kind: str, **members) -> bytes:
    return step("content_block_delta", index=index, delta={"type": kind, **members})


def stop(index: int) -> bytes:
    return step("content_block_stop", index=index)


def begin(whole: dict) -> bytes:
    usage = {**whole["usage"], "output_tokens": 1}
    first = {**whole, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    return step("message_start", message=first)


def end(whole: dict, **delta) -> bytes:
    reason = {"stop_reason": whole["stop_reason"], "stop_sequence": whole["stop_sequence"]}
    usage = {"output_tokens": whole["usage"]["output_tokens"]}
    return step("message_delta", delta={**reason, **delta}, usage=usage) + step("message_stop")


CITED = {
    "type": "char_location",
    "cited_text": "The sky is blue.",
    "document_index": 0,
    "document_title": "Sky",
    "start_char_index": 0,
    "end_char_index": 16,
}
PLAIN = answer(text("Hello there"))
THOUGHT = answer(
    thinking("Two twos."), {"type": "redacted_thinking", "data": "EmwK"}, text("It is 4")
)
TOOLS = answer(
    text("Let me look."),
    tool("weather", {"city": "Łódź", "id": 12345678901234567890123, "deep": {"a": [1, 0.1]}}),
    tool("time", {}, "toolu_2"),
    stop="tool_use",
)
CITES = answer(text("The sky is "), text("blue", CITED, {**CITED, "document_index": 1}))
SEARCHED = answer(
    tool("web_search", {"query": "sky"}, "srvtoolu_1", "server_tool_use"),
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [
            {
                "type": "web_search_result",
                "url": "http://a",
                "title": "A",
                "encrypted_content": "Eq",
                "page_age": None,
            }
        ],
    },
    text("Blue."),
    stop="stop_sequence",
    stop_sequence="###",
    container={"id": "container_1", "expires_at": "2026-01-01T00:00:00Z"},
)

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
TRANSCRIPTS = {
    "text": (
        begin(PLAIN)
        + start(0, text(""))
        + PING
        + delta(0, "text_delta", text="Hello")
        + delta(0, "text_delta", text=" there")
        + stop(0)
        + end(PLAIN),
        PLAIN,
    ),
    "thinking": (
        begin(THOUGHT)
        + start(0, thinking("", ""))
        + delta(0, "thinking_delta", thinking="Two")
        + delta(0, "thinking_delta", thinking=" twos.")
        + delta(0, "signature_delta", signature="EqQB")
        + stop(0)
        + start(1, {"type": "redacted_thinking", "data": "EmwK"})
        + stop(1)
        + start(2, text(""))
        + delta(2, "text_delta", text="It is 4")
        + stop(2)
        + end(THOUGHT),
        THOUGHT,
    ),
    "tools": (
        begin(TOOLS)
        + start(0, text(""))
        + delta(0, "text_delta", text="Let me look.")
        + stop(0)
        + start(1, tool("weather", {}))
        + delta(1, "input_json_delta", partial_json="")
        + delta(1, "input_json_delta", partial_json='{"city": "Łódź", "id": 1234567')
        + delta(1, "input_json_delta", partial_json='8901234567890123, "deep": {"a": [1, 0.1]}}')
        + stop(1)
        + start(2, tool("time", {}, "toolu_2"))
        + delta(2, "input_json_delta", partial_json="")
        + stop(2)
        + end(TOOLS),
        TOOLS,
    ),
    "citations": (
        begin(CITES)
        + start(0, text(""))
        + delta(0, "text_delta", text="The sky is ")
        + stop(0)
        + start(1, {**text(""), "citations": []})
        + delta(1, "citations_delta", citation=CITED)
        + delta(1, "text_delta", text="blue")
        + delta(1, "citations_delta", citation={**CITED, "document_index": 1})
        + stop(1)
        + end(CITES),
        CITES,
    ),
    "server tools": (
        begin({**SEARCHED, "container": None})
        + start(0, tool("web_search", {}, "srvtoolu_1", "server_tool_use"))
        + delta(0, "input_json_delta", partial_json='{"query":')
        + delta(0, "input_json_delta", partial_json=' "sky"}')
        + stop(0)
        + start(1, SEARCHED["content"][1])
        + stop(1)
        + start(2, text(""))
        + delta(2, "text_delta", text="Blue.")
        + stop(2)
        + end(SEARCHED, container=SEARCHED["container"]),
        SEARCHED,
    ),
}
each = pytest.mark.parametrize(("recorded", "whole"), TRANSCRIPTS.values(), ids=TRANSCRIPTS)


@each
def test_a_recorded_stream_reads_whole_as_the_whole_answer_does(recorded, whole):
    found = MESSAGES.whole(list(frames.events(recorded)))
    assert found == whole
    assert read_whole(found) == read_whole(whole)
    assert bare(read_whole(found)) == read_stream(recorded)


@each
def test_a_whole_answer_reads_as_the_stream_does(recorded, whole):
    before = copy.deepcopy(whole)
    told = frames.write_all(MESSAGES.events(whole, STREAM))
    assert read_stream(told) == read_stream(recorded)
    assert read_stream(told) == bare(read_whole(whole))
    assert MESSAGES.whole(list(frames.events(told))) == whole == before


@each
def test_a_whole_answer_is_told_by_the_providers_own_events(recorded, whole):
    def told(body):
        kinds = [(event.type, getattr(event, "index", None)) for event in read_events(body)]
        return [kind for at, kind in enumerate(kinds) if kind != kinds[at - 1]]

    ours = told(frames.write_all(MESSAGES.events(whole, STREAM)))
    # An empty input, and a citation among text, come in pieces that need not be.
    assert ours[0] == ("message_start", None)
    assert [kind for kind in ours if "delta" not in kind[0]] == [
        kind for kind in told(recorded) if "delta" not in kind[0]
    ]
    assert ours[-2:] == [("message_delta", None), ("message_stop", None)]


def test_what_the_last_delta_tells_anew_replaces_what_the_first_said():
    whole = answer(
        text("Hi"),
        usage={**USAGE, "input_tokens": 90, "server_tool_use": {"web_search_requests": 1}},
        context_management={"applied_edits": []},
    )
    recorded = (
        begin({**answer(text("Hi")), "context_management": None})
        + start(0, text(""))
        + delta(0, "text_delta", text="Hi")
        + stop(0)
        + step(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={
                "input_tokens": 90,
                "cache_read_input_tokens": None,
                "output_tokens": 15,
                "server_tool_use": {"web_search_requests": 1},
            },
            context_management={"applied_edits": []},
        )
        + step("message_stop")
    )
    assert MESSAGES.whole(list(frames.events(recorded))) == whole
    told = frames.write_all(MESSAGES.events(whole, STREAM))
    assert read_beta_stream(told) == read_beta_stream(recorded)
    assert MESSAGES.whole(list(frames.events(told))) == whole


def test_the_beginning_has_neither_content_nor_end():
    first, *_ = read_events(frames.write_all(MESSAGES.events(SEARCHED, STREAM)))
    assert first.message.content == []
    assert first.message.stop_reason is None
    assert first.message.stop_sequence is None
    assert first.message.container is None
    assert first.message.usage.output_tokens == 0
    assert first.message.usage.input_tokens == 25


def test_after_a_fallback_the_answer_bears_the_name_of_the_model_that_gave_it():
    fallback = {"type": "fallback", "from": {"model": "a"}, "to": {"model": "claude-b"}}
    whole = answer(fallback, text("Hi"), model="claude-b")
    recorded = (
        begin({**whole, "model": "a"})
        + start(0, fallback)
        + stop(0)
        + start(1, text("Hi"))
        + stop(1)
        + end(whole)
    )
    assert MESSAGES.whole(list(frames.events(recorded))) == whole
    assert read_beta_stream(recorded)["model"] == "claude-b"


# Streams that are not complete


def broken() -> dict[str, bytes]:
    good, _ = TRANSCRIPTS["text"]
    head, tail = begin(PLAIN), end(PLAIN)
    body = start(0, text("")) + delta(0, "text_delta", text="Hi") + stop(0)
    overloaded = step("error", error={"type": "overloaded_error", "message": "Overloaded"})
    return {
        "nothing": b"",
        "no end": good.removesuffix(step("message_stop")),
        "no beginning": body + tail,
        "two beginnings": head + head + body + tail,
        "no stop reason": head + body + step("message_stop"),
        "a null stop reason": head + body + end({**PLAIN, "stop_reason": None}),
        "an error": head + body + overloaded + tail,
        "a block without its end": head + body.removesuffix(stop(0)) + tail,
        "a block without its beginning": head + delta(0, "text_delta", text="Hi") + stop(0) + tail,
        "a block of its end only": head + stop(0) + tail,
        "a block that begins twice": head + start(0, text("")) + body + tail,
        "a block without a place": head + step("content_block_start") + tail,
        "a block that is no object": head + start(0, "Hi") + stop(0) + tail,
        "an unknown delta": head + start(0, text("")) + delta(0, "odd") + stop(0) + tail,
        "a delta that is no object": head
        + start(0, text(""))
        + step("content_block_delta", index=0, delta="Hi")
        + stop(0)
        + tail,
        "broken JSON": head + b"event: ping\ndata: {\n\n" + body + tail,
        "no object": head + b"data: [1]\n\n" + body + tail,
    }


@pytest.mark.parametrize("recorded", broken().values(), ids=broken())
def test_a_stream_that_is_not_complete_is_no_answer(recorded):
    assert MESSAGES.whole(list(frames.events(recorded))) is None


def test_the_terminal_event_is_known_by_name_or_by_what_it_says():
    *others, last = frames.events(TRANSCRIPTS["text"][0])
    assert MESSAGES.terminal(last)
    assert MESSAGES.terminal(Event(last.data))
    assert not any(MESSAGES.terminal(event) for event in others)
    assert not MESSAGES.terminal(Event('{"type": "text", "text": "\\"message_stop\\""}'))
    assert not MESSAGES.terminal(Event('{"type": "x", "text": "message_stop"}'))
    assert not MESSAGES.terminal(Event('"message_stop"'))


# Flaws


def test_a_tool_call_with_broken_input_is_found_when_its_stream_is_put_together():
    recorded = (
        begin(TOOLS)
        + start(0, tool("weather", {}))
        + delta(0, "input_json_delta", partial_json='{"city": "Łó')
        + stop(0)
        + end(TOOLS)
    )
    found = MESSAGES.whole(list(frames.events(recorded)))
    assert found is not None
    assert MESSAGES.flaw(found).code == "broken_tool_call"


@pytest.mark.parametrize(
    ("code", "whole"),
    [
        ("truncated", answer(text("Hi"), stop="max_tokens")),
        ("truncated", answer(text("Hi"), stop="model_context_window_exceeded")),
        ("refused", answer(text("No."), stop="refusal")),
        ("unfinished", answer(text("Hi"), stop="pause_turn")),
        ("unfinished", answer(text("Hi"), stop=None)),
        ("unknown_finish", answer(text("Hi"), stop="tired")),
        ("unknown_finish", answer(text("Hi"), stop=["end_turn"])),
        ("empty", answer()),
        ("empty", answer(text(""))),
        ("empty", answer(thinking("Hm"))),
        ("empty", answer({"type": "redacted_thinking", "data": "EmwK"})),
        ("broken_tool_call", answer(tool("f", "{}"), stop="tool_use")),
        ("broken_tool_call", answer(text("Hi"), tool("", {}), stop="tool_use")),
        ("error", {"type": "error", "error": {"type": "api_error"}}),
        ("malformed", answer("Hi")),
        ("malformed", {**answer(), "content": "Hi"}),
        ("malformed", {"id": "msg_1"}),
    ],
)
def test_a_flawed_answer_is_named_by_its_flaw(code, whole):
    flaw = MESSAGES.flaw(whole)
    assert flaw is not None
    assert flaw.code == code
    assert flaw.advice


@pytest.mark.parametrize("whole", [PLAIN, THOUGHT, TOOLS, CITES, SEARCHED])
def test_a_good_answer_has_no_flaw(whole):
    assert MESSAGES.flaw(whole) is None


# Requests


@pytest.mark.parametrize(
    ("code", "more"),
    [
        ("server_tool", {"tools": [{"name": "f"}, {"type": "web_search_20250305"}]}),
        ("server_tool", {"tools": [{"type": "web_fetch_20250910"}]}),
        ("server_tool", {"tools": [{"type": "code_execution_20250825"}]}),
        ("server_tool", {"tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]}),
        ("server_tool", {"tools": [{"type": "crystal_ball_20260101"}]}),
        ("server_tool", {"tools": [{"type": 5}]}),
        ("server_tool", {"tools": ["web_search"]}),
        ("server_tool", {"tools": "web_search"}),
        ("server_tool", {"mcp_servers": [{"type": "url", "url": "http://a", "name": "x"}]}),
        ("server_tool", {"container": "container_1"}),
        ("conversation", {"thread": {"type": "create"}}),
    ],
)
def test_state_effects_and_live_data_are_named(code, more):
    effect = MESSAGES.facts("/v1/messages", {**ASK, **more}).effect
    assert effect is not None
    assert effect.code == code
    assert effect.advice


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"name": "f", "input_schema": {}}, {"type": "custom", "name": "g"}]},
        {"tools": [{"type": None, "name": "f"}, {"type": "bash_20250124"}]},
        {"tools": [{"type": "text_editor_20250728"}, {"type": "computer_20251124"}]},
        {"tools": [{"type": "memory_20250818"}]},
        {"tools": [], "mcp_servers": [], "container": None, "thread": None},
    ],
)
def test_tools_that_the_caller_runs_are_no_effect(more):
    assert MESSAGES.facts("/v1/messages", {**ASK, **more}).effect is None


def test_facts_and_usage():
    facts = MESSAGES.facts("/v1/messages", {**ASK, "stream": True, "temperature": 0.5})
    assert facts == Facts(ASK["model"], stream=True, temperature=0.5)
    assert MESSAGES.usage(PLAIN) == {"input": 32, "output": 15, "total": 47}
    assert MESSAGES.usage({"usage": {"input_tokens": 1}}) == {}


# Any answer at all

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=6,
)
BLOCKS = st.one_of(
    TEXT.map(text),
    TEXT.map(lambda said: text(said, CITED)),
    st.builds(thinking, TEXT, TEXT),
    st.builds(tool, TEXT, st.dictionaries(TEXT, JSON, max_size=3), TEXT),
    st.just({"type": "redacted_thinking", "data": "EmwK"}),
)


@settings(deadline=None)
@given(st.lists(BLOCKS, max_size=4))
def test_any_answer_told_and_put_together_again_is_itself(content):
    whole = answer(*content)
    told = list(MESSAGES.events(whole, STREAM))
    assert MESSAGES.whole(told) == whole
    assert read_stream(frames.write_all(told)) == bare(read_whole(whole))
