"""Embeddings: no streams, nothing random, and an answer only when every vector is there."""

from __future__ import annotations

import json

import httpx2
import pytest
from openai import OpenAI

from askonce.dialects.contract import Facts
from askonce.dialects.openai_embeddings import EMBEDDINGS

ASK = {"model": "text-embedding-3-small", "input": ["a", "b"]}


def answer(*vectors) -> dict:
    data = [
        {"object": "embedding", "index": at, "embedding": vector}
        for at, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    return {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}


def test_the_sdk_reads_what_has_no_flaw():
    whole = answer([0.25, -1.5], [0.0, 1.0])
    assert EMBEDDINGS.flaw(whole) is None

    def handler(request):
        # The SDK asks for base64 by itself: it is part of the request that counts.
        assert json.loads(request.content)["encoding_format"] == "base64"
        return httpx2.Response(200, json=whole)

    transport = httpx2.MockTransport(handler)
    with OpenAI(
        api_key="test",
        base_url="http://provider.test/v1",
        http_client=httpx2.Client(transport=transport),
    ) as openai:
        found = openai.embeddings.create(**ASK)
    assert [item.embedding for item in found.data] == [[0.25, -1.5], [0.0, 1.0]]
    assert EMBEDDINGS.usage(whole) == {"input": 2, "total": 2}


def test_base64_is_a_vector_too():
    assert EMBEDDINGS.flaw(answer("AACAPgAAwL8=")) is None
    assert EMBEDDINGS.flaw(answer([[0.25, -1], [0.5, 2]])) is None  # a vector for each token
    assert "encoding_format" not in EMBEDDINGS.neutral


@pytest.mark.parametrize(
    ("code", "whole"),
    [
        ("empty", answer()),
        ("malformed", answer([0.5], [])),
        ("malformed", answer([0.5], None)),
        ("malformed", answer([None, None])),
        ("malformed", answer(["x"])),
        ("malformed", answer([[0.5], [None]])),
        ("malformed", answer("")),
        ("error", {**answer([0.5]), "object": "error"}),
        ("malformed", {"object": "list"}),
        ("malformed", {"data": "AAAA"}),
        ("malformed", {"data": [[0.5]]}),
        ("error", {"error": {"message": "x"}, "data": []}),
    ],
)
def test_a_flawed_answer_is_named_by_its_flaw(code, whole):
    flaw = EMBEDDINGS.flaw(whole)
    assert flaw is not None
    assert flaw.code == code


def test_embeddings_are_never_random_and_never_streams():
    facts = EMBEDDINGS.facts("/v1/embeddings", {**ASK, "stream": True, "temperature": 1})
    assert facts == Facts(model=ASK["model"], samples=False)
    assert EMBEDDINGS.whole([]) is None
    assert list(EMBEDDINGS.events(answer([0.5]), facts)) == []


def test_on_azure_the_deployment_is_the_model():
    path = "/openai/deployments/vectors/embeddings"
    assert EMBEDDINGS.facts(path, {"input": "a"}).model == "vectors"
