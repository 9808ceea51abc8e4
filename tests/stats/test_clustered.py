import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from stepladder.stats import clustered_mean, clustered_rate, wilson
from stepladder.stats.clustered import cluster_robust, cluster_sums

rows = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40)


def ends(estimate):
    return estimate.interval.low, estimate.interval.high


def reference_cr2(values, clusters):
    """Bell and McCaffrey (2002) with matrices: (I - H)^(-1/2) per cluster, df from the quadratic form's eigenvalues."""
    y, x = np.asarray(values, float), np.ones((len(values), 1))
    bread = np.linalg.inv(x.T @ x)
    hat = x @ bread @ x.T
    residual = y - hat @ y
    maker = np.eye(len(y)) - hat
    meat, columns = 0.0, []
    for cluster in dict.fromkeys(clusters):
        own = np.array([c == cluster for c in clusters])
        value, vector = np.linalg.eigh(np.eye(own.sum()) - hat[np.ix_(own, own)])
        adjust = vector @ np.diag(value**-0.5) @ vector.T
        meat += (x[own].T @ adjust @ residual[own]).item() ** 2
        columns.append(maker[:, own] @ adjust @ x[own] @ bread)
    eigen = np.linalg.eigvalsh(np.hstack(columns).T @ np.hstack(columns))
    return float(bread[0, 0]) ** 2 * meat, eigen.sum() ** 2 / (eigen**2).sum()


@pytest.mark.parametrize("sizes", [[6] * 5, [1, 2, 3, 10], [1, 1, 1, 1, 30], [1] * 9, [7, 2]])
def test_variance_and_degrees_of_freedom_equal_the_matrix_form_of_bell_and_mccaffrey(sizes):
    clusters = np.repeat(np.arange(len(sizes)), sizes).tolist()
    values = np.random.default_rng(sum(sizes)).normal(size=len(clusters))
    assert cluster_robust(*cluster_sums(values, clusters)) == pytest.approx(reference_cr2(values, clusters))


def test_independent_rows_give_the_ordinary_t_interval():
    values = np.random.default_rng(0).normal(size=12)
    expected = t.interval(0.95, 11, values.mean(), values.std(ddof=1) / np.sqrt(12))
    assert ends(clustered_mean(values, range(12))) == pytest.approx(expected)


def test_equal_clusters_give_the_t_interval_of_their_means():
    values = np.random.default_rng(1).normal(size=(5, 6))
    means = values.mean(1)
    expected = t.interval(0.95, 4, means.mean(), means.std(ddof=1) / np.sqrt(5))
    assert ends(clustered_mean(values.ravel(), np.repeat(range(5), 6).tolist())) == pytest.approx(expected)


@given(st.integers(2, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_rate_of_independent_rows_is_wilsons(count):
    x, n = count
    estimate, plain = clustered_rate([1] * x + [0] * (n - x), range(n)), wilson(x, n)
    assert ends(estimate) == pytest.approx((plain.low, plain.high), rel=1e-6)
    assert (estimate.interval.method, estimate.n) == ("Wilson", n)


def test_rows_that_repeat_their_cluster_add_nothing():
    many = clustered_rate([1] * 30 + [0] * 120, [i // 10 for i in range(150)])
    plain = wilson(3, 15)
    assert many.interval.high - many.interval.low >= plain.high - plain.low


@settings(deadline=None)
@given(rows, st.randoms(use_true_random=False))
def test_a_rate_does_not_depend_on_the_order_of_rows_or_the_names_of_clusters(data, random):
    shuffled = [(f"behaviour {c}", v) for c, v in data]
    random.shuffle(shuffled)
    one = clustered_rate([v for _, v in data], [c for c, _ in data])
    other = clustered_rate([v for _, v in shuffled], [c for c, _ in shuffled])
    assert one.value == pytest.approx(other.value)
    assert (one.interval is None) == (other.interval is None)
    if one.interval:
        assert ends(one) == pytest.approx(ends(other), abs=1e-9)


@given(rows)
def test_a_rates_complement_mirrors_and_every_interval_has_width_inside_the_unit(data):
    values, clusters = [float(v) for _, v in data], [c for c, _ in data]
    one, other = clustered_rate(values, clusters), clustered_rate([1 - v for v in values], clusters)
    if len(set(clusters)) == 1:
        assert one.interval is None
        return
    assert ends(one) == pytest.approx([1 - end for end in ends(other)][::-1], abs=1e-9)
    assert 0 <= one.interval.low <= one.value <= one.interval.high <= 1


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=3, max_size=8))
def test_twice_the_clusters_narrow_the_interval(groups):
    values = [float(v) for group in groups for v in group]
    clusters = [i for i, group in enumerate(groups) for _ in group]
    one = clustered_rate(values, clusters)
    two = clustered_rate(values * 2, clusters + [c + 100 for c in clusters])
    assert two.value == pytest.approx(one.value)
    assert two.interval.high - two.interval.low < one.interval.high - one.interval.low


def test_no_success_in_five_clusters_is_no_success_in_five_trials():
    estimate = clustered_rate([0] * 30, [i // 6 for i in range(30)])
    assert ends(estimate) == pytest.approx((0, wilson(0, 5).high))


def test_one_cluster_or_one_row_has_a_value_and_no_interval():
    assert clustered_rate([0, 1, 1, 0], ["a"] * 4).interval is None
    assert clustered_mean([3.0], ["a"]).interval is None
    assert clustered_rate([1], ["a"]).value == 1


def test_a_mean_without_variation_has_no_interval():
    assert clustered_mean([2.0, 2.0, 2.0], ["a", "b", "c"]).interval is None


@pytest.mark.parametrize(
    ("values", "clusters", "text"),
    [
        ([0.5, 1.2], ["a", "b"], r"lie in \[0, 1\]"),
        ([0.5], ["a", "b"], "values 1, clusters 2"),
        ([], [], "no values"),
        ([float("nan")], ["a"], "finite"),
    ],
)
def test_bad_input_is_named(values, clusters, text):
    with pytest.raises(ValueError, match=text):
        clustered_rate(values, clusters)
