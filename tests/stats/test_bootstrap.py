import numpy as np
import pytest
from scipy.stats import bootstrap

from stepladder.stats import bca, clustered_mean
from stepladder.stats.bootstrap import widened_level


def ends(estimate):
    return estimate.interval.low, estimate.interval.high


def test_of_independent_rows_it_is_scipys_bca_at_the_widened_level():
    values = np.random.default_rng(0).exponential(size=40)
    peer = bootstrap(
        (values,),
        np.mean,
        confidence_level=widened_level(0.95, 40),
        n_resamples=4000,
        method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval
    spread = values.std() / np.sqrt(40)
    assert ends(bca(np.mean, values, clusters=range(40), resamples=4000)) == pytest.approx(
        (peer.low, peer.high), abs=0.2 * spread
    )


def test_the_mean_of_normal_clusters_gets_about_its_t_interval():
    rng = np.random.default_rng(2)
    clusters = np.repeat(range(12), 5).tolist()
    values = rng.normal(size=12)[clusters] + rng.normal(size=60)
    one, other = bca(np.mean, values, clusters=clusters), clustered_mean(values, clusters)
    assert np.diff(ends(one)) == pytest.approx(np.diff(ends(other)), rel=0.15)


def test_columns_of_a_row_stay_together():
    before = np.random.default_rng(3).normal(size=30)
    estimate = bca(lambda a, b: float((b - a).mean()), before, before + 1, clusters=range(30))
    assert (estimate.value, estimate.interval) == (pytest.approx(1), None) or np.diff(ends(estimate)) < 1e-9


def test_the_same_seed_gives_the_same_interval_and_names_do_not_matter():
    values = np.random.default_rng(4).normal(size=20).tolist()
    one = bca(np.median, values, clusters=range(20))
    assert bca(np.median, values, clusters=[f"cluster {i}" for i in range(20)]) == one
    assert bca(np.median, values, clusters=range(20), seed=1) != one


def test_few_clusters_or_nothing_that_varies_have_no_interval():
    assert bca(np.mean, [1.0, 2, 3], clusters="abc").interval is None
    assert bca(np.mean, [1.0] * 10, clusters=range(10)).interval is None


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="clusters 2, column 1 1"):
        bca(np.mean, [1.0], clusters="ab")
