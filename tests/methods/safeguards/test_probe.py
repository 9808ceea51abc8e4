from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepladder.methods.safeguards.probe import fit_probe, normalise, pool, score_tokens, smooth
from stepladder.stats import auroc


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=40), st.integers(1, 20))
def test_smoothing_is_the_mean_of_every_window(scores: list[float], window: int) -> None:
    size = min(window, len(scores))
    brute = [sum(scores[i : i + size]) / size for i in range(len(scores) - size + 1)]
    assert smooth(np.array(scores), window) == pytest.approx(brute, abs=1e-9)


def test_a_short_passage_in_a_long_text_counts_as_much_as_alone() -> None:
    passage, rest = np.full((8, 1), 3.0), np.full((200, 1), -1.0)
    probe = fit_probe(np.array([[-1.0], [-0.9], [3.0], [3.1]]), [0, 0, 1, 1])
    alone = score_tokens(passage, [probe], 8)
    assert score_tokens(np.concatenate([rest, passage, rest]), [probe], 8) == pytest.approx(alone)


def test_the_first_token_and_the_scale_of_a_layer_do_not_matter() -> None:
    tokens = np.random.default_rng(0).normal(size=(9, 3, 16)).astype(np.float32)
    other = tokens * np.array([1, 100, 26_182], dtype=np.float32)[None, :, None]
    other[0] = 1e6
    assert normalise(other) == pytest.approx(normalise(tokens), rel=1e-4)
    assert normalise(tokens).shape == (8, 48)
    assert np.mean(normalise(tokens)[:, :16] ** 2, axis=1) == pytest.approx(np.ones(8), rel=1e-5)


def test_a_single_token_has_no_features_and_scores_the_bias() -> None:
    probe = fit_probe(np.array([[0.0], [1.0]]), [0, 1])
    empty = normalise(np.ones((1, 1, 1)))
    assert pool(empty).tolist() == [0.0]
    assert score_tokens(empty, [probe], 4).tolist() == [probe.bias]


def test_two_gaussians_are_told_apart_as_well_as_theory_allows() -> None:
    from scipy.stats import norm

    rng, shift, width = np.random.default_rng(1), 1.5, 20
    labels = np.repeat([0, 1], 600)
    points = rng.normal(size=(1200, width))
    points[:, 3] += shift * labels
    points[:, 7] *= 1000  # a massive coordinate that says nothing
    train, test = np.arange(0, 1200, 2), np.arange(1, 1200, 2)
    probe = fit_probe(points[train], labels[train].tolist())
    found = auroc((points[test] @ probe.weights).tolist(), labels[test].tolist())
    best = norm.cdf(shift / np.sqrt(2))
    assert found is not None
    assert abs(found.value - best) < 4 * 0.015  # DeLong's standard error at this size


def test_shuffled_labels_leave_chance() -> None:
    rng = np.random.default_rng(2)
    points, labels = rng.normal(size=(800, 30)), rng.permutation(np.repeat([0, 1], 400))
    probe = fit_probe(points[:400], labels[:400].tolist())
    found = auroc((points[400:] @ probe.weights).tolist(), labels[400:].tolist())
    assert found is not None
    assert abs(found.value - 0.5) < 4 * np.sqrt(1 / 12 * (1 / 200 + 1 / 200))
