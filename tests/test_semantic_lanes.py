"""What may be served of the nearest wordings: guards first, then two lanes below their bounds."""

from __future__ import annotations

import pytest

from askonce.model import Reason
from askonce.semantic import calibration, lanes, likeness
from askonce.semantic.contract import Neighbour, Wording
from askonce.semantic.evidence import AGREEMENT, CELLS, LANES, VERIFIER, Evidence, Tally, Threshold

ASKED = "How do I renew my passport?"
OPEN = {lane: Threshold(0, 0, 5000, 0.0006) for lane in LANES}
CLOSED = {lane: Reason("no_evidence", "none") for lane in LANES}


def near(text, similarity=0.9, answer=b"a", *, barred=False):
    wording = Wording(text.encode(), b"scope", answer, text, barred=barred)
    return Neighbour(wording, similarity)


SAME = [
    near("How can I renew my passport?", 0.95),
    near("What do I do to renew my passport?", 0.93),
    near("How to renew my passport?", 0.92),
]


def certain(old, new):
    return 0.999


def never(old, new):
    raise AssertionError("the verifier was asked")


def test_three_that_agree_are_served_without_the_verifier():
    found = lanes.decide(ASKED, SAME, OPEN, never)
    assert (found.served.lane, found.served.neighbour) == (AGREEMENT, SAME[0])
    assert found.bound == 0.0006


def test_what_the_verifier_finds_unlike_all_that_agree_is_not_served():
    asked = []

    def unlike(old, new):
        asked.append(old)
        return 0.1

    found = lanes.decide(ASKED, SAME, OPEN, None, check=unlike)
    assert (found.served, found.reason, found.offers) == (None, lanes.ANOTHER, ())
    assert asked == [near.wording.text for near in SAME]
    one = {it.wording.text: 0.1 for it in SAME} | {SAME[2].wording.text: 0.4}
    found = lanes.decide(ASKED, SAME, OPEN, None, check=lambda old, new: one[old])
    assert found.served.lane == AGREEMENT


def test_what_the_verifier_says_where_wordings_agree_is_no_evidence_of_its_lane():
    one_open = {**CLOSED, VERIFIER: Threshold(CELLS - 1, 0, 5000, 0.0006)}
    found = lanes.decide(ASKED, SAME, one_open, lambda old, new: 0.9)
    assert (found.served, [it.lane for it in found.offers]) == (None, [AGREEMENT])
    found = lanes.decide(ASKED, SAME[:2], one_open, lambda old, new: 0.9)
    assert (found.served, [it.lane for it in found.offers]) == (None, [VERIFIER])


def test_two_that_agree_are_not_enough_for_that_lane():
    found = lanes.decide(ASKED, SAME[:2], OPEN, certain)
    assert found.served.lane == VERIFIER


def test_the_verifier_reads_the_nearest_that_no_guard_forbids():
    asked = []

    def reads(old, new):
        asked.append((old, new))
        return 0.999

    found = lanes.decide(ASKED, [near("How do I lose my passport?", 0.99), *SAME[:1]], OPEN, reads)
    assert asked == [(SAME[0].wording.text, ASKED)]
    assert found.served.neighbour == SAME[0]


def test_what_all_guards_forbid_is_not_served():
    others = [near(f"How do I renew my passport in {year}?") for year in (2023, 2024, 2025)]
    found = lanes.decide("How do I renew my passport in 2026?", others, OPEN, never)
    assert (found.served, found.reason.code, found.offers) == (None, "vetoed", ())


def test_a_barred_wording_leads_nowhere():
    barred = [near(it.wording.text, it.similarity, barred=True) for it in SAME]
    found = lanes.decide(ASKED, barred, OPEN, never)
    assert (found.served, found.reason) == (None, lanes.NO_CANDIDATE)


def test_a_closed_lane_serves_nothing_and_says_what_it_would_have():
    found = lanes.decide(ASKED, SAME, CLOSED, certain)
    assert (found.served, found.reason.code) == (None, "no_evidence")
    assert [it.lane for it in found.offers] == [AGREEMENT]


def test_a_score_below_the_threshold_is_not_served():
    high = {**CLOSED, VERIFIER: Threshold(40, 0, 5000, 0.0006)}
    found = lanes.decide(ASKED, SAME[:1], high, lambda old, new: 0.9)
    assert (found.served, found.reason.code) == (None, "below_threshold")


def test_a_score_that_is_no_number_is_not_served():
    high = {**CLOSED, VERIFIER: Threshold(10, 0, 5000, 0.0006)}
    found = lanes.decide(ASKED, SAME[:1], high, lambda old, new: float("nan"))
    assert found.served is None


def test_what_the_verifier_says_is_weighed_with_the_cosine():
    def score(similarity, read=0.9):
        found = lanes.decide(
            ASKED, [near("How to renew passports?", similarity)], CLOSED, lambda *_: read
        )
        return found.offers[0].score

    assert score(0.9) > score(0.7) > score(0.5)
    assert score(0.9, read=0.0) == 0.0, "what could not be read"


def test_a_long_pair_has_a_lower_cosine_and_is_forgiven_it():
    short, long = "Why?", "Why? " * 60
    assert likeness.score(0.9, 0.7, long, long) > likeness.score(0.9, 0.7, short, short)


def test_equal_words_in_another_order_gain_nothing_by_their_cosine():
    text = "x" * 60
    assert likeness.score(0.9, 0.99, text, text) == likeness.score(0.9, 0.93, text, text)


def test_what_is_too_far_away_is_no_candidate():
    assert lanes.decide(ASKED, [near("Any text", 0.49)], OPEN, never).reason is lanes.NO_CANDIDATE
    assert lanes.decide(ASKED, [], OPEN, never).reason is lanes.NO_CANDIDATE


def test_without_a_verifier_its_lane_offers_nothing():
    assert lanes.decide(ASKED, SAME[:1], OPEN).offers == ()


def test_what_the_verifier_raises_reaches_who_asked():
    def broken(old, new):
        raise RuntimeError("no model")

    with pytest.raises(RuntimeError):
        lanes.decide(ASKED, SAME[:1], OPEN, broken)


def test_the_shipped_counts_keep_every_lane_at_or_below_its_bound():
    counts = calibration.shipped()
    assert set(counts) == set(LANES)
    assert all(len(it.right) == len(it.wrong) == CELLS for it in counts.values())
    for max_error in (0.005, 0.01, 0.02, 0.05):
        opened = lanes.open_lanes(Evidence({}, counts), max_error)
        bounds = [it.bound for it in opened.values() if isinstance(it, Threshold)]
        assert all(bound <= max_error for bound in bounds)


def test_a_calibration_of_another_form_is_an_error(tmp_path):
    path = tmp_path / "calibration.json"
    path.write_text('{"lanes": {"verifier": {"right": [1], "wrong": [0]}}}')
    with pytest.raises(ValueError, match="another number of cells"):
        calibration.read(path)
    assert Tally().above()[0] == (0, 0)
