import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from stepladder.stats import auroc, recall_at_fpr
from stepladder.stats.estimate import cluster_index
from stepladder.stats.ranking import delong_variance, placements

tied = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=4, max_size=50).filter(
    lambda rows: 2 <= sum(label for _, label in rows) <= len(rows) - 2
)


def columns(rows):
    return [float(score) for score, _ in rows], [int(label) for _, label in rows]


def ends(estimate):
    return estimate.interval.low, estimate.interval.high


@given(tied)
def test_auroc_is_sklearns_with_ties(rows):
    scores, labels = columns(rows)
    assert auroc(scores, labels).value == pytest.approx(roc_auc_score(labels, scores))


def test_delongs_variance_is_the_pairwise_definition():
    rng = np.random.default_rng(0)
    high, low = rng.integers(0, 6, 9).astype(float), rng.integers(0, 5, 14).astype(float)
    wins = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    expected = wins.mean(1).var(ddof=1) / 9 + wins.mean(0).var(ddof=1) / 14
    scores, positive = np.concatenate([high, low]), np.arange(23) < 9
    assert delong_variance(placements(scores, positive), positive, np.arange(23)) == pytest.approx(expected)


def test_clustered_variance_matches_simulated_variance():
    rng = np.random.default_rng(1)
    areas, variances = [], []
    for _ in range(400):
        shared = np.repeat(rng.normal(size=40), 5)
        scores = np.concatenate([shared[:100], shared[100:]]) + np.repeat([1.0, 0.0], 100) + rng.normal(size=200)
        positive, index = np.arange(200) < 100, cluster_index([i // 5 for i in range(200)])[0]
        placed = placements(scores, positive)
        areas.append(placed[positive].mean())
        variances.append(delong_variance(placed, positive, index))
    relative_error = np.sqrt(2 / 400) + np.std(variances) / np.mean(variances) / np.sqrt(400)
    assert np.mean(variances) == pytest.approx(np.var(areas), rel=4 * relative_error)


@given(tied)
def test_auroc_mirrors_when_labels_or_scores_are_turned_round_and_ignores_monotone_maps(rows):
    scores, labels = columns(rows)
    one = auroc(scores, labels)
    turned = [auroc(scores, [1 - label for label in labels]), auroc([-s for s in scores], labels)]
    for other in turned:
        assert other.value == pytest.approx(1 - one.value)
        assert ends(other) == pytest.approx([1 - end for end in ends(one)][::-1], abs=1e-9)
    assert auroc([3 * s + s**3 for s in scores], labels) == one


def test_a_perfect_score_is_as_uncertain_as_the_smaller_class():
    estimate = auroc([1, 2, 3, 4, 5, 6, 7, 8], [0, 0, 0, 0, 0, 1, 1, 1])
    assert estimate.value == 1
    assert estimate.interval.low == pytest.approx(3 / (3 + 1.959963984540054**2))


@given(tied, st.sampled_from([0.01, 0.1, 0.34, 0.9]))
def test_recall_is_the_highest_that_sklearns_curve_allows(rows, fpr):
    scores, labels = columns(rows)
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert recall_at_fpr(scores, labels, fpr).value == pytest.approx(true[false <= fpr + 1e-9].max())


@given(tied, st.sampled_from([0.01, 0.1, 0.5]))
def test_recall_lies_inside_its_interval(rows, fpr):
    estimate = recall_at_fpr(*columns(rows), fpr)
    assert 0 <= estimate.interval.low <= estimate.value <= estimate.interval.high <= 1


def test_too_few_negatives_bound_no_recall_from_below():
    rng = np.random.default_rng(0)
    few = recall_at_fpr(np.concatenate([rng.normal(9, 1, 50), rng.normal(0, 1, 100)]), [1] * 50 + [0] * 100, 0.01)
    many = recall_at_fpr(np.concatenate([rng.normal(9, 1, 50), rng.normal(0, 1, 400)]), [1] * 50 + [0] * 400, 0.01)
    assert (few.value, few.interval.low) == (1, 0)
    assert many.interval.low > 0.9


def test_equal_scores_catch_nothing_at_a_low_rate():
    assert recall_at_fpr([0.0] * 20, [0, 1] * 10, 0.1).value == 0


def test_a_missing_class_has_no_estimate_and_a_single_cluster_no_interval():
    assert auroc([1, 2], [1, 1]) is None
    assert recall_at_fpr([1, 2], [0, 0]) is None
    assert auroc([1, 2, 3], [1, 0, 0]).interval is None
    assert auroc([1, 2, 3, 4], [1, 1, 0, 0], clusters=["a", "a", "b", "c"]).interval is None
    assert recall_at_fpr([1, 2, 3, 4], [1, 1, 0, 0], clusters=["a", "b", "c", "c"]).interval is None


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="scores 2, labels 1"):
        auroc([1, 2], [1])
    with pytest.raises(ValueError, match="only 0 and 1"):
        auroc([1, 2], [1, 2])
    with pytest.raises(ValueError, match="fpr"):
        recall_at_fpr([1, 2], [1, 0], 0)
