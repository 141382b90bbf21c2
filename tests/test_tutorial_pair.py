"""The demonstration of the tutorial, for real: RAG in AI is answered, and its namesakes never are."""

from __future__ import annotations

import pytest
from openai import OpenAI

from askonce import Cache
from askonce.testing.fake_script import Reply

ASKED = "What is Retrieval-Augmented Generation?"
REWORDED = "Can you explain RAG in AI?"

# As five models may say it; one never names the acronym.
ANSWERS = [
    "Retrieval-Augmented Generation (RAG) is a technique that combines a language model with a search "
    "over external documents. Before answering, the system retrieves relevant passages and gives them "
    "to the model as context, which makes answers more accurate and up to date.",
    "Retrieval-augmented generation, or RAG, is an approach in natural language processing in which a "
    "large language model is given documents fetched from a knowledge base at the time of the question.",
    "RAG stands for Retrieval-Augmented Generation. It is an AI technique that lets language models "
    "look things up before they answer, so that they make up less.",
    "Retrieval-Augmented Generation is an AI framework that improves the output of large language "
    "models by grounding them on external sources of knowledge. It works in two steps: retrieval, "
    "which finds the passages, and generation, which writes the answer.",
    "**Retrieval-Augmented Generation (RAG)** is a method in artificial intelligence that enhances the "
    "responses of LLMs with information retrieved from external data sources.\n\n### How it works\n"
    "1. Retrieval\n2. Augmentation\n3. Generation",
]

OTHERS = [
    "What is RAG in project management?",
    "Can you explain RAG in immunology?",
    "What is RAG?",
    "What is a rag?",
    "Explain RAG in one sentence.",
]

PAIRS = [
    ("What happened in AI in 2023?", "What happened in AI in 2024?"),
    ("How do I enable dark mode?", "How do I disable dark mode?"),
    ("Does Alice like Bob?", "Does Bob like Alice?"),
    ("Why are cats afraid of tigers?", "Why are tigers afraid of cats?"),
    ("What is the capital of France?", "What is the capital of Germany?"),
    ("How long does it take to run 5 km?", "How long does it take to run 6 km?"),
    ("How do I delete a git branch?", "How do I delete a git repo?"),
]


@pytest.fixture
def asking(upstream, opened):
    """Make a cache with all tiers, as `semantic=True` gives them, and ask through it."""

    def ask(text):
        client.chat.completions.create(
            model="gpt-4o", temperature=0, messages=[{"role": "user", "content": text}]
        )
        cache.session.engine.rewording.drain()
        return cache.last

    cache = opened(Cache("memory://", semantic=True, strict=True))
    client = cache.wrap(opened(OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)))
    return ask


def test_of_five_natural_answers_at_least_four_are_found_by_their_acronym(upstream, asking, opened):
    found = []
    for answer in ANSWERS:
        upstream.script = lambda _, answer=answer: Reply(text=answer)
        with (
            Cache("memory://", semantic=True) as cache,
            OpenAI(base_url=f"{upstream.url}/v1", api_key="k") as client,
        ):
            cache.wrap(client)
            for text in (ASKED, REWORDED):
                client.chat.completions.create(
                    model="gpt-4o", temperature=0, messages=[{"role": "user", "content": text}]
                )
            found.append((cache.last.kind, cache.last.tier) == ("hit", "direct"))
    assert sum(found) >= 4


@pytest.mark.parametrize("answer", ANSWERS, ids=["brackets", "or", "stands", "never", "markdown"])
def test_its_namesakes_are_asked_live(upstream, asking, answer):
    upstream.script = lambda _: Reply(text=answer)
    asking(ASKED)
    for text in OTHERS:
        assert asking(text).kind == "miss", text


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[second for _, second in PAIRS])
def test_what_only_looks_alike_is_asked_live(asking, first, second):
    asking(first)
    assert asking(second).kind == "miss"
