"""Evidence opens a lane from one score on, and closes it again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.model import Reason
from askonce.semantic import bounds, evidence
from askonce.semantic.evidence import ACRONYM, CELLS, LANES, VERIFIER, Evidence, Tally, Threshold


def tally(right=(), wrong=()):
    """Counts by cell, from pairs of cell and count."""
    good, bad = [0] * CELLS, [0] * CELLS
    for cell, count in right:
        good[cell] = count
    for cell, count in wrong:
        bad[cell] = count
    return Tally(tuple(good), tuple(bad))


def own(counts):
    return Evidence({VERIFIER: counts})


def shipped(counts):
    return Evidence({}, {VERIFIER: counts})


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_score_is_in_no_lower_cell(one, other):
    low, high = sorted((one, other))
    assert 0 <= evidence.cell(low) <= evidence.cell(high) < CELLS


@pytest.mark.parametrize("odd", [float("nan"), -1.0, float("-inf")])
def test_what_is_no_score_is_in_the_lowest_cell(odd):
    assert evidence.cell(odd) == 0


@pytest.mark.parametrize("number", range(CELLS))
def test_the_least_score_of_a_cell_is_in_it(number):
    assert evidence.cell(evidence.least(number) + 1e-9) == number


def test_without_evidence_a_lane_is_closed():
    assert Evidence().threshold(VERIFIER, 0.01) is evidence.NO_EVIDENCE
    few = own(tally(right=[(40, 298)]))
    assert few.threshold(VERIFIER, 0.01) is evidence.NO_EVIDENCE


def test_enough_right_ones_open_it_from_the_lowest_cell_that_keeps_the_bound():
    found = own(tally(right=[(40, 700), (30, 700)], wrong=[(20, 700)])).threshold(VERIFIER, 0.01)
    assert isinstance(found, Threshold)
    assert 20 < found.cell <= 30
    assert (found.wrong, found.of, found.own) == (0, 1400, 1400)
    assert found.bound == bounds.upper(0, 1400) <= 0.01


def test_too_many_wrong_ones_at_the_top_close_it():
    found = own(tally(right=[(40, 700)], wrong=[(45, 20)])).threshold(VERIFIER, 0.01)
    assert found is evidence.NOT_BOUNDED


def test_a_laxer_bound_opens_it_further():
    counts = tally(right=[(40, 900), (30, 500)], wrong=[(30, 12)])
    strict, lax = (own(counts).threshold(VERIFIER, it) for it in (0.01, 0.05))
    assert lax.cell < strict.cell


def test_audits_of_ones_own_close_what_the_shipped_evidence_opens():
    good = tally(right=[(40, 5000)])
    assert isinstance(shipped(good).threshold(VERIFIER, 0.01), Threshold)
    mine = tally(right=[(40, 40)], wrong=[(40, 4)])
    both = Evidence({VERIFIER: mine}, {VERIFIER: good})
    assert both.threshold(VERIFIER, 0.01) is evidence.CONTRADICTED


def test_the_worst_cells_do_not_ride_on_the_best():
    counts = tally(right=[(45, 20_000), (20, 700)], wrong=[(20, 60)])
    found = own(counts).threshold(VERIFIER, 0.01)
    assert found.cell > 20


def test_a_ledger_is_read_by_lane_and_cell():
    names = [
        evidence.names(VERIFIER, 0.97, right=True),
        evidence.names(VERIFIER, 0.97, right=False),
    ]
    read = evidence.read({names[0]: 3, names[1]: 1, "apart/ff": 9, "verifier/99/right": 5})
    assert set(read) == {*LANES, ACRONYM}
    at = evidence.cell(0.97)
    assert (read[VERIFIER].right[at], read[VERIFIER].wrong[at]) == (3, 1)
    assert sum(read[VERIFIER].right) == 3


def test_what_needs_no_score_is_open_until_its_audits_contradict_the_bound():
    assert own(Tally()).unless_contradicted(VERIFIER, 0.01) == Threshold(0, 0, 0, 1.0)
    known = own(tally(right=[(49, 299)])).unless_contradicted(VERIFIER, 0.01)
    assert (known.wrong, known.of, known.own) == (0, 299, 299)
    assert known.bound <= 0.01
    # One wrong of six may be chance; one of five may not, at 95 %.
    one_of_six = own(tally(right=[(49, 5)], wrong=[(49, 1)]))
    assert one_of_six.unless_contradicted(VERIFIER, 0.01).cell == 0
    one_of_five = own(tally(right=[(49, 4)], wrong=[(49, 1)]))
    assert one_of_five.unless_contradicted(VERIFIER, 0.01) == evidence.CONTRADICTED


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 4)), min_size=CELLS, max_size=CELLS))
def test_whatever_was_counted_nothing_is_served_above_the_bound(cells):
    counts = Tally(tuple(right for right, _ in cells), tuple(wrong for _, wrong in cells))
    found = own(counts).threshold(VERIFIER, 0.02)
    if isinstance(found, Reason):
        return
    wrong, of = counts.above()[found.cell]
    assert (wrong, of) == (found.wrong, found.of)
    assert bounds.upper(wrong, of) <= 0.02 + 1e-9
