import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from statsmodels.stats.proportion import proportion_confint

from stepladder.stats import clopper_pearson, clopper_pearson_upper, wilson

counts = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_is_statsmodels_wilson(count, level):
    interval = wilson(*count, level)
    assert (interval.low, interval.high) == pytest.approx(proportion_confint(*count, 1 - level, "wilson"), abs=1e-12)


@given(counts, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_clopper_pearson_is_scipys_exact_interval(count, level):
    interval, peer = clopper_pearson(*count, level), binomtest(*count).proportion_ci(level, method="exact")
    assert (interval.low, interval.high) == pytest.approx((peer.low, peer.high), abs=1e-9)


def test_wilson_of_none_in_thirty_is_the_closed_form():
    z2 = 1.959963984540054**2
    assert wilson(0, 30).low == 0
    assert wilson(0, 30).high == pytest.approx(z2 / (30 + z2))


@given(counts)
def test_intervals_of_the_complement_mirror(count):
    x, n = count
    for method in (wilson, clopper_pearson):
        one, other = method(x, n), method(n - x, n)
        assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-9)


def test_clopper_pearson_covers_at_least_its_level_at_every_rate():
    n = 25
    intervals = [clopper_pearson(x, n) for x in range(n + 1)]
    for rate in (k / 200 for k in range(1, 200)):
        covered = sum(binom.pmf(x, n, rate) for x, i in enumerate(intervals) if i.low <= rate <= i.high)
        assert covered >= 0.95


def test_wilson_covers_well_at_rate_two_percent_of_thirty_by_exact_summation():
    covered = sum(binom.pmf(x, 30, 0.02) for x in range(31) if wilson(x, 30).low <= 0.02 <= wilson(x, 30).high)
    assert 0.95 <= covered <= 0.99


def test_the_upper_bound_on_nothing_seen_is_the_rule_of_three():
    assert clopper_pearson_upper(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert clopper_pearson_upper(0, 0) == 1


def test_nothing_counted_has_no_interval_and_one_unit_has_a_wide_one():
    assert wilson(0, 0) is None
    assert clopper_pearson(0, 0) is None
    assert clopper_pearson(1, 1).low == pytest.approx(0.025)


@pytest.mark.parametrize("arguments", [(3, 2), (-1, 2), (1, 2, 0.0), (1, 2, 1.0), (1, 2, math.nan)])
def test_impossible_counts_and_levels_are_refused(arguments):
    for method in (wilson, clopper_pearson):
        with pytest.raises(ValueError, match=r"successes|level"):
            method(*arguments)
