"""Bounds on a rate from counts: exact, as published, and never too low too often."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.semantic import bounds


@pytest.mark.parametrize(
    ("wrong", "of", "low", "high"),
    [
        # R: binom.test(x, n)$conf.int, two-sided 95 %
        (0, 10, 0.0, 0.3084971),
        (1, 10, 0.002528579, 0.4450161),
        (5, 10, 0.1870860, 0.8129140),
        (10, 10, 0.6915029, 1.0),
        (4, 100, 0.01100449, 0.09925716),
    ],
)
def test_the_interval_is_the_published_one(wrong, of, low, high):
    assert bounds.interval(wrong, of) == pytest.approx((low, high), abs=2e-6)


def test_none_wrong_of_299_bounds_one_in_a_hundred():
    assert bounds.upper(0, 299) <= 0.01 < bounds.upper(0, 298)
    assert bounds.cases_needed(0.01) == 299
    assert bounds.cases_needed(0.001) == 2995


def test_without_a_case_nothing_is_known():
    assert (bounds.lower(0, 0), bounds.upper(0, 0)) == (0.0, 1.0)


@pytest.mark.parametrize(("wrong", "of"), [(-1, 3), (4, 3)])
def test_what_is_no_count_is_an_error(wrong, of):
    with pytest.raises(ValueError, match="is no count"):
        bounds.upper(wrong, of)


@given(st.integers(1, 60), st.floats(0.001, 0.999))
def test_the_upper_bound_is_too_low_in_at_most_one_of_twenty(of, rate):
    too_low = sum(
        math.comb(of, wrong) * rate**wrong * (1 - rate) ** (of - wrong)
        for wrong in range(of + 1)
        if bounds.upper(wrong, of) < rate
    )
    assert too_low <= 0.05 + 1e-9


@given(st.integers(0, 40), st.integers(1, 40), st.floats(0.001, 0.999))
def test_the_tail_is_the_sum_of_its_terms(wrong, more, rate):
    of = wrong + more
    terms = (math.comb(of, it) * rate**it * (1 - rate) ** (of - it) for it in range(wrong + 1))
    assert bounds.at_most(wrong, of, rate) == pytest.approx(math.fsum(terms), abs=1e-9)


@given(st.floats(0.002, 0.5), st.integers(0, 5))
def test_so_many_cases_are_needed_and_no_fewer(rate, wrong):
    needed = bounds.cases_needed(rate, wrong)
    assert bounds.upper(wrong, needed) <= rate + 1e-12
    assert needed - 1 < max(1, wrong) or bounds.upper(wrong, needed - 1) > rate - 1e-12
