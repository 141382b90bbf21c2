"""A reworded question gets the same answer, and a different question never does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import anthropic
import httpx2
import pytest
from openai import AsyncOpenAI, OpenAI

from askonce import Cache, ConfigError, Policy, Semantic
from askonce.presets import FAQ, REFORMULATION, SUMMARY

CANONICAL = Semantic(direct=False, verified=False)
ASKED = "What is Retrieval-Augmented Generation?"
REWORDED = "Please explain what retrieval-augmented generation is."


@pytest.fixture(params=["memory://", "sqlite", "sealed"])
def cache(request, url) -> Iterator[Cache]:
    secrets = os.urandom(32) if request.param == "sealed" else None
    address = "memory://" if request.param == "memory://" else url
    semantic = CANONICAL
    with Cache(address, semantic=semantic, secrets=secrets, strict=True) as made:
        yield made


@pytest.fixture
def client(upstream, cache) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0) as made:
        yield cache.wrap(made)


def ask(client, text, *before, **more):
    messages = [*before, {"role": "user", "content": text}]
    return client.chat.completions.create(
        model="gpt-4o", messages=messages, **{"temperature": 0, **more}
    )


def test_a_reworded_question_gets_the_same_answer(cache, client, upstream):
    first = ask(client, ASKED)
    again = ask(client, REWORDED)
    assert again == first
    assert (cache.last.kind, cache.last.tier, upstream.calls) == ("hit", "canonical", 1)
    assert ask(client, ASKED) == first
    assert (cache.last.kind, cache.last.tier) == ("hit", "")


def test_the_key_of_its_outcome_is_that_of_the_answer(cache, client):
    ask(client, ASKED)
    key = cache.last.key
    ask(client, REWORDED)
    assert cache.last.key == key
    assert cache.forget(cache.last) == 1
    ask(client, REWORDED)
    assert cache.last.kind == "miss"


def test_a_reworded_question_is_found_again_and_again_and_streamed(cache, client, upstream):
    whole = ask(client, ASKED).choices[0].message.content
    for _ in range(3):
        ask(client, REWORDED)
        assert (cache.last.kind, cache.last.tier) == ("hit", "canonical")
    chunks = list(ask(client, REWORDED, stream=True))
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole
    )
    assert upstream.calls == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("What happened in AI in 2023?", "What happened in AI in 2024?"),
        ("Does Alice like Bob?", "Does Bob like Alice?"),
        ("What is hepatitis A?", "What is hepatitis?"),
        ("Who are the US?", "Who are us?"),
        ("What is RAG?", "What is a rag?"),
        ("What is the capital of France?", "What is the capital of Norway?"),
        ("Is it safe to eat?", "Is it not safe to eat?"),
        ("What is Retrieval-Augmented Generation?", "Can you explain RAG in one sentence?"),
        ("Translate: what is love?", "Please translate: what is love?"),
        ("What is the latest version?", "Please tell me what the latest version is."),
    ],
)
def test_a_different_question_never_does(cache, client, upstream, first, second):
    ask(client, first)
    ask(client, second)
    assert (cache.last.kind, upstream.calls) == ("miss", 2)


SYSTEM = {"role": "system", "content": "You are a doctor."}
EARLIER = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"}]


@pytest.mark.parametrize(
    ("before", "more"),
    [
        ([SYSTEM], {}),
        (EARLIER, {}),
        ([], {"max_tokens": 20}),
        ([], {"seed": 7}),
        ([], {"extra_body": {"guided_json": {}}}),
        ([], {"response_format": {"type": "json_object"}}),
        (
            [],
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        ),
    ],
    ids=["system", "history", "max_tokens", "seed", "extra", "format", "tools"],
)
def test_everything_else_must_be_equal(cache, client, upstream, before, more):
    ask(client, ASKED)
    ask(client, REWORDED, *before, **more)
    assert cache.last.kind == "miss"
    ask(client, ASKED, *before, **more)
    assert (cache.last.kind, cache.last.tier) == ("hit", "canonical")
    assert upstream.calls == 2


def test_models_and_tenants_have_answers_of_their_own(cache, client, upstream):
    ask(client, ASKED)
    messages = [{"role": "user", "content": REWORDED}]
    client.chat.completions.create(model="gpt-4.1", messages=messages, temperature=0)
    assert cache.last.kind == "miss"
    with cache.using(tenant="other"):
        ask(client, REWORDED)
        assert cache.last.kind == "miss"
    assert upstream.calls == 3


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    "messages",
    [
        [
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c", "content": "7"},
            {"role": "user", "content": "{}"},
        ],
        [{"role": "user", "content": [{"type": "text", "text": "{}"}] * 2}],
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "{}"},
                    {"type": "image_url", "image_url": {"url": "https://a.example/a.png"}},
                ],
            }
        ],
        [{"role": "assistant", "content": "{}"}],
        [{"role": "user", "content": "{}\n```python\nprint(1)\n```"}],
        [{"role": "user", "content": "{}" + " Consider this." * 40}],
    ],
    ids=["tool loop", "two texts", "image", "assistant", "code", "long"],
)
def test_tool_loops_images_code_and_long_texts_are_matched_as_they_are(
    cache, client, upstream, messages
):
    def filled(value, text):
        if isinstance(value, str):
            return value if value == "{}" and text is None else value.replace("{}", text, 1)
        if isinstance(value, list):
            return [filled(item, text) for item in value]
        if isinstance(value, dict) and "arguments" not in value:
            return {name: filled(item, text) for name, item in value.items()}
        return value

    for text in (ASKED, REWORDED):
        client.chat.completions.create(
            model="gpt-4o", messages=filled(messages, text), temperature=0
        )
        assert cache.last.kind == "miss"
    assert upstream.calls == 2


def test_sampled_calls_are_matched_as_they_are(cache, client):
    with cache.using(policy=Policy(sampled=True)):
        ask(client, ASKED, temperature=0.7)
        ask(client, REWORDED, temperature=0.7)
        assert cache.last.kind == "miss"
        ask(client, REWORDED, temperature=0.7)
        assert (cache.last.kind, cache.last.tier) == ("hit", "")


def test_a_policy_may_want_none_and_one_that_asks_has_it(cache, client, upstream):
    with cache.using(policy=FAQ):
        ask(client, ASKED)
    with cache.using(policy=SUMMARY):
        ask(client, REWORDED)
        assert cache.last.kind == "miss"
    with cache.using(policy=REFORMULATION):
        ask(client, "What's retrieval-augmented generation?")
        assert (cache.last.kind, cache.last.tier) == ("hit", "canonical")
        assert not cache.last.exact_only


def test_tags_ttl_and_refresh_hold_for_other_wordings_too(cache, client):
    with cache.using(tags=["doc:42"]):
        ask(client, ASKED)
        ask(client, REWORDED)
        assert cache.last.tier == "canonical"
    cache.invalidate(tag="doc:42")
    ask(client, REWORDED)
    assert cache.last.kind == "miss"
    with cache.using(refresh=True):
        ask(client, ASKED)
        assert cache.last.kind == "miss"
    with cache.using(only_if_cached=True):
        ask(client, "What's retrieval-augmented generation?")
    assert cache.last.tier == "canonical"


def test_another_process_finds_other_wordings_too(url, upstream):
    def answer(text):
        with (
            Cache(url, semantic=CANONICAL) as cache,
            OpenAI(base_url=f"{upstream.url}/v1", api_key="k") as client,
        ):
            return ask(cache.wrap(client), text), cache.last.tier

    first, _ = answer(ASKED)
    assert answer(REWORDED) == (first, "canonical")


def test_a_caller_who_did_not_ask_for_it_is_never_served_another_wording(url, upstream):
    with (
        Cache(url, semantic=CANONICAL) as loose,
        Cache(url) as exact,
        OpenAI(base_url=f"{upstream.url}/v1", api_key="k") as one,
        OpenAI(base_url=f"{upstream.url}/v1", api_key="k") as other,
    ):
        loose.wrap(one)
        exact.wrap(other)
        ask(one, ASKED)
        for _ in range(2):
            ask(one, REWORDED)
            assert loose.last.tier == "canonical"
        ask(other, REWORDED)
        assert exact.last.kind == "miss"


def test_tasks_claude_responses_ask_and_bare_transports_are_served_alike(cache, upstream):
    async def main():
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k") as client:
            cache.wrap(client)
            await ask(client, ASKED)
            await ask(client, REWORDED)
            assert cache.last.tier == "canonical"
            await client.responses.create(model="gpt-4o", input=ASKED, temperature=0)
            await client.responses.create(model="gpt-4o", input=REWORDED, temperature=0)
            assert cache.last.tier == "canonical"
            answer = await cache.ask(
                "What's retrieval-augmented generation?", "gpt-4o", client=client
            )
            assert answer.from_cache

    asyncio.run(main())
    with anthropic.Anthropic(base_url=upstream.url, api_key="k") as claude:
        cache.wrap(claude)
        for text in (ASKED, REWORDED):
            claude.messages.create(
                model="claude-3-5-haiku-20241022",
                max_tokens=99,
                extra_body={"temperature": 0},
                messages=[{"role": "user", "content": [{"type": "text", "text": text}]}],
            )
    assert cache.last.tier == "canonical"
    with httpx2.Client(transport=cache.transport(httpx2.HTTPTransport())) as http:
        for text in (ASKED, REWORDED):
            http.post(
                f"{upstream.url}/v1beta/models/gemini-1.5-pro:generateContent",
                json={
                    "contents": [{"role": "user", "parts": [{"text": text}]}],
                    "generationConfig": {"temperature": 0},
                },
            )
    assert cache.last.tier == "canonical"


def test_what_is_no_setting_is_refused_with_what_to_write():
    with pytest.raises(ConfigError, match=r"semantic=True or Semantic"):
        Cache("memory://", semantic="yes")
    assert Cache("memory://", semantic=False)


@pytest.mark.parametrize(
    "instruction",
    [
        "Translate the user's message into German. Keep the tone.",
        "Return the number of words of what you are given.",
        "How polite is this, 0 to 10?",
        "Classify the intent of the user.",
        "Fix what is wrong with the grammar.",
        "Repeat what you are told in capitals.",
        "Antworte immer nur mit der Anzahl der Buchstaben darin, sonst mit nichts anderem.",
        "Traduis tout ce que je te dis, sans rien ajouter de plus.",
    ],
)
@pytest.mark.parametrize("role", ["system", "user"])
def test_where_the_instruction_is_about_the_text_its_wording_counts(
    cache, client, upstream, instruction, role
):
    before = [{"role": role, "content": instruction}]
    if role == "user":
        before.append({"role": "assistant", "content": "OK."})
    ask(client, ASKED, *before)
    ask(client, REWORDED, *before)
    assert (cache.last.kind, upstream.calls) == ("miss", 2)


def test_a_plain_instruction_leaves_questions_to_be_questions(cache, client):
    for said in (
        "You are a helpful assistant.",
        "You are a doctor. Be kind and answer only if sure.",
    ):
        system = {"role": "system", "content": said}
        ask(client, ASKED, system)
        ask(client, REWORDED, system)
        assert cache.last.tier == "canonical"


@pytest.mark.parametrize(
    ("wrong", "verb"),
    [
        ({"judge": lambda old, new: True}, "same"),
        ({"judge": "gpt-4o-mini"}, "same"),
        ({"embedder": "text-embedding-3-small"}, "embed"),
        ({"index": 5}, "nearest"),
    ],
)
def test_what_has_not_the_verbs_of_its_part_is_refused_at_once(wrong, verb):
    with pytest.raises(ConfigError, match=f"use an object with the method '{verb}'"):
        Semantic(**wrong)
