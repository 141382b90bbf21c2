"""The policies of the use cases: each preset against each kind of request, and what rules choose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import anthropic
import httpx2
import pytest
from google import genai
from google.genai import types as genai_types
from openai import OpenAI

from askonce import Cache, ConfigError, Policy, Rule
from askonce.presets import CREATIVE, FAQ, LIVE, PRESETS, REFORMULATION
from askonce.rules import Rules
from askonce.testing.fake_script import Reply

HOUR = 3600.0
NOW = 1_764_000_000.0
MESSAGES = [{"role": "user", "content": "What is RAG?"}]
FUNCTION = {"type": "function", "function": {"name": "look_up", "parameters": {}}}


@pytest.fixture
def client(upstream) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0) as made:
        yield made


@pytest.fixture
def sends(upstream):
    """Send a body to the upstream through a transport of a cache, as any SDK would."""

    def send(cache, path="/v1/chat/completions", **body):
        transport = cache.transport(httpx2.HTTPTransport())
        with httpx2.Client(transport=transport) as http:
            body = {"model": "gpt-4o", "messages": MESSAGES, **body}
            return http.post(f"{upstream.url}{path}", json=body)

    return send


def test_the_presets_are_those_of_the_table():
    assert list(PRESETS) == ["faq", "summary", "reformulation", "creative", "live"]
    assert {name: (it.enabled, it.semantic, it.ttl) for name, it in PRESETS.items()} == {
        "faq": (True, None, 24 * HOUR),
        "summary": (True, False, None),
        "reformulation": (True, True, HOUR),
        "creative": (False, None, CREATIVE.ttl),
        "live": (False, None, LIVE.ttl),
    }
    assert not any(preset.sampled or preset.effects for preset in PRESETS.values())


KEPT = "kept"
REQUESTS = {
    "deterministic": {"temperature": 0},
    "sampled": {"temperature": 0.7},
    "left out": {},
    "tools of the caller": {"temperature": 0, "tools": [FUNCTION]},
    "tools of the provider": {"temperature": 0, "web_search_options": {}},
    "a live model": {"temperature": 0, "model": "gpt-4o-search-preview"},
    "a model without the knob": {"model": "o3"},
}
DECISIONS = {
    "deterministic": KEPT,
    "sampled": "sampled",
    "left out": "sampled",
    "tools of the caller": KEPT,
    "tools of the provider": "server_tool",
    "a live model": "live",
    "a model without the knob": KEPT,
}


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_decides_on_each_kind_of_request_and_says_why(sends, name, kind):
    with Cache("memory://", policy=name, clock=lambda: NOW) as cache:
        sends(cache, **REQUESTS[kind])
        decided = name if name in ("creative", "live") else DECISIONS[kind]
        kept = list(cache.entries())
        if decided == KEPT:
            ttl = PRESETS[name].ttl
            assert (cache.last.kind, cache.last.reason) == ("miss", None)
            assert [entry.expires for _, entry in kept] == [None if ttl is None else NOW + ttl]
            assert cache.last.exact_only == (name == "reformulation")
        else:
            assert (cache.last.kind, cache.last.reason.code) == ("bypass", decided)
            assert cache.last.reason.advice
            assert kept == []


@pytest.mark.parametrize("name", ["faq", "summary", "reformulation"])
@pytest.mark.parametrize("event", ["repeated", "document changed", "expired", "provider down"])
def test_each_preset_that_keeps_answers_on_what_becomes_of_them(sends, upstream, name, event):
    now = [NOW]
    with Cache("memory://", policy=name, clock=lambda: now[0]) as cache:
        with cache.using(tags=[cache.document("handbook.md", "first")]):
            sends(cache, temperature=0)
        content = "second" if event == "document changed" else "first"
        if event == "expired":
            now[0] += 25 * HOUR
        if event == "provider down":
            now[0] += 25 * HOUR
            upstream.script = lambda request: Reply(status=503)
        with cache.using(tags=[cache.document("handbook.md", content)]):
            status = sends(cache, temperature=0).status_code
        outcome = cache.last
    ends = name != "summary"
    expected = {
        "repeated": ("hit", 200, None),
        "document changed": ("miss", 200, None),
        "expired": ("miss" if ends else "hit", 200, None),
        "provider down": ("miss", 503, "status") if ends else ("hit", 200, None),
    }
    assert (outcome.kind, status, outcome.reason and outcome.reason.code) == expected[event]


def test_a_summary_is_kept_for_a_year_until_its_document_changes(client, upstream):
    now = [NOW]
    with Cache("memory://", clock=lambda: now[0]) as cache:
        cache.wrap(client, policy="summary")

        def summary(content):
            with cache.using(tags=[cache.document("report.pdf", content)]):
                return client.chat.completions.create(
                    model="gpt-4o",
                    messages=[{"role": "user", "content": "Summarize report.pdf"}],
                    temperature=0,
                )

        first = summary("one")
        now[0] += 365 * 24 * HOUR
        assert summary("one").id == first.id
        changed = summary("two")
        assert changed.id != first.id
        assert summary("two").id == changed.id
        assert upstream.calls == 2


def test_a_preset_of_ones_own_is_a_copy_with_changes(client):
    mine = replace(FAQ, ttl=72 * HOUR, name="support")
    with Cache("memory://", clock=lambda: NOW) as cache:
        cache.wrap(client, policy=mine)
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0)
        assert {entry.expires for _, entry in cache.entries()} == {NOW + 72 * HOUR}


def test_a_policy_of_an_unknown_name_is_refused_with_the_nearest_one(cache):
    with pytest.raises(ConfigError, match=r"did you mean 'summary'\? There are faq, summary"):
        cache.using(policy="sumary")
    with pytest.raises(ConfigError, match="use Policy"):
        cache(policy=42)


def test_reformulation_is_exact_where_semantic_lookup_is_not_and_says_so(cache, client):
    cache.wrap(client, policy=REFORMULATION)
    for _ in range(2):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0)
        assert cache.last.exact_only
    assert cache.last.kind == "hit"
    with cache.using(policy=FAQ):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0)
    assert (cache.last.kind, cache.last.exact_only) == ("hit", False)


# Pinning the temperature


PINNED = Policy(pin_temperature=True)


def test_a_temperature_that_is_left_out_is_set_to_0_when_asked_and_said(cache, client, upstream):
    cache.wrap(client, policy=PINNED)
    for kind in ("miss", "hit", "hit"):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        assert (cache.last.kind, cache.last.pinned) == (kind, True)
    assert upstream.requests[0].json["temperature"] == 0
    client.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0)
    assert (cache.last.kind, cache.last.pinned) == ("hit", False)


def test_a_temperature_that_is_given_stays(cache, client, upstream):
    cache.wrap(client, policy=PINNED)
    client.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0.5)
    assert cache.last.reason.code == "sampled"
    assert upstream.requests[0].json["temperature"] == 0.5


@pytest.mark.parametrize("odd", ["0.5", [1], {"a": 1}, True])
def test_a_temperature_that_is_no_number_stays_too(cache, sends, upstream, odd):
    with cache.using(policy=PINNED):
        sends(cache, temperature=odd)
    assert upstream.requests[0].json["temperature"] == odd


def test_a_model_without_the_knob_is_not_pinned(cache, sends, upstream):
    with cache.using(policy=PINNED):
        sends(cache, model="o3")
    assert "temperature" not in upstream.requests[0].json
    assert (cache.last.unpinned, cache.last.pinned) == (True, False)


def test_a_pinned_client_does_not_answer_one_that_is_not(cache, client, upstream):
    cache.wrap(client)
    with cache.using(policy=PINNED):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert (cache.last.kind, cache.last.pinned) == ("hit", True)
    client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert (cache.last.kind, cache.last.reason.code) == ("bypass", "sampled")


def test_every_dialect_pins_in_its_own_words(cache, upstream):
    claude = anthropic.Anthropic(base_url=upstream.url, api_key="k")
    with claude, cache.using(policy=PINNED):
        cache.wrap(claude)
        claude.messages.create(model="claude-3-haiku-20240307", max_tokens=9, messages=MESSAGES)
        assert upstream.requests[-1].json["temperature"] == 0
        transport = cache.transport(httpx2.HTTPTransport())
        with httpx2.Client(transport=transport) as http:
            options = genai_types.HttpOptions(base_url=upstream.url, httpx_client=http)
            gemini = genai.Client(api_key="k", http_options=options)
            gemini.models.generate_content(model="gemini-1.5-pro", contents="What is RAG?")
        assert upstream.requests[-1].json["generationConfig"]["temperature"] == 0
        assert cache.last.pinned


def test_a_pinned_stream_is_pinned_upstream_too(cache, client, upstream):
    cache.wrap(client, policy=PINNED)
    for kind in ("miss", "hit"):
        list(client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True))
        assert (cache.last.kind, cache.last.pinned) == (kind, True)
    assert upstream.requests[0].json["temperature"] == 0


# Rules


def ruled(*rules, **more):
    return Cache("memory://", rules=rules, clock=lambda: NOW, **more)


@pytest.mark.parametrize(
    ("rule", "fits", "fits_not"),
    [
        (Rule("live", model="gpt-4o*"), {"model": "GPT-4o-mini"}, {"model": "gpt-5"}),
        (Rule("live", path="*/chat/*"), {}, {"path": "/v1/responses", "input": "hi"}),
        (
            Rule("live", metadata={"use": "prices"}),
            {"metadata": {"use": "prices", "more": "1"}},
            {"metadata": {"use": "faq"}},
        ),
        (
            Rule("live", system=r"(?i)stock\s+prices"),
            {"messages": [{"role": "system", "content": "Tell Stock\nprices."}, *MESSAGES]},
            {"messages": [{"role": "user", "content": "Tell stock prices."}]},
        ),
    ],
    ids=["model", "path", "metadata", "system"],
)
def test_a_rule_holds_for_the_requests_that_fit_it(sends, rule, fits, fits_not):
    with ruled(rule) as cache:
        sends(cache, temperature=0, **fits)
        assert cache.last.reason.code == "live"
        sends(cache, temperature=0, **fits_not)
        assert cache.last.kind == "miss"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "developer", "content": "S"}, *MESSAGES]}),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "system", "content": [{"type": "text", "text": "S"}]}]},
        ),
        ("/v1/responses", {"instructions": "S", "input": "hi"}),
        ("/v1/responses", {"input": [{"role": "system", "content": "S"}]}),
        ("/v1/messages", {"system": "S", "messages": MESSAGES, "max_tokens": 9}),
        ("/v1/messages", {"system": [{"type": "text", "text": "S"}], "max_tokens": 9}),
        (
            "/v1beta/models/gemini-1.5-pro:generateContent",
            {"systemInstruction": {"parts": [{"text": "S"}]}, "contents": []},
        ),
    ],
)
def test_every_dialect_knows_its_system_prompt(sends, path, body):
    with ruled(Rule("live", system=r"^\s*S\s*$")) as cache:
        sends(cache, path=path, temperature=0, **body)
        assert cache.last.reason.code == "live"


def test_the_first_rule_that_fits_decides_and_none_leaves_the_default(sends):
    rules = [Rule("faq", model="gpt-4o"), Rule("live", model="gpt-4*")]
    with ruled(*rules, ttl="1h") as cache:
        sends(cache, temperature=0)
        sends(cache, temperature=0, model="gpt-4.1")
        assert cache.last.reason.code == "live"
        sends(cache, temperature=0, model="mistral-small")
        expires = sorted(entry.expires for _, entry in cache.entries())
    assert expires == [NOW + HOUR, NOW + 24 * HOUR]


def test_a_policy_that_the_code_names_comes_before_the_rules(sends):
    with ruled(Rule("live")) as cache, cache.using(policy="faq"):
        sends(cache, temperature=0)
        assert cache.last.kind == "miss"


def test_a_ttl_that_the_code_names_holds_under_a_rule_too(sends):
    with ruled(Rule("faq")) as cache, cache.using(ttl="1h"):
        sends(cache, temperature=0)
        assert [entry.expires for _, entry in cache.entries()] == [NOW + HOUR]


def test_a_repeated_call_asks_the_rules_again(client, upstream):
    with ruled(Rule("live", metadata={"use": "prices"})) as cache:
        cache.wrap(client)

        def ask(use):
            client.chat.completions.create(
                model="gpt-4o", messages=MESSAGES, temperature=0, metadata={"use": use}
            )
            return cache.last.kind

        assert [ask(use) for use in ("faq", "faq", "prices", "faq")] == [
            "miss",
            "hit",
            "bypass",
            "hit",
        ]


def test_a_wrong_rule_is_refused_where_it_is_given():
    with pytest.raises(ConfigError, match="regular expression"):
        ruled(Rule("faq", system="("))
    with pytest.raises(ConfigError, match="did you mean 'faq'"):
        ruled(Rule("faqs"))


def test_a_rule_is_told_apart_from_others_by_all_it_says():
    said = [
        Rule("faq"),
        Rule("live"),
        Rule("faq", model="x"),
        Rule("faq", path="x"),
        Rule("faq", system="x"),
        Rule("faq", metadata={"a": "b"}),
        Rule(Policy(ttl=1.0)),
    ]
    digests = {Rules([rule]).digest for rule in said}
    assert len(digests) == len(said)
    assert Rules(said) == Rules(said)


def test_a_model_that_refuses_the_set_temperature_is_asked_without(cache, client, upstream):
    upstream.script = lambda request: Reply(status=400) if "temperature" in request.json else None
    cache.wrap(client, policy=PINNED)
    for stream in (False, True):
        made = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=stream)
        if stream:
            list(made)
        assert (cache.last.kind, cache.last.pinned) == ("miss", False)
        assert cache.last.reason.code == "sampled"
    assert list(cache.entries()) == []


@pytest.mark.parametrize(
    "said", [{"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"top_p": 0.9}]
)
def test_claude_is_not_pinned_beside_what_it_takes_no_temperature_with(cache, upstream, said):
    with anthropic.Anthropic(base_url=upstream.url, api_key="k") as claude:
        cache.wrap(claude, policy=PINNED)
        claude.messages.create(
            model="claude-3-7-sonnet-20250219",
            max_tokens=2048,
            messages=MESSAGES,
            extra_body=said,
        )
    assert "temperature" not in upstream.requests[0].json
