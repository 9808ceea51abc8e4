"""Scores against scikit-learn and numpy, and their intervals' coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from stepladder.methods.interpretability.label_scores import accuracy, area, correlation, f1, pearson, sums

ROWS = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=4, max_size=40)


@settings(deadline=None)
@given(ROWS)
def test_accuracy_f1_and_area_are_scikit_learns(rows: list[tuple[bool, float]]) -> None:
    truth, predicted = [t for t, _ in rows], [p for _, p in rows]
    called = [p >= 0.5 for p in predicted]
    assert accuracy(truth, predicted, range(len(rows))).value == pytest.approx(accuracy_score(truth, called))
    found = f1(truth, predicted, range(len(rows)))
    if found:
        assert found.value == pytest.approx(f1_score(truth, called, zero_division=0))
        assert found.interval is None or found.interval.low <= found.value <= found.interval.high
    else:
        assert not any(truth)
        assert not any(called)
    ranked = area(truth, predicted, range(len(rows)))
    if ranked:
        assert ranked.value == pytest.approx(roc_auc_score(truth, predicted))


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6), st.floats(-2, 2))
def test_correlation_of_windows_is_that_of_their_tokens(seed: int, windows: int, slope: float) -> None:
    rng = np.random.default_rng(seed)
    x = [rng.normal(3, 1, 9) for _ in range(windows)]
    y = [slope * part + rng.normal(0, 1, 9) for part in x]
    rows = [sums(a, b) for a, b in zip(x, y, strict=True)]
    expected = np.corrcoef(np.concatenate(x), np.concatenate(y))[0, 1]
    assert correlation(rows, range(windows)).value == pytest.approx(expected, abs=1e-9)


def test_a_label_that_says_the_same_everywhere_scores_nothing() -> None:
    constant = [sums(np.ones(8), np.arange(8.0)) for _ in range(5)]
    assert correlation(constant, range(5)).value == 0
    assert correlation(constant, range(5)).interval is None
    assert pearson(np.ones(5), np.arange(5.0)) is None


def test_scores_do_not_depend_on_the_scale_of_activations() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.random(12), rng.random(12)) for _ in range(10)]
    plain = correlation([sums(a, b) for a, b in pairs], range(10))
    scaled = correlation([sums(a, 1000 * b) for a, b in pairs], range(10))
    assert plain.interval
    assert scaled.interval
    assert scaled.value == pytest.approx(plain.value)
    assert scaled.interval.low == pytest.approx(plain.interval.low, abs=1e-6)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_interval_of_the_correlation_covers(rho: float) -> None:
    """Tokens of a document share a draw of both variables: their correlation is known, and rows are not independent."""
    rng, covered, runs = np.random.default_rng(int(100 * rho)), 0, 400
    mix = np.linalg.cholesky([[1, rho], [rho, 1]])
    for _ in range(runs):
        shared, own = rng.normal(size=(30, 1, 2)) @ mix.T, rng.normal(size=(30, 10, 2)) @ mix.T
        tokens = 0.6 * shared + 0.8 * own
        found = correlation([sums(d[:, 0], d[:, 1]) for d in tokens], range(30)).interval
        assert found
        covered += found.low <= rho <= found.high
    spread = np.sqrt(0.95 * 0.05 / runs)
    assert covered / runs > 0.95 - 4 * spread
    assert covered / runs < 0.95 + 4 * spread


def test_interval_of_f1_covers() -> None:
    """True F1 of a caller with known hit and false-alarm rates."""
    rng, covered, runs, hit, alarm = np.random.default_rng(1), 0, 400, 0.8, 0.3
    truth = [True] * 40 + [False] * 40
    true_f1 = 2 * 0.5 * hit / (0.5 + 0.5 * hit + 0.5 * alarm)
    for _ in range(runs):
        predicted = [float(rng.random() < (hit if t else alarm)) for t in truth]
        found = f1(truth, predicted, range(80))
        assert found
        assert found.interval
        covered += found.interval.low <= true_f1 <= found.interval.high
    assert covered / runs > 0.95 - 4 * np.sqrt(0.95 * 0.05 / runs)
