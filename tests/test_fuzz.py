"""Random and hostile requests and answers: the caller gets what it would get without the cache.

`python bench/fuzz.py` sends 10,000 of them; this is a sample, and what they have found.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from askonce import Cache
from askonce.testing.fake_script import Reply

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import fuzz
import hostile_bodies
import hostile_requests
import lanes
import oracle
from hostile_upstream import as_sent

CHAT = "http://one.test/v1/chat/completions"
EMBEDDINGS = "http://one.test/v1/embeddings"
BASE = {"model": "gpt-4o", "temperature": 0, "messages": [{"role": "user", "content": "Why?"}]}


@pytest.fixture(params=range(8))
def lane(request, tmp_path):
    with lanes.lanes(7, str(tmp_path), only=request.param) as (way,):
        yield way


def test_whatever_is_sent_and_answered_the_caller_gets_what_it_would_get_without_the_cache(lane):
    fuzzed = fuzz.Fuzz()
    fuzz.storm(fuzzed, [lane], bodies=80, seed=lane.number)
    assert fuzzed.wrong == []
    assert lane.cache.stats().trouble == 0
    # It proves something only if the cache was really at work.
    assert fuzzed.outcomes["hit"] > 20
    assert fuzzed.outcomes["bypass ambiguous"] > 5
    assert len(lane.upstream.kinds) > 10


@pytest.mark.parametrize("kind", hostile_bodies.HOSTILE)
def test_hostile_bodies_of_every_kind_are_never_taken_for_one_another(kind, tmp_path):
    fuzzed = fuzz.Fuzz()
    with lanes.lanes(8, str(tmp_path), only=0) as (lane,):
        for number, endpoint in enumerate(hostile_requests.ENDPOINTS):
            chance = random.Random(f"{kind} {number}")
            url = f"http://one.test{endpoint.path}"
            for sent in hostile_bodies.HOSTILE[kind](chance, url, endpoint.body(chance)):
                fuzzed.body(lane, sent)
    assert fuzzed.wrong == []


def test_bodies_beyond_what_providers_take_are_passed_on_unread(tmp_path):
    fuzzed = fuzz.Fuzz()
    with lanes.lanes(9, str(tmp_path), only=0) as (lane,):
        fuzzed.body(lane, hostile_requests.huge(CHAT, 50_000_000))
    assert fuzzed.wrong == []
    assert fuzzed.outcomes == Counter({"bypass too_large": 2})


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ('{"a":1}', '{"a":1.0}', True),
        ('{"a":1,"b":"\\u00e9"}', ' {"b":"\u00e9","a":1e0}', True),
        ('{"a":1}', '{"a":1,"user":"somebody"}', True),
        ('{"a":1}', '{"a":"1"}', False),
        ('{"a":1}', '{"a":true}', False),
        ('{"a":null}', "{}", False),
        ('{"a":[1,2]}', '{"a":[2,1]}', False),
        ('{"a":NaN}', '{"a":null}', False),
        (f'{{"a":{"1" * 30}}}', f'{{"a":{"1" * 29}2}}', False),
        ('{"a":1,"a":2}', '{"a":2}', False),
        ('{"a":"\\ud800"}', '{"a":"\\udfff"}', False),
    ],
)
def test_the_oracle_tells_what_means_the_same(one, other, alike):
    told = [
        oracle.meaning(hostile_requests.posted("", CHAT, text.encode())).digest
        for text in (one, other)
    ]
    assert (told[0] == told[1]) is alike


# What has been found so, each by the smallest case of it


@pytest.fixture
def ask(cache):
    """Send a body to a canned upstream; return the answer, and what the upstream received."""

    def send(url, body, *, answer=None, headers=()):
        received = []

        def upstream(request):
            received.append(as_sent(request))
            return answer or httpx2.Response(200, json=chat("fine"))

        transport = cache.transport(httpx2.MockTransport(upstream))
        with httpx2.Client(transport=transport) as client:
            typed = [("content-type", "application/json"), *headers]
            return client.post(url, content=body, headers=typed), received

    return send


def chat(text):
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"object": "chat.completion", "choices": choices, "usage": usage}


def vectors(*indices, **more):
    data = [{"object": "embedding", "index": index, "embedding": [0.5]} for index in indices]
    return {"object": "list", "data": data, "usage": {"total_tokens": 2}, **more}


def raw(value, **more):
    typed = {"content-type": "application/json", **more}
    return httpx2.Response(200, headers=typed, content=json.dumps(value).encode())


def test_response_headers_beyond_ascii_come_back_byte_for_byte(ask, cache):
    odd = "r\u00e9q".encode("latin-1")
    answer = httpx2.Response(
        200, headers=[(b"x-request-id", odd), (b"server", odd)], content=json.dumps(chat("fine"))
    )
    miss, _ = ask(CHAT, json.dumps(BASE), answer=answer)
    hit, _ = ask(CHAT, json.dumps(BASE))
    assert cache.last.kind == "hit"
    ids = [dict(it.headers.raw)[b"x-request-id"] for it in (miss, hit)]
    assert ids == [odd, odd]


def test_request_headers_of_other_bytes_are_other_requests(ask, cache):
    for value in ("\u00e9".encode(), "\u00e9".encode("latin-1")):
        ask(CHAT, json.dumps(BASE), headers=[(b"x-later", value)])
        assert cache.last.kind == "miss"


@pytest.mark.parametrize("user", ['"\\ud800"', "1" * 30, "[" * 500 + "]" * 500])
def test_a_neutral_field_that_is_odd_is_sent_on_where_usage_is_asked_for(ask, user):
    known = "https://api.openai.com/v1/chat/completions"
    body = json.dumps({**BASE, "stream": True})[:-1] + f', "user": {user}}}'
    _, (sent,) = ask(known, body)
    assert json.loads(sent.body)["user"] == json.loads(user)


@pytest.mark.parametrize("user", ['"\\ud800"', "1" * 30, "[" * 500 + "]" * 500])
def test_a_neutral_field_that_is_odd_is_sent_on_with_a_batch(ask, user):
    body = f'{{"model": "m", "input": ["a", "b"], "user": {user}}}'
    _, (sent,) = ask(EMBEDDINGS, body, answer=raw(vectors(0, 1)))
    assert json.loads(sent.body)["user"] == json.loads(user)


@pytest.mark.parametrize(
    "odd",
    [
        vectors(0, {}),
        vectors(0, []),
        vectors(0, None),
        {"data": [1, None]},
        vectors(0, 1, later=json.loads("[" * 250 + "]" * 250)),
        vectors(0, 1, later=json.loads("[" * 400 + "]" * 400)),
        vectors(0, 1, usage="none"),
        vectors(0, 1, later=10**30),
        vectors(0, 1, later="\ud800"),
    ],
)
def test_an_odd_answer_to_a_batch_reaches_the_caller_as_it_is(ask, odd):
    got, _ = ask(EMBEDDINGS, '{"model": "m", "input": ["a", "b"]}', answer=raw(odd))
    said = json.loads(got.content)
    assert {**said, "usage": None} == {**odd, "usage": None}


def test_an_input_whose_usage_is_odd_can_be_part_of_a_batch(ask, cache):
    ask(EMBEDDINGS, '{"model": "m", "input": "a"}', answer=raw(vectors(0, usage="none")))
    got, _ = ask(EMBEDDINGS, '{"model": "m", "input": ["a", "b"]}', answer=raw(vectors(0)))
    assert len(got.json()["data"]) == 2
    assert cache.last.kind == "miss"


def test_usage_that_a_host_tells_unasked_reaches_its_caller(upstream, cache):
    told = b'data: {"choices":[],"usage":{"total_tokens":2}}\n\n'
    body = (b'data: {"choices":[]}\n\n', told, b"data: [DONE]\n\n")
    upstream.script = lambda _: Reply(raw=body, content_type="text/event-stream")
    transport = cache.transport(httpx2.HTTPTransport())
    with httpx2.Client(transport=transport) as client:
        asked = {**BASE, "stream": True}
        assert told in client.post(f"{upstream.url}/v1/chat/completions", json=asked).content


def test_a_call_has_one_outcome_of_its_own(upstream):
    upstream.script = lambda _: Reply(status=500)
    with Cache("memory://") as cache, cache.recording() as outcomes:
        transport = cache.transport(httpx2.HTTPTransport())
        with httpx2.Client(transport=transport) as client:
            batch = {"model": "m", "input": ["a", "b"]}
            client.post(f"{upstream.url}/v1/embeddings", json=batch)
    assert [(it.kind, it.reason.code) for it in outcomes] == [("miss", "status")]
