import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from stepladder.stats import ppi_mean, ppi_rate
from stepladder.stats.ppi import power_weight


def ends(estimate):
    return estimate.interval.low, estimate.interval.high


def sample(n, extra, correlation, seed):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n + extra)
    f = correlation * y + np.sqrt(1 - correlation**2) * rng.normal(size=n + extra)
    return y[:n], f[:n], f[n:]


def test_a_machine_that_says_nothing_leaves_the_ordinary_t_interval():
    y = np.random.default_rng(0).normal(size=15)
    estimate = ppi_mean(y, np.zeros(15), np.zeros(100))
    assert estimate.value == pytest.approx(y.mean())
    assert ends(estimate) == pytest.approx(t.interval(0.95, 14, y.mean(), y.std(ddof=1) / np.sqrt(15)))


def test_a_perfect_machine_brings_the_estimate_and_the_interval_near_those_of_all_labels():
    y, f, more = sample(400, 4000, 1.0, 1)
    everything = np.concatenate([y, more])
    error = everything.std(ddof=1) / np.sqrt(len(everything))
    estimate = ppi_mean(y, f, more)
    assert estimate.value == pytest.approx(everything.mean(), abs=error)
    assert np.diff(ends(estimate)) == pytest.approx(2 * 1.966 * error, rel=0.1)


def test_the_estimate_is_equation_two_of_the_paper_and_its_weight_minimises_the_variance():
    y, f, more = sample(200, 1000, 0.7, 2)
    weight = power_weight(y, f, more)
    assert ppi_mean(y, f, more).value == pytest.approx(y.mean() + weight * (more.mean() - f.mean()))
    pooled = np.concatenate([f, more]).var(ddof=1)

    def variance(w):
        covariance = np.cov(y, f)[0, 1]
        return (y.var(ddof=1) - 2 * w * covariance + w * w * pooled) / 200 + w * w * pooled / 1000

    grid = np.linspace(0, 1, 2001)
    assert weight == pytest.approx(grid[np.argmin([variance(w) for w in grid])], abs=1e-3)


@given(st.integers(0, 1000), st.floats(-1, 1))
def test_a_machine_of_any_quality_never_costs_much_width(seed, correlation):
    y, f, more = sample(40, 1000, correlation, seed)
    plain = 2 * t.ppf(0.975, 39) * y.std(ddof=1) / np.sqrt(40)
    estimate = ppi_mean(y, f, more)
    assert estimate.interval.high - estimate.interval.low <= 1.03 * plain


@given(st.integers(0, 1000))
def test_order_does_not_matter_and_scale_carries_over(seed):
    y, f, more = sample(20, 60, 0.5, seed)
    order = np.random.default_rng(seed).permutation(20)
    one, other = ppi_mean(y, f, more), ppi_mean(3 + 2 * y[order], 3 + 2 * f[order], 3 + 2 * more[::-1])
    assert other.value == pytest.approx(3 + 2 * one.value)
    assert ends(other) == pytest.approx([3 + 2 * end for end in ends(one)])


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=3, max_size=30),
    st.lists(st.booleans(), min_size=1, max_size=60),
)
def test_a_rate_lies_inside_its_interval_and_its_complement_mirrors(labelled, more):
    y, f, g = ([float(v) for v in column] for column in (*zip(*labelled, strict=True), more))
    one = ppi_rate(y, f, g)
    other = ppi_rate(*([1 - v for v in column] for column in (y, f, g)))
    assert 0 <= one.interval.low <= one.value <= one.interval.high <= 1
    assert ends(other) == pytest.approx([1 - end for end in ends(one)][::-1], abs=1e-9)


def test_two_labels_have_no_interval():
    assert ppi_mean([1, 2], [1, 2], [1, 2, 3]).interval is None
    assert ppi_rate([1, 0], [1, 0], [1, 0, 1]).interval is None


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="labels 2, predictions_labelled 1"):
        ppi_mean([1, 2], [1], [1])
    with pytest.raises(ValueError, match="predictions_unlabelled: no values"):
        ppi_mean([1, 2], [1, 2], [])
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        ppi_rate([1, 2], [1, 0], [1])
