"""Gemini: a stream read whole, and a whole answer read as a stream, through the SDK."""

from __future__ import annotations

import copy
import json
from itertools import pairwise

import httpx2
import pytest
from google import genai
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce import frames, replay
from askonce.dialects.contract import Facts
from askonce.dialects.gemini import GEMINI
from askonce.frames import Event
from askonce.model import Response

STREAM = Facts(stream=True)
PATH = "/v1beta/models/gemini-2.5-flash"
USAGE = {
    "promptTokenCount": 4,
    "candidatesTokenCount": 8,
    "thoughtsTokenCount": 20,
    "totalTokenCount": 32,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 4}],
}
HEAD = {"modelVersion": "gemini-2.5-flash", "responseId": "Ab3-aKzP"}


def client(body: bytes, kind: str) -> genai.Client:
    def handler(request):
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    options = types.HttpOptions(
        base_url="http://provider.test",
        httpx_client=httpx2.Client(transport=httpx2.MockTransport(handler)),
    )
    return genai.Client(api_key="test", http_options=options)


def read_whole(answer: dict) -> dict:
    models = client(json.dumps(answer).encode(), "application/json").models
    found = models.generate_content(model="gemini-2.5-flash", contents="Hi")
    return found.model_dump(exclude={"sdk_http_response"}, exclude_none=True)


def read_stream(body: bytes) -> dict:
    """What a reader of the SDK's chunks puts together."""
    models = client(body, "text/event-stream").models
    found = list(models.generate_content_stream(model="gemini-2.5-flash", contents="Hi"))
    told: dict = {"usage": found[-1].usage_metadata, "model": found[-1].model_version}
    told["id"] = {chunk.response_id for chunk in found}
    for chunk in found:
        for candidate in chunk.candidates or ():
            place = told.setdefault(candidate.index or 0, {"text": "", "thought": "", "calls": []})
            place["finish"] = candidate.finish_reason
            for part in candidate.content.parts or () if candidate.content else ():
                place["thought" if part.thought else "text"] += part.text or ""
                place["calls"] += [part.function_call] if part.function_call else []
    return told


def text(said: str, **more) -> dict:
    return {"text": said, **more}


def thought(said: str) -> dict:
    return {"text": said, "thought": True}


def call(name: str, **arguments) -> dict:
    return {"functionCall": {"name": name, "args": arguments}}


def candidate(*parts: dict, finish: str | None = "STOP", index: int = 0, **more) -> dict:
    told = {"content": {"parts": list(parts), "role": "model"}, "index": index, **more}
    return told if finish is None else {**told, "finishReason": finish}


def answer(*candidates: dict, **more) -> dict:
    return {"candidates": list(candidates), "usageMetadata": USAGE, **HEAD, **more}


def sse(*chunks: dict | str) -> bytes:
    # Google ends its lines with CR LF.
    return b"".join(
        b"data: %s\r\n\r\n" % (chunk if isinstance(chunk, str) else json.dumps(chunk)).encode()
        for chunk in chunks
    )


def chunk(*candidates: dict, **usage) -> dict:
    counted = {"promptTokenCount": 4, "totalTokenCount": 4, **usage}
    return {"candidates": list(candidates), "usageMetadata": counted, **HEAD}


def more(*parts: dict, index: int = 0, **rest) -> dict:
    return chunk(candidate(*parts, finish=None, index=index, **rest))


def last(*parts: dict, index: int = 0, **rest) -> dict:
    return chunk(candidate(*parts, index=index, **rest), **USAGE)


SIGNED = {"functionCall": {"name": "f", "args": {"a": 1.5}}, "thoughtSignature": "CpYB"}
TRANSCRIPTS = {
    "text": (
        sse(more(text("Grüß")), more(text(" Gott")), last(text("!"))),
        answer(candidate(text("Grüß Gott!"))),
    ),
    "the end comes alone": (
        sse(more(text("Hi")), chunk({"finishReason": "STOP", "index": 0}, **USAGE)),
        answer(candidate(text("Hi"))),
    ),
    "an end with empty text": (
        sse(more(text("Hi")), last(text(""))),
        answer(candidate(text("Hi"))),
    ),
    "thoughts": (
        sse(more(thought("Two")), more(thought(" twos.")), more(text("It is")), last(text(" 4"))),
        answer(candidate(thought("Two twos."), text("It is 4"))),
    ),
    "calls": (
        sse(more(text("Let me "), text("look.")), more(SIGNED), last(call("g"))),
        answer(candidate(text("Let me look."), SIGNED, call("g"))),
    ),
    "a signature stays where it was": (
        sse(more(text("It is")), more(text(" 4")), last(text("", thoughtSignature="CpYB"))),
        answer(candidate(text("It is 4"), text("", thoughtSignature="CpYB"))),
    ),
    "two candidates": (
        sse(
            chunk(
                candidate(text("one"), finish=None),
                candidate(text("u"), finish=None, index=1),
            ),
            last(index=0),
            last(text("no"), index=1),
        ),
        answer(candidate(text("one")), candidate(text("uno"), index=1)),
    ),
}
each = pytest.mark.parametrize(("recorded", "whole"), TRANSCRIPTS.values(), ids=TRANSCRIPTS)


@each
def test_a_recorded_stream_reads_whole_as_the_whole_answer_does(recorded, whole):
    found = GEMINI.whole(list(frames.events(recorded)))
    assert found == whole
    assert read_whole(found) == read_whole(whole)


@each
def test_a_whole_answer_reads_as_the_stream_does(recorded, whole):
    before = copy.deepcopy(whole)
    told = frames.write_all(GEMINI.events(whole, STREAM))
    assert read_stream(told) == read_stream(recorded)
    assert GEMINI.whole(list(frames.events(told))) == whole == before


def test_findings_are_kept_once_and_logprobs_all():
    rating = {"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}
    first, second = {"uri": "http://a", "endIndex": 1}, {"uri": "http://b", "endIndex": 2}

    def odds(*tokens):
        return {"chosenCandidates": [{"token": t, "logProbability": -0.5} for t in tokens]}

    recorded = sse(
        more(
            text("a"),
            safetyRatings=[rating],
            citationMetadata={"citationSources": [first]},
            logprobsResult=odds("a"),
        ),
        last(
            text("a"),
            safetyRatings=[rating],
            citationMetadata={"citationSources": [first, second]},
            logprobsResult=odds("a"),
            avgLogprobs=-0.5,
        ),
    )
    found = GEMINI.whole(list(frames.events(recorded)))
    assert found is not None
    [told] = found["candidates"]
    assert told["safetyRatings"] == [rating]
    assert told["citationMetadata"] == {"citationSources": [first, second]}
    assert told["logprobsResult"] == odds("a", "a")
    assert told["avgLogprobs"] == -0.5


def grounded(*lists: list[str]) -> dict | None:
    parts = [more(text("a"), groundingMetadata={"groundingChunks": chunks}) for chunks in lists]
    found = GEMINI.whole(list(frames.events(sse(*parts, last(text("b"))))))
    return found and found["candidates"][0]["groundingMetadata"]


@pytest.mark.parametrize(
    ("lists", "together"),
    [
        ([["x", "x"]], ["x", "x"]),
        ([["x", "x"], ["x", "x", "y"]], ["x", "x", "y"]),
        ([["x"], ["y", "y"]], ["x", "y", "y"]),
        ([["x", "y"], ["y", "z"]], None),
    ],
)
def test_lists_whose_entries_are_counted_keep_their_order_or_are_unclear(lists, together):
    assert grounded(*lists) == (together and {"groundingChunks": together})


def test_the_last_ratings_hold():
    def rating(probability):
        return [{"category": "HARM_CATEGORY_HARASSMENT", "probability": probability}]

    recorded = sse(
        more(text("a"), safetyRatings=rating("LOW")),
        last(text("b"), safetyRatings=rating("HIGH")),
    )
    found = GEMINI.whole(list(frames.events(recorded)))
    assert found is not None
    assert found["candidates"][0]["safetyRatings"] == rating("HIGH")


def broken() -> dict[str, bytes]:
    partial = {"functionCall": {"name": "f", "willContinue": True}}
    rest = {"functionCall": {"partialArgs": [{"jsonPath": "$.a", "numberValue": 1}]}}
    return {
        "nothing": b"",
        "no end": sse(more(text("Hi"))),
        "a second candidate without its end": sse(more(text("u"), index=1), last(text("Hi"))),
        "an error": sse(more(text("Hi")), {"error": {"code": 503, "status": "UNAVAILABLE"}}),
        "broken JSON": sse(more(text("Hi")), last(text("!")), '{"candidates": ['),
        "no object": sse("[]", last(text("!"))),
        "no candidate": sse({"candidates": [], "usageMetadata": USAGE}),
        "a candidate that is text": sse({"candidates": ["Hi"]}, last(text("!"))),
        "a part that is text": sse(more("Hi"), last(text("!"))),
        "a call in pieces": sse(more(partial), more(rest), last()),
        "content of another kind": sse(
            {"candidates": [{"content": "Hi"}]}, chunk({"finishReason": ""})
        ),
    }


@pytest.mark.parametrize("recorded", broken().values(), ids=broken())
def test_a_stream_that_is_not_complete_is_no_answer(recorded):
    assert GEMINI.whole(list(frames.events(recorded))) is None


def test_a_blocked_prompt_is_named_as_such():
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE}
    assert GEMINI.flaw(GEMINI.whole(list(frames.events(sse(blocked))))).code == "filtered"


def test_a_stream_that_stops_within_its_last_event_is_no_answer():
    """Google's own SDK reads that event, others leave it out; both may have an end before it."""
    ended, more_usage = sse(more(text("a")), last(text("b"))), sse(chunk(**USAGE))
    # The last LF is not missed: a CR ends a line too.
    for place in range(1, len(more_usage) - 1):
        response = Response(200, (), ended + more_usage[:place], streamed=True)
        assert replay.answer(GEMINI, response) is None
    for body in ended, ended + more_usage:
        assert replay.answer(GEMINI, Response(200, (), body, streamed=True)) is not None


def test_no_event_ends_a_stream():
    assert not any(GEMINI.terminal(event) for event in frames.events(TRANSCRIPTS["text"][0]))


# Flaws


@pytest.mark.parametrize(
    ("code", "whole"),
    [
        ("truncated", answer(candidate(text("Hi"), finish="MAX_TOKENS"))),
        ("truncated", answer(candidate(text("a")), candidate(text("b"), finish="MAX_TOKENS"))),
        ("filtered", answer(candidate(finish="SAFETY"))),
        ("filtered", answer(candidate(text("Hi"), finish="RECITATION"))),
        ("filtered", answer(candidate(finish="PROHIBITED_CONTENT"))),
        ("filtered", {"promptFeedback": {"blockReason": "OTHER"}}),
        ("broken_tool_call", answer(candidate(finish="MALFORMED_FUNCTION_CALL"))),
        ("broken_tool_call", answer(candidate({"functionCall": {"name": "f", "args": "{}"}}))),
        ("broken_tool_call", answer(candidate({"functionCall": {"args": {}}}))),
        ("empty", answer()),
        ("empty", answer(candidate())),
        ("empty", answer({"finishReason": "STOP", "index": 0})),
        ("empty", answer(candidate(text(" ")))),
        ("empty", answer(candidate(thought("Hm"), text("", thoughtSignature="CpYB")))),
        ("unfinished", answer(candidate(text("Hi"), finish=None))),
        ("unfinished", answer(candidate(text("Hi"), finish="CONTINUATION"))),
        ("unknown_finish", answer(candidate(text("Hi"), finish="OTHER"))),
        ("unknown_finish", answer(candidate(text("Hi"), finish="FINISH_REASON_UNSPECIFIED"))),
        ("unknown_finish", answer(candidate(text("Hi"), finishReason=7, finish=None))),
        ("malformed", {"usageMetadata": USAGE}),
        ("malformed", answer("Hi")),
        ("malformed", answer({"content": {"parts": "Hi"}, "finishReason": "STOP"})),
        ("malformed", answer(candidate("Hi"))),
        ("error", {"error": {"code": 429}}),
    ],
)
def test_a_flawed_answer_is_named_by_its_flaw(code, whole):
    flaw = GEMINI.flaw(whole)
    assert flaw is not None
    assert flaw.code == code
    assert flaw.advice


@pytest.mark.parametrize(
    "whole",
    [
        *(whole for _, whole in TRANSCRIPTS.values()),
        answer(candidate({"functionCall": {"name": "f"}})),
        answer(candidate({"inlineData": {"mimeType": "image/png", "data": "AAAA"}})),
    ],
)
def test_a_good_answer_has_no_flaw(whole):
    assert GEMINI.flaw(whole) is None


# Requests


def test_the_path_names_the_model_and_the_stream():
    whole, stream = f"{PATH}:generateContent", f"{PATH}:streamGenerateContent"
    vertex = "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent"
    assert GEMINI.facts(whole, {}) == Facts(model="gemini-2.5-flash")
    assert GEMINI.facts(stream, {}) == Facts(model="gemini-2.5-flash", stream=True)
    assert GEMINI.facts(vertex, {}).model == "gemini-2.5-pro"
    assert GEMINI.endpoint(stream) == GEMINI.endpoint(whole) == whole
    assert GEMINI.neutral_query == {"alt", "key"}
    assert GEMINI.neutral == frozenset()


def test_the_temperature_lies_in_the_settings():
    for name in ("generationConfig", "generation_config"):
        assert GEMINI.facts(PATH, {name: {"temperature": 0}}).temperature == 0.0
    assert GEMINI.facts(PATH, {"generationConfig": {"temperature": True}}).temperature is None
    assert GEMINI.facts(PATH, {"generationConfig": "cold", "temperature": 0}).temperature is None


@pytest.mark.parametrize(
    "tools",
    [
        [{"googleSearch": {}}],
        [{"functionDeclarations": [], "codeExecution": {}}],
        [{"urlContext": {}}],
        [{"crystalBall": {}}],
        ["googleSearch"],
        {"googleSearch": {}},
        "googleSearch",
        0,
    ],
)
def test_tools_that_the_provider_runs_are_an_effect(tools):
    effect = GEMINI.facts(PATH, {"tools": tools}).effect
    assert effect is not None
    assert effect.code == "server_tool"


@pytest.mark.parametrize(
    "tools",
    [
        None,
        [],
        [{"functionDeclarations": [{"name": "f"}]}],
        [{"function_declarations": [], "googleSearch": None}],
        {"functionDeclarations": []},
    ],
)
def test_functions_that_the_caller_runs_are_no_effect(tools):
    assert GEMINI.facts(PATH, {"tools": tools}).effect is None


def test_thoughts_count_as_output():
    assert GEMINI.usage(answer()) == {"input": 4, "output": 28, "total": 32}
    assert GEMINI.usage({}) == {}


# Any answer at all

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
PARTS = st.one_of(
    TEXT.map(lambda said: text(said, thoughtSignature="CpYB")),
    st.builds(call, TEXT, a=st.integers()),
    st.just(SIGNED),
)


@settings(deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=4), TEXT, TEXT)
def test_any_answer_told_and_put_together_again_is_itself(parts, before, after):
    whole = answer(candidate(thought(before), *parts, text(after)))
    assert GEMINI.whole(list(GEMINI.events(whole, STREAM))) == whole


@settings(deadline=None)
@given(TEXT, st.lists(st.integers(0, 12), max_size=4))
def test_text_in_any_pieces_is_put_together(said, places):
    edges = [0, *sorted(min(place, len(said)) for place in places), len(said)]
    pieces = [said[at:to] for at, to in pairwise(edges)]
    recorded = [more(text(piece)) for piece in pieces[:-1]] + [last(text(pieces[-1]))]
    told = [Event(json.dumps(chunk)) for chunk in recorded]
    assert GEMINI.whole(told) == answer(candidate(text(said)))
