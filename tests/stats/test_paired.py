import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from stepladder.stats import mcnemar, paired_difference
from stepladder.stats.paired import bonett_price, sign_flip_p

pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40)


def ends(estimate):
    return estimate.interval.low, estimate.interval.high


@given(pairs)
def test_mcnemar_is_statsmodels_exact_test(data):
    before, after = ([int(pair[side]) for pair in data] for side in (0, 1))
    table = np.zeros((2, 2))
    for pair in zip(before, after, strict=True):
        table[pair] += 1
    assert mcnemar(before, after).p_value == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue)


def test_the_clustered_test_is_brute_force_over_all_flips_of_clusters():
    totals = np.array([3.0, -1, 2, 0, 2, 1, -2])
    flips = [abs(sum(s * x for s, x in zip(signs, totals, strict=True))) for signs in itertools.product((1, -1), repeat=7)]
    assert sign_flip_p(totals) == pytest.approx(np.mean(np.array(flips) >= abs(totals.sum())))


def test_graded_clusters_agree_with_scipys_permutation_test_exactly_and_by_draws():
    few = np.array([0.3, -0.1, 0.7, 0.2, 0.5, -0.2])
    exact = permutation_test((few,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(few) == pytest.approx(exact.pvalue)
    many = np.random.default_rng(0).normal(0.3, 1, 30)
    drawn = permutation_test((many,), np.sum, permutation_type="samples", n_resamples=20_000, rng=1)
    assert sign_flip_p(many) == pytest.approx(drawn.pvalue, abs=4 * np.sqrt(2 * 0.25 / 20_000))


def test_bonett_price_is_the_published_formula():
    """Bonett and Price (2012): p~ = (f + 1) / (n + 2); here f12 = 9 of 100 lost and f21 = 3 gained."""
    up, down = 4 / 102, 10 / 102
    half = 1.959963984540054 * np.sqrt((up + down - (up - down) ** 2) / 102)
    before, after = [1] * 9 + [0] * 3 + [1] * 88, [0] * 9 + [1] * 3 + [1] * 88
    assert ends(paired_difference(before, after, range(100))) == pytest.approx(
        (up - down - half, up - down + half), rel=1e-6
    )


def test_no_disagreement_at_all_still_has_width_and_no_evidence():
    estimate = mcnemar([1, 0, 1, 0] * 5, [1, 0, 1, 0] * 5)
    assert (estimate.value, estimate.p_value) == (0, 1)
    assert estimate.interval.low == pytest.approx(-estimate.interval.high)
    assert estimate.interval.high > 0.05


@given(pairs, st.sampled_from([0.5, 0.95]))
def test_swapping_before_and_after_mirrors(data, level):
    before, after = ([float(pair[side]) for pair in data] for side in (0, 1))
    clusters = [i // 3 for i in range(len(data))]
    one, other = paired_difference(before, after, clusters, level), paired_difference(after, before, clusters, level)
    assert one.value == -other.value
    assert one.p_value == other.p_value
    if one.interval:
        assert ends(one) == pytest.approx([-end for end in ends(other)][::-1], abs=1e-9)
        assert one.interval.low <= one.value <= one.interval.high


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.5, 500), st.floats(0.05, 0.999))
def test_bounds_always_contain_the_difference_and_have_width(a, b, n, level):
    gains, losses = a, b * (1 - a)
    low, high = bonett_price(gains, losses, n, level)
    assert -1 <= low <= gains - losses <= high <= 1
    assert low < high


def test_one_cluster_has_neither_interval_nor_test():
    estimate = paired_difference([1, 1, 0], [0, 1, 0], ["a"] * 3)
    assert (estimate.interval, estimate.p_value, estimate.n) == (None, None, 1)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="before 2, after 1"):
        paired_difference([1, 0], [1], ["a", "b"])
    with pytest.raises(ValueError, match="only 0 and 1"):
        mcnemar([0.5], [1])
