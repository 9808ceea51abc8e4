import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa

from stepladder.stats import agreement, cohen_kappa, krippendorff_alpha

two_raters = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2, max_size=40)


@given(two_raters)
def test_kappa_is_sklearns_and_lies_inside_its_interval(pairs):
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    kappa = cohen_kappa(a, b)
    if len(set(a + b)) == 1:
        assert kappa is None
        return
    assert kappa.value == pytest.approx(cohen_kappa_score(a, b))
    assert -1 <= kappa.interval.low <= kappa.value <= kappa.interval.high <= 1


def test_alpha_of_krippendorffs_own_example():
    """Krippendorff (2011), "Computing Krippendorff's alpha-reliability", data C: four raters, twelve units, gaps; 0.743."""
    gap = None
    matrix = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, gap, gap, gap],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, gap, 3],
        [gap, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, gap],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, gap],
    ]
    estimate = krippendorff_alpha(matrix)
    assert estimate.value == pytest.approx(0.743, abs=0.0005)
    assert estimate.n == 11


def test_alpha_without_gaps_is_fleiss_kappa_with_the_small_sample_correction():
    ratings = np.random.default_rng(0).integers(0, 3, (4, 25))
    table = np.array([np.bincount(item, minlength=3) for item in ratings.T])
    expected = 1 - (1 - fleiss_kappa(table)) * (1 - 1 / 100)
    assert krippendorff_alpha(ratings.tolist()).value == pytest.approx(expected)


@given(st.lists(st.tuples(*[st.sampled_from(["x", "y", None])] * 3), min_size=2, max_size=20), st.permutations([0, 1, 2]))
def test_alpha_does_not_depend_on_the_order_of_raters_or_items_or_on_names(items, order):
    one = krippendorff_alpha(list(zip(*items, strict=True)))
    renamed = [[{"x": 7, "y": 3, None: None}[label] for label in item] for item in items[::-1]]
    other = krippendorff_alpha([[item[rater] for item in renamed] for rater in order])
    assert (one is None) == (other is None)
    if one:
        assert other.value == pytest.approx(one.value)
        assert one.interval is None or one.interval.low <= one.value <= one.interval.high


def test_perfect_agreement_on_few_items_is_not_certainty():
    assert cohen_kappa([0, 1, 0, 1, 1], [0, 1, 0, 1, 1]).interval.low < 0.5
    assert krippendorff_alpha([[0, 1, 0, 1, 1]] * 3).interval.low < 0.5
    assert agreement([0, 1, 0], [0, 1, 0]).interval.low == pytest.approx(3 / (3 + 1.959963984540054**2))


def test_without_disagreement_to_be_had_there_is_no_coefficient():
    assert cohen_kappa([1, 1], [1, 1]) is None
    assert krippendorff_alpha([[1, 1], [1, 1]]) is None
    assert krippendorff_alpha([[1, None], [None, 2]]) is None
    assert cohen_kappa([1], [2]).interval is None


def test_bad_input_is_named():
    for method in (agreement, cohen_kappa):
        with pytest.raises(ValueError, match="a 2, b 1"):
            method([1, 2], [1])
    with pytest.raises(ValueError, match="rater 1 2, rater 2 1"):
        krippendorff_alpha([[1, 2], [1]])
