import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from stepladder.stats import clopper_pearson_upper, conformal_threshold, guaranteed_fpr
from stepladder.stats.conformal import threshold_rank


def test_the_threshold_is_the_textbook_order_statistic():
    assert conformal_threshold(range(1, 100), 0.05) == 95
    assert conformal_threshold(range(1, 20), 0.05) == 19
    assert conformal_threshold(range(1, 19), 0.05) == math.inf
    assert conformal_threshold([], 0.05) == math.inf


def test_fifty_nine_scores_are_the_fewest_that_promise_five_percent_with_confidence():
    """1 - 0.95^59 = 0.9515: the well-known sample size of a one-sided tolerance bound."""
    assert conformal_threshold(range(59), 0.05, confidence=0.95) == 58
    assert conformal_threshold(range(58), 0.05, confidence=0.95) == math.inf


@given(st.integers(1, 2000), st.floats(0.005, 0.5), st.floats(0.5, 0.999))
def test_the_confident_rank_is_the_lowest_whose_clopper_pearson_bound_keeps_the_rate(n, fpr, confidence):
    kept = [k for k in range(1, n + 1) if beta.ppf(confidence, n - k + 1, k) <= fpr] if n <= 60 else None
    rank = threshold_rank(n, fpr, confidence)
    if kept is not None:
        assert rank == (min(kept) if kept else n + 1)
    elif rank <= n:
        assert clopper_pearson_upper(n - rank, n, confidence) <= fpr * (1 + 1e-9)
        assert rank == 1 or clopper_pearson_upper(n - rank + 1, n, confidence) > fpr * (1 - 1e-9)


@pytest.mark.parametrize("levels", [2, 5, 30])
@pytest.mark.parametrize("fpr", [0.02, 0.1, 0.3])
def test_under_ties_both_guarantees_hold_by_exact_summation(levels, fpr):
    """Scores on `levels` equally likely values: sum over all multisets by the count above each value."""
    n, confidence = 80, 0.9
    marginal_rank, confident_rank = threshold_rank(n, fpr), threshold_rank(n, fpr, confidence)
    tails = [1 - (value + 1) / levels for value in range(levels)]

    def at_least(rank, value):
        """P(the rank-th smallest of n scores is at most `value`)."""
        return binom.sf(rank - 1, n, (value + 1) / levels) if rank <= n else 0.0

    def chances(rank):
        cumulative = [at_least(rank, value) for value in range(levels)]
        return np.diff([0, *cumulative])

    assert chances(marginal_rank) @ tails <= fpr + 1e-12
    assert sum(c for c, tail in zip(chances(confident_rank), tails, strict=True) if tail > fpr) <= 1 - confidence + 1e-12


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.sampled_from([0.05, 0.1, 0.5]))
def test_no_more_than_the_promised_share_of_the_calibration_itself_is_flagged(scores, fpr):
    threshold = conformal_threshold(scores, fpr)
    assert np.mean(np.array(scores) > threshold) <= fpr
    assert conformal_threshold(scores, fpr, confidence=0.95) >= threshold or fpr == 0.5


def test_what_the_average_threshold_guarantees_is_a_beta_quantile_and_above_its_average():
    assert guaranteed_fpr(999, 0.05) == pytest.approx(beta.ppf(0.95, 50, 950))
    assert guaranteed_fpr(999, 0.05) > 0.05
    assert guaranteed_fpr(10, 0.01) == 0


def test_the_false_positive_rate_on_new_data_averages_to_the_promise():
    rng = np.random.default_rng(0)
    flagged = [rng.random() > conformal_threshold(rng.random(49), 0.1) for _ in range(4000)]
    assert np.mean(flagged) == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 4000))


@pytest.mark.parametrize(("fpr", "confidence"), [(0, None), (1, None), (0.1, 0), (0.1, 1)])
def test_bad_rates_are_refused(fpr, confidence):
    with pytest.raises(ValueError, match="lie between 0 and 1"):
        conformal_threshold([1, 2], fpr, confidence)
    with pytest.raises(ValueError, match="finite"):
        conformal_threshold([math.nan], 0.1)
