"""Completions: a stream read whole, and a whole answer read as a stream, through the SDK."""

from __future__ import annotations

import json

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI

from askonce import frames
from askonce.dialects.contract import Facts
from askonce.dialects.openai_completions import COMPLETIONS
from askonce.frames import Event

ASKED = Facts(stream=True, usage_asked=True)
NOT_ASKED = Facts(stream=True, usage_asked=False)
UNASKED = Facts(stream=True, usage_asked=False, usage_on_request=False)
ASK = {"model": "gpt-3.5-turbo-instruct", "prompt": "Once"}
HEAD = {
    "id": "cmpl-8aXb",
    "object": "text_completion",
    "created": 1751500000,
    "model": "gpt-3.5-turbo-instruct:20230824-v2",
    "system_fingerprint": "fp_1",
}
USAGE = {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}


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
        return openai.completions.create(**ASK)


def read_stream(body: bytes) -> dict:
    """What a reader of the SDK's chunks puts together."""
    with client(body, "text/event-stream") as openai:
        chunks = list(openai.completions.create(**ASK, stream=True))
    told: dict = {"usage": next((chunk.usage for chunk in chunks if chunk.usage), None)}
    told["ids"] = {(chunk.id, chunk.model, chunk.created, chunk.object) for chunk in chunks}
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        text, tokens, finish = told.get(choice.index, ("", [], None))
        tokens = tokens + (choice.logprobs.tokens if choice.logprobs else [])
        told[choice.index] = (text + choice.text, tokens, choice.finish_reason or finish)
    return told


def odds(*tokens: str) -> dict:
    return {
        "tokens": list(tokens),
        "token_logprobs": [-0.25 for _ in tokens],
        "top_logprobs": [{token: -0.25} for token in tokens],
        "text_offset": [4 * at for at, _ in enumerate(tokens)],
    }


def choice(text: str, finish: str | None = None, index: int = 0, logprobs=None, **more) -> dict:
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish, **more}


def sse(*chunks: dict | str) -> bytes:
    return b"".join(
        b"data: %s\n\n" % (chunk if isinstance(chunk, str) else json.dumps(chunk)).encode()
        for chunk in chunks
    )


def stream(*choices: dict) -> bytes:
    told = [{**HEAD, "choices": [choice], "usage": None} for choice in choices]
    return sse(*told, {**HEAD, "choices": [], "usage": USAGE}, "[DONE]")


def answer(*choices: dict) -> dict:
    return {**HEAD, "choices": list(choices), "usage": USAGE}


TRANSCRIPTS = {
    "text": (
        stream(choice(" upon"), choice(" a time"), choice("", "stop")),
        answer(choice(" upon a time", "stop")),
    ),
    "the end comes with the last text": (
        stream(choice(" upon"), choice(" a time", "stop")),
        answer(choice(" upon a time", "stop")),
    ),
    "logprobs": (
        stream(
            choice(" a", logprobs=odds(" a")),
            choice(" b", logprobs={**odds(" b"), "text_offset": [4]}),
            choice("", "stop"),
        ),
        answer(choice(" a b", "stop", logprobs=odds(" a", " b"))),
    ),
    "two choices": (
        stream(
            choice("one"),
            choice("un", index=1),
            choice("o", index=1),
            choice("", "stop", index=1),
            choice("", "stop"),
        ),
        answer(choice("one", "stop"), choice("uno", "stop", index=1)),
    ),
}
each = pytest.mark.parametrize(("recorded", "whole"), TRANSCRIPTS.values(), ids=TRANSCRIPTS)


@each
def test_a_recorded_stream_reads_whole_as_the_whole_answer_does(recorded, whole):
    found = COMPLETIONS.whole(list(frames.events(recorded)))
    assert found is not None
    assert read_whole(found) == read_whole(whole)
    assert read_whole(found).to_dict() == read_whole(whole).to_dict()


@each
def test_a_whole_answer_reads_as_the_stream_does(recorded, whole):
    told = frames.write_all(COMPLETIONS.events(whole, ASKED))
    assert read_stream(told) == read_stream(recorded)


@each
def test_usage_that_was_not_asked_for_is_neither_told_nor_shown(recorded, whole):
    told = list(COMPLETIONS.events(whole, NOT_ASKED))
    shown = [COMPLETIONS.show(event, NOT_ASKED) for event in frames.events(recorded)]
    for stream in told, [event for event in shown if event is not None]:
        assert not any('"usage"' in event.data for event in stream)
        found = COMPLETIONS.whole(stream)
        assert found == {name: member for name, member in whole.items() if name != "usage"}


@each
def test_where_usage_may_come_unasked_it_is_told_beside_a_choice(recorded, whole):
    told = list(COMPLETIONS.events(whole, UNASKED))
    shown = [COMPLETIONS.show(event, UNASKED) for event in frames.events(recorded)]
    for stream in told, shown:
        assert all(json.loads(event.data)["choices"] for event in stream[:-1])
        assert COMPLETIONS.whole(stream) == whole


CHOICES = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.sampled_from(["stop", "length"]),
        st.none() | st.lists(st.sampled_from([" a", "b", "ß"]), max_size=3).map(lambda t: odds(*t)),
    ),
    min_size=1,
    max_size=3,
)


@settings(deadline=None)
@given(CHOICES)
def test_any_answer_told_and_put_together_again_is_itself(rows):
    choices = [choice(text, end, at, logprobs) for at, (text, end, logprobs) in enumerate(rows)]
    whole = answer(*choices)
    assert COMPLETIONS.whole(list(COMPLETIONS.events(whole, ASKED))) == whole
    assert COMPLETIONS.usage(whole) == {"input": 1, "output": 4, "total": 5}


@pytest.mark.parametrize(
    "recorded",
    [
        sse({**HEAD, "choices": [choice("a", "stop")]}),
        sse({**HEAD, "choices": [choice("a")]}, "[DONE]"),
        sse({**HEAD, "choices": [choice("a", "stop")]}, {"error": {"message": "x"}}, "[DONE]"),
        sse("[DONE]"),
    ],
)
def test_a_stream_that_is_not_complete_is_no_answer(recorded):
    assert COMPLETIONS.whole(list(frames.events(recorded))) is None


@pytest.mark.parametrize(
    ("code", "whole"),
    [
        ("truncated", answer(choice("Hi", "stop"), choice("Hi", "length", 1))),
        ("filtered", answer(choice("Hi", "content_filter"))),
        ("empty", answer(choice("", "stop"))),
        ("empty", answer()),
        ("unfinished", answer(choice("Hi"))),
        ("unknown_finish", answer(choice("Hi", "tired"))),
        ("malformed", answer({"index": 0, "finish_reason": "stop", "message": {"content": "Hi"}})),
        ("malformed", {**HEAD}),
        ("error", {"error": {"message": "x"}}),
    ],
)
def test_a_flawed_answer_is_named_by_its_flaw(code, whole):
    flaw = COMPLETIONS.flaw(whole)
    assert flaw is not None
    assert flaw.code == code


def test_a_good_answer_has_no_flaw():
    assert COMPLETIONS.flaw(answer(choice("Hi", "stop"))) is None


def test_facts_and_the_request_for_usage():
    body = {**ASK, "stream": True, "temperature": 0.5}
    facts = COMPLETIONS.facts("/v1/completions", body)
    assert facts == Facts(ASK["model"], stream=True, usage_asked=False, temperature=0.5)
    assert COMPLETIONS.ask_usage(body) == {**body, "stream_options": {"include_usage": True}}
    assert COMPLETIONS.terminal(Event("[DONE]"))
