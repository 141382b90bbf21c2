"""What a lookup asks before a call, and what is left for the time after it."""

from __future__ import annotations

import pytest

from askonce.embedders.function import Function
from askonce.indexes.memory import Memory
from askonce.semantic.contract import Wording
from askonce.semantic.evidence import CELLS, VERIFIER, Tally
from askonce.semantic.search import Parts, Search

SCOPE = b"scope"
KEPT = Wording(b"k" * 20, SCOPE, b"k" * 20, "How do I renew my passport?")
ASKED = "How can I renew my passport?"
TRUSTED = Tally(right=(0,) * (CELLS - 1) + (5000,))


class Reader:
    """Finds everything the same, and remembers what it read."""

    def __init__(self):
        self.read = []

    def __call__(self, old, new):
        self.read.append((old, new))
        return 1.0


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture
def search_of(reader):
    """Make a search that finds one wording near to everything."""

    def make(shipped=(), **settings):
        index = Memory(2)
        embedder = Function(lambda texts: [[1.0, 0.0] for _ in texts], name="one", dimension=2)
        parts = Parts(embedder, index, index.ledger, reader, dict(shipped))
        search = Search(lambda: parts, **{"max_error": 0.01, "audits": 0.0, **settings})
        search.add(KEPT)
        return search

    return make


def test_a_verifier_whose_lane_is_open_is_asked_before_the_call(search_of, reader):
    search = search_of({VERIFIER: TRUSTED})
    near = search.look(SCOPE, ASKED)
    assert near.served.lane == VERIFIER
    assert search.offers(ASKED, near.decision) == near.decision.offers
    assert reader.read == [(KEPT.text, ASKED)]


def test_a_verifier_whose_lane_is_closed_is_asked_once_the_answer_is_there(search_of, reader):
    search = search_of()
    near = search.look(SCOPE, ASKED)
    assert (near.served, near.decision.offers, reader.read) == (None, (), [])
    (offer,) = search.offers(ASKED, near.decision)
    assert (offer.lane, offer.score, offer.neighbour.wording) == (VERIFIER, 1.0, KEPT)
    assert reader.read == [(KEPT.text, ASKED)]
    search.judged([offer], right=True)
    assert sum(search.parts.ledger.read().values()) == 1


def test_without_direct_hits_no_verifier_is_asked(search_of, reader):
    search = search_of({VERIFIER: TRUSTED}, direct=False)
    near = search.look(SCOPE, ASKED)
    assert near.served is None
    assert search.offers(ASKED, near.decision) == ()
    assert reader.read == []


def test_where_a_guard_forbids_all_there_is_nothing_to_read(search_of, reader):
    search = search_of()
    near = search.look(SCOPE, "How do I renew my passport in 2026?")
    assert search.offers(ASKED, near.decision) == ()
    assert reader.read == []
