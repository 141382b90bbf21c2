"""Every index leads to the same decisions; one that dies costs hits, and nothing else."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

import pytest
from openai import OpenAI

from askonce import Cache, Semantic
from askonce.semantic.evidence import AGREEMENT, CELLS
from askonce.testing import FakeUpstream, postgres
from askonce.testing.fake_script import Reply
from askonce.testing.servers import Server

THINGS = ("password", "invoice", "username", "parcel")
WAYS = (
    "How do I find my {}?",
    "Where can I find my {}?",
    "How can I find my {}?",
    "What is the way to find my {}?",
    "How to find my lost {}?",
    "Can you tell me how to find my {}?",
)
STREAM = [way.format(thing) for way in WAYS for thing in THINGS]


class SameThing:
    """Knows which questions are about the same thing."""

    def same(self, old, new):
        return _thing(old.question) == _thing(new.question)


def _thing(text):
    return next(thing for thing in THINGS if thing in text)


def answer(request):
    thing = _thing(request.json["messages"][-1]["content"])
    return Reply(text=f"Your {thing} is in the letter that we sent you.")


@contextmanager
def asking(index):
    """Ask one question after another through one cache; wrong answers fail."""
    with ExitStack() as stack:
        upstream = stack.enter_context(FakeUpstream(answer))
        settings = Semantic(
            index=index, judge=SameThing(), audits=0.0, calibration=None, timeout=10.0
        )
        cache = stack.enter_context(Cache("memory://", semantic=settings, strict=True))
        client = stack.enter_context(
            OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)
        )
        cache.wrap(client)

        def ask(text):
            said = client.chat.completions.create(
                model="gpt-4o", temperature=0, messages=[{"role": "user", "content": text}]
            )
            cache.session.engine.rewording.drain()
            assert _thing(text) in said.choices[0].message.content
            return cache.last

        ask.cache = cache
        yield ask


def trusted(ask):
    """Let the ledger of its index say that the lane of agreement has been right all the time."""
    parts = ask.cache.session.engine.rewording._search.parts
    parts.ledger.add({f"{AGREEMENT}/{cell}/right": 200 for cell in range(CELLS)})


def decisions(index):
    with asking(index) as ask:
        trusted(ask)
        return [(it.kind, it.tier, it.lane) for it in map(ask, STREAM)]


@pytest.fixture(scope="module")
def expected():
    found = decisions("memory://")
    assert {tier for _, tier, _ in found} >= {"", "direct"}
    return found


@pytest.fixture(scope="module")
def programs():
    found = postgres.find()
    if found is None:
        pytest.skip(f"no PostgreSQL here: {postgres.INSTALL}")
    return found


def test_a_file_decides_as_memory_does(expected, tmp_path):
    assert decisions(f"sqlite:///{tmp_path}/answers.db") == expected


def test_vector_sets_decide_as_memory_does(expected, engine):
    with Server(engine("redis8")) as server:
        assert decisions(f"{server.url}?timeout=5&connect_timeout=5") == expected


def test_the_query_engine_decides_as_memory_does(expected, engine):
    module = engine("redis7").search
    if module is None:
        pytest.skip("no RediSearch beside redis7")
    with Server(engine("redis8"), config=[f"loadmodule {module}"]) as server:
        assert decisions(f"{server.url}?timeout=5&connect_timeout=5") == expected


def test_postgres_decides_as_memory_does(expected, programs):
    with postgres.Postgres(programs) as server:
        assert decisions(f"{server.url}?timeout=10") == expected


def goes_on_without(server):
    with asking(f"{server.url}?timeout=1") as ask:
        trusted(ask)
        half = len(STREAM) // 2
        for text in STREAM[:half]:
            ask(text)
        server.kill()
        for text in STREAM[half:]:
            last = ask(text)
            assert (last.kind, last.lane) == ("miss", "")
        for text in STREAM[half:]:
            assert ask(text).kind == "hit"


def test_a_redis_that_dies_costs_hits_and_nothing_else(engine):
    with Server(engine("redis8")) as server:
        goes_on_without(server)


def test_a_postgres_that_dies_costs_hits_and_nothing_else(programs):
    with postgres.Postgres(programs) as server:
        goes_on_without(server)
