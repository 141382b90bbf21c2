"""Responses: a stream read whole, and a whole answer read as a stream, through the SDK."""

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
from askonce.dialects.openai_responses import RESPONSES
from askonce.frames import Event

STREAM = Facts(stream=True)
ASK = {"model": "gpt-5", "input": "Hi"}
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 12},
    "total_tokens": 29,
}


def client(body: bytes, kind: str) -> OpenAI:
    def handler(request):
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    return OpenAI(
        api_key="test",
        base_url="http://provider.test/v1",
        http_client=httpx2.Client(transport=httpx2.MockTransport(handler)),
        max_retries=0,
    )


def read_whole(answer: dict):
    with client(json.dumps(answer).encode(), "application/json") as openai:
        return openai.responses.create(**ASK)


def read_events(body: bytes) -> list:
    with client(body, "text/event-stream") as openai:
        return list(openai.responses.create(**ASK, stream=True))


def read_stream(body: bytes):
    """What the SDK's own accumulator ends with; it checks the order of the events as it goes."""
    with client(body, "text/event-stream") as openai, openai.responses.stream(**ASK) as live:
        return bare(live.get_final_response().to_dict())


def bare(answer: dict) -> dict:
    """Without what the SDK adds when it parses."""
    for item in answer["output"]:
        item.pop("parsed_arguments", None)
        for part in item.get("content") or ():
            part.pop("parsed", None)
    return answer


def answer(*output: dict, status: str = "completed", **more) -> dict:
    return {
        "id": "resp_68",
        "object": "response",
        "created_at": 1751500000,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": "gpt-5-2025-08-07",
        "output": list(output),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": USAGE,
        "user": None,
        "metadata": {},
        **more,
    }


def message(*content: dict, status: str = "completed") -> dict:
    return {
        "id": "msg_1",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": list(content),
    }


def text(said: str, *annotations: dict, logprobs=()) -> dict:
    return {
        "type": "output_text",
        "text": said,
        "annotations": list(annotations),
        "logprobs": list(logprobs),
    }


def refusal(said: str) -> dict:
    return {"type": "refusal", "refusal": said}


def reasoning(*summary: str, **more) -> dict:
    parts = [{"type": "summary_text", "text": said} for said in summary]
    return {"id": "rs_1", "type": "reasoning", "summary": parts, "encrypted_content": "gAA", **more}


def call(name: str, arguments: str, place: str) -> dict:
    return {
        "id": f"fc_{place}",
        "type": "function_call",
        "status": "completed",
        "arguments": arguments,
        "call_id": f"call_{place}",
        "name": name,
    }


def custom(name: str, given: str) -> dict:
    return {
        "id": "ctc_1",
        "type": "custom_tool_call",
        "status": "completed",
        "call_id": "call_c",
        "name": name,
        "input": given,
    }


def sse(*steps: tuple[str, dict]) -> bytes:
    told = [
        {"type": kind, "sequence_number": number, **members}
        for number, (kind, members) in enumerate(steps)
    ]
    return b"".join(
        f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in told
    )


def begun(whole: dict) -> list[tuple[str, dict]]:
    first = {**whole, "status": "in_progress", "output": [], "usage": None}
    return [
        ("response.created", {"response": first}),
        ("response.in_progress", {"response": first}),
    ]


def odds(token: str) -> dict:
    return {"token": token, "logprob": -0.5, "bytes": list(token.encode()), "top_logprobs": []}


CITED = {"type": "url_citation", "start_index": 0, "end_index": 2, "title": "t", "url": "http://a"}
THOUGHT = answer(
    reasoning("Two twos."), message(text("It is 4", CITED, logprobs=[odds("It is"), odds(" 4")]))
)
TOOLS = answer(
    call("weather", '{"city": "Łódź", "id": 12345678901234567890123}', "a"),
    call("time", "{}", "b"),
    custom("code", "print(1)"),
)
OPEN = answer(
    reasoning(content=[{"type": "reasoning_text", "text": "Hm"}]), message(text("one"), text("two"))
)
REFUSED = answer(message(refusal("I can't do that.")))


def thought_stream() -> bytes:
    """The events of THOUGHT as OpenAI sends them."""
    summary = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    part = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
    done, said = THOUGHT["output"]
    return sse(
        *begun(THOUGHT),
        ("response.output_item.added", {"output_index": 0, "item": {**done, "summary": []}}),
        (
            "response.reasoning_summary_part.added",
            {**summary, "part": {"type": "summary_text", "text": ""}},
        ),
        ("response.reasoning_summary_text.delta", {**summary, "delta": "Two", "obfuscation": "x"}),
        ("response.reasoning_summary_text.delta", {**summary, "delta": " twos."}),
        ("response.reasoning_summary_text.done", {**summary, "text": "Two twos."}),
        (
            "response.reasoning_summary_part.done",
            {**summary, "part": {"type": "summary_text", "text": "Two twos."}},
        ),
        ("response.output_item.done", {"output_index": 0, "item": done}),
        (
            "response.output_item.added",
            {"output_index": 1, "item": {**said, "status": "in_progress", "content": []}},
        ),
        ("response.content_part.added", {**part, "part": text("")}),
        (
            "response.output_text.delta",
            {**part, "delta": "It is", "logprobs": [odds("It is")], "obfuscation": "aB"},
        ),
        ("response.output_text.delta", {**part, "delta": " 4", "logprobs": [odds(" 4")]}),
        (
            "response.output_text.annotation.added",
            {**part, "annotation_index": 0, "annotation": CITED},
        ),
        (
            "response.output_text.done",
            {**part, "text": "It is 4", "logprobs": [odds("It is"), odds(" 4")]},
        ),
        ("response.content_part.done", {**part, "part": said["content"][0]}),
        ("response.output_item.done", {"output_index": 1, "item": said}),
        ("response.completed", {"response": THOUGHT}),
    )


ANSWERS = {"thought": THOUGHT, "tools": TOOLS, "open reasoning": OPEN, "refusal": REFUSED}
each = pytest.mark.parametrize("whole", ANSWERS.values(), ids=ANSWERS)


def test_a_recorded_stream_reads_whole_as_the_whole_answer_does():
    found = RESPONSES.whole(list(frames.events(thought_stream())))
    assert found is not None
    assert read_whole(found) == read_whole(THOUGHT)
    assert read_whole(found).to_dict() == read_whole(THOUGHT).to_dict()


@each
def test_a_whole_answer_reads_as_a_stream_to_the_same_end(whole):
    before = copy.deepcopy(whole)
    told = frames.write_all(RESPONSES.events(whole, STREAM))
    assert read_stream(told) == bare(read_whole(whole).to_dict())
    assert RESPONSES.whole(list(frames.events(told))) == whole == before


def test_a_whole_answer_is_told_in_the_providers_own_order():
    recorded = [event.type for event in read_events(thought_stream())]
    told = read_events(frames.write_all(RESPONSES.events(THOUGHT, STREAM)))
    assert without_repeats([event.type for event in told]) == without_repeats(recorded)
    assert [event.sequence_number for event in told] == list(range(len(told)))


def without_repeats(kinds: list[str]) -> list[str]:
    return [
        kind
        for at, kind in enumerate(kinds)
        if not kind.endswith(".delta") or kinds[at - 1] != kind
    ]


@each
def test_the_deltas_tell_what_the_answer_says(whole):
    told = read_events(frames.write_all(RESPONSES.events(whole, STREAM)))

    def joined(kind: str) -> str:
        return "".join(event.delta for event in told if event.type == f"response.{kind}.delta")

    said = read_whole(whole)
    assert joined("output_text") == said.output_text
    arguments = [item.arguments for item in said.output if item.type == "function_call"]
    assert joined("function_call_arguments") == "".join(arguments)
    summaries = [item.summary for item in said.output if item.type == "reasoning"]
    assert joined("reasoning_summary_text") == "".join(p.text for s in summaries for p in s)
    refused = [
        p.refusal
        for i in said.output
        if i.type == "message"
        for p in i.content
        if p.type == "refusal"
    ]
    assert joined("refusal") == "".join(refused)


def test_an_item_starts_empty_and_is_done_when_all_of_it_was_told():
    told = read_events(frames.write_all(RESPONSES.events(TOOLS, STREAM)))
    added = [event.item for event in told if event.type == "response.output_item.added"]
    done = [event.item for event in told if event.type == "response.output_item.done"]
    assert [item.status for item in added] == ["in_progress"] * 3
    assert [added[0].arguments, added[1].arguments, added[2].input] == ["", "", ""]
    assert done == read_whole(TOOLS).output
    assert told[0].response.status == "in_progress"
    assert told[0].response.output == []
    assert told[0].response.usage is None


def test_other_items_are_told_as_they_are():
    image = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "AA=="}
    strange = {"id": "x_1", "type": "crystal_ball", "vision": {"text": "rain"}}
    whole = answer(image, strange, message({"type": "hologram", "light": [1]}))
    told = list(RESPONSES.events(whole, STREAM))
    assert RESPONSES.whole(told) == whole
    assert [json.loads(event.data)["type"] for event in told].count(
        "response.output_item.done"
    ) == 3
    assert RESPONSES.flaw(whole) is None


# Streams that are not complete


def test_a_stream_that_is_not_complete_is_no_answer():
    good = list(frames.events(thought_stream()))
    error = Event('{"type": "error", "code": "server_error", "message": "x"}', "error")
    failed = Event('{"type": "response.failed", "response": {}}', "response.failed")
    for recorded in (
        [],
        good[:-1],
        [*good[:-1], error],
        [*good[:4], error, *good[4:]],
        [*good[:-1], failed],
        [*good[:-1], Event('{"type": "response.completed", "resp')],
        [*good[:-1], Event('{"type": "response.completed", "response": "done"}')],
        [*good[:4], Event("[]"), *good[4:]],
        [*good[:4], Event("NaN"), *good[4:]],
    ):
        assert RESPONSES.whole(recorded) is None


def test_a_stream_that_was_cut_off_by_the_provider_says_so():
    cut = answer(
        message(text("It"), status="incomplete"),
        status="incomplete",
        incomplete_details={"reason": "max_output_tokens"},
    )
    recorded = sse(*begun(cut), ("response.incomplete", {"response": cut}))
    found = RESPONSES.whole(list(frames.events(recorded)))
    assert found is not None
    assert RESPONSES.flaw(found).code == "truncated"
    assert list(RESPONSES.events(cut, STREAM))[-1].name == "response.incomplete"


def test_the_terminal_events_are_known_by_name_or_by_what_they_say():
    *others, last = frames.events(thought_stream())
    assert RESPONSES.terminal(last)
    assert RESPONSES.terminal(Event(last.data))
    assert not any(RESPONSES.terminal(event) for event in others)
    assert not any(RESPONSES.terminal(Event(event.data)) for event in others)
    assert RESPONSES.terminal(Event("{}", "response.failed"))
    assert RESPONSES.terminal(Event("{}", "response.incomplete"))


# Flaws


@pytest.mark.parametrize(
    ("code", "whole"),
    [
        ("truncated", answer(message(text("Hi")), status="incomplete")),
        ("truncated", answer(message(text("Hi"), status="incomplete"))),
        (
            "filtered",
            answer(status="incomplete", incomplete_details={"reason": "content_filter"}),
        ),
        ("refused", REFUSED),
        ("refused", answer(message(text("Hi"), refusal("No.")))),
        ("empty", answer()),
        ("empty", answer(reasoning("Hm"))),
        ("empty", answer(reasoning("Hm"), message(text("")))),
        ("empty", answer(message())),
        ("broken_tool_call", answer(message(text("Hi")), call("f", '{"a":', "a"))),
        ("broken_tool_call", answer(call("f", "[]", "a"))),
        ("broken_tool_call", answer(call("", "{}", "a"))),
        ("broken_tool_call", answer(custom("f", None))),
        ("error", answer(message(text("Hi")), status="failed")),
        ("error", answer(message(text("Hi")), status="cancelled")),
        ("error", answer(message(text("Hi")), status="in_progress")),
        ("error", answer(message(text("Hi")), status="queued")),
        ("error", answer(message(text("Hi")), error={"code": "server_error", "message": "x"})),
        ("error", {"error": {"message": "x"}}),
        ("truncated", answer({**call("f", "{}", "a"), "status": "incomplete"})),
        ("error", answer(message(text("Hi")), {"type": "web_search_call", "status": "failed"})),
        ("error", answer({"type": "image_generation_call", "status": "failed", "result": None})),
        ("error", answer({"type": "mcp_call", "error": "gone", "output": None})),
        ("unfinished", answer(message(text("Hi")), status=None)),
        ("unknown_finish", answer(message(text("Hi")), status="levitating")),
        ("malformed", {**answer(), "output": "Hi"}),
        ("malformed", answer("Hi")),
        ("malformed", answer({"id": "x"})),
        ("malformed", answer({"type": "message", "content": "Hi"})),
    ],
)
def test_a_flawed_answer_is_named_by_its_flaw(code, whole):
    flaw = RESPONSES.flaw(whole)
    assert flaw is not None
    assert flaw.code == code
    assert flaw.advice


@pytest.mark.parametrize(
    "whole",
    [
        THOUGHT,
        TOOLS,
        OPEN,
        answer({"type": "computer_call", "id": "c", "call_id": "c", "status": "completed"}),
        answer({"type": "local_shell_call", "id": "c", "call_id": "c", "action": {}}),
    ],
)
def test_a_good_answer_has_no_flaw(whole):
    assert RESPONSES.flaw(whole) is None


# Requests


@pytest.mark.parametrize(
    ("code", "more"),
    [
        ("conversation", {"conversation": "conv_1"}),
        ("conversation", {"conversation": {"id": "conv_1"}}),
        ("previous_response_id", {"previous_response_id": "resp_1"}),
        ("background", {"background": True}),
        ("prompt_template", {"prompt": {"id": "pmpt_1"}}),
        ("prompt_template", {"prompt": {"id": "pmpt_1", "version": None}}),
        ("prompt_template", {"prompt": "pmpt_1"}),
        ("server_tool", {"tools": [{"type": "function"}, {"type": "web_search"}]}),
        ("server_tool", {"tools": [{"type": "web_search_preview_2025_03_11"}]}),
        ("server_tool", {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}),
        ("server_tool", {"tools": [{"type": "code_interpreter"}]}),
        ("server_tool", {"tools": [{"type": "image_generation"}]}),
        ("server_tool", {"tools": [{"type": "mcp", "server_label": "x"}]}),
        ("server_tool", {"tools": [{"type": "tool_search"}]}),
        ("server_tool", {"tools": [{"type": "shell"}]}),
        ("server_tool", {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}),
        ("server_tool", {"tools": [{"type": "namespace", "tools": [{"type": "mcp"}]}]}),
        ("server_tool", {"tools": [{"type": "crystal_ball"}]}),
        ("server_tool", {"tools": [{"name": "f"}]}),
        ("server_tool", {"tools": "web_search"}),
    ],
)
def test_state_effects_and_live_data_are_named(code, more):
    effect = RESPONSES.facts("/v1/responses", {**ASK, **more}).effect
    assert effect is not None
    assert effect.code == code
    assert effect.advice


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"conversation": None, "previous_response_id": None, "background": None, "prompt": None},
        {"background": False},
        {"prompt": {"id": "pmpt_1", "version": "2"}},
        {"tools": [{"type": "function"}, {"type": "custom"}, {"type": "apply_patch"}]},
        {"tools": [{"type": "shell", "environment": {"type": "local"}}, {"type": "local_shell"}]},
        {"tools": [{"type": "namespace", "tools": [{"type": "function"}, {"type": "custom"}]}]},
        {"tools": [{"type": "computer_use_preview"}]},
    ],
)
def test_tools_that_the_caller_runs_are_no_effect(more):
    assert RESPONSES.facts("/v1/responses", {**ASK, **more}).effect is None


def test_facts_and_usage():
    facts = RESPONSES.facts("/v1/responses", {**ASK, "stream": True, "temperature": 0})
    assert facts == Facts(model="gpt-5", stream=True, temperature=0.0)
    assert RESPONSES.usage(THOUGHT) == {"input": 9, "output": 20, "total": 29}
    assert RESPONSES.ask_usage({**ASK, "stream": True}) is None
    event = Event('{"usage": 1}')
    assert RESPONSES.show(event, facts) is event


def test_what_makes_an_id_or_asks_for_no_answer_counts():
    assert not {"store", "prompt_cache_options", "include"} & RESPONSES.neutral


# Any answer at all

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ITEMS = st.one_of(
    st.lists(TEXT, max_size=2).map(lambda summary: reasoning(*summary)),
    st.lists(TEXT.map(text) | TEXT.map(refusal), min_size=1, max_size=2).map(
        lambda content: message(*content)
    ),
    st.builds(call, TEXT, TEXT, TEXT),
    st.builds(custom, TEXT, TEXT),
)


@settings(deadline=None)
@given(st.lists(ITEMS, max_size=4))
def test_any_answer_told_and_put_together_again_is_itself(output):
    # Two items never bear the same identity.
    whole = answer(
        *({**item, "id": f"i{at}", "call_id": f"c{at}"} for at, item in enumerate(output))
    )
    told = list(RESPONSES.events(whole, STREAM))
    assert RESPONSES.whole(told) == whole
    assert read_stream(frames.write_all(told)) == bare(read_whole(whole).to_dict())
