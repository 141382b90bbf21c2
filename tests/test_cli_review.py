"""`askonce review`: a person judges, and the wording is an alias from then on."""

from __future__ import annotations

import io
import json

import pytest
from openai import OpenAI

from askonce import Cache, Semantic
from askonce.cli import main

ASKED = ["What exactly are gift cards?", "What is a gift card?"]


@pytest.fixture
def filled(url, upstream):
    """A cache in which two near questions have answers of their own."""

    def ask(text):
        with (
            Cache(url, semantic=Semantic(direct=False), strict=True) as cache,
            OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0) as client,
        ):
            answer = cache.wrap(client).chat.completions.create(
                model="gpt-4o", temperature=0, messages=[{"role": "user", "content": text}]
            )
            return answer.choices[0].message.content, cache.last

    for text in ASKED:
        ask(text)
    return ask


def review(url, monkeypatch, *said, arguments=()):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in said)))
    return main(["review", "--url", url, *arguments])


def test_a_pair_is_listed_until_it_is_judged(filled, url, monkeypatch, capsys):
    assert review(url, monkeypatch, arguments=["--list"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [listed["old"], listed["new"]] == ASKED
    assert review(url, monkeypatch, "n") == 0
    assert "1 told apart" in capsys.readouterr().out
    assert review(url, monkeypatch, arguments=["--list"]) == 1


def test_yes_makes_an_alias(filled, url, monkeypatch, capsys, upstream):
    first, _ = filled(ASKED[0])
    assert review(url, monkeypatch, "what?", "y") == 0
    assert "1 joined" in capsys.readouterr().out
    said, last = filled(ASKED[1])
    assert (said, last.kind, last.tier) == (first, "hit", "verified")
    assert upstream.calls == 2


def test_who_leaves_or_says_nothing_changes_nothing(filled, url, monkeypatch):
    for said in (["q"], ["s"], []):
        assert review(url, monkeypatch, *said) == 0
    assert review(url, monkeypatch, arguments=["--list"]) == 0


def test_where_nothing_waits_it_says_so(url, monkeypatch, capsys, upstream):
    with Cache(url) as cache:
        cache.put("x", prompt="y")
    assert review(url, monkeypatch) == 1
    assert "no pair waits" in capsys.readouterr().err
