"""Probes against closed forms, brute force and scikit-learn, on data whose truth is planted."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray

from stepladder.methods.interpretability.probe_fits import (
    cosine,
    fit_leace,
    mass_mean,
    shrunk_covariance,
    whitened_mass_mean,
)
from stepladder.stats import auroc

pytest.importorskip("torch")

from stepladder.methods.interpretability.probe_ccs import fit_ccs
from stepladder.methods.interpretability.probe_logistic import fit_logistic, raw, standardised

Floats = NDArray[np.float64]


def two_gaussians(rows: int, gap: Floats, root: Floats, seed: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Half of the rows N(gap / 2, root root'), half N(-gap / 2, root root')."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 2 == 0
    return rng.normal(size=(rows, len(gap))) @ root.T + np.where(y[:, None], gap, -gap) / 2, y


def area(scores: Floats, y: NDArray[np.bool_]) -> float:
    found = auroc(scores, y.tolist())
    assert found is not None
    return found.value


@pytest.fixture(scope="module")
def gaussians() -> tuple[Floats, Floats]:
    """A gap between the means and a root of the covariance, 12 dimensions, far from round."""
    rng = np.random.default_rng(3)
    root = rng.normal(size=(12, 12)) * np.exp(rng.normal(size=12))
    return 0.35 * root @ rng.normal(size=12), root


def test_mass_means_reach_the_auroc_that_two_gaussians_allow(gaussians: tuple[Floats, Floats]) -> None:
    """Along w the AUROC is Phi(w'gap / sqrt(2 w'Sw)); at its best, w = S^-1 gap, Phi(sqrt(gap'S^-1 gap / 2))."""
    gap, root = gaussians
    covariance = root @ root.T
    train, y = two_gaussians(20_000, gap, root, 0)
    test, truth = two_gaussians(20_000, gap, root, 1)
    best = NormalDist().cdf(float(np.sqrt(gap @ np.linalg.solve(covariance, gap) / 2)))
    plain = NormalDist().cdf(float(gap @ gap / np.sqrt(2 * gap @ covariance @ gap)))
    assert best - plain > 0.05
    standard_error = 0.5 / np.sqrt(10_000)
    assert abs(area(whitened_mass_mean(train, y).score(test), truth) - best) < 3 * standard_error
    assert abs(area(mass_mean(train, y).score(test), truth) - plain) < 3 * standard_error


def test_whitened_mass_mean_gives_the_log_odds(gaussians: tuple[Floats, Floats]) -> None:
    gap, root = gaussians
    train, y = two_gaussians(40_000, gap, root, 0)
    probe = whitened_mass_mean(train, y)
    log_odds = train @ np.linalg.solve(root @ root.T, gap)
    assert np.abs(probe.score(train) - log_odds).mean() < 0.05 * np.abs(log_odds).mean()


def test_a_planted_direction_is_found_by_every_probe() -> None:
    rng = np.random.default_rng(0)
    direction = rng.normal(size=64)
    direction /= np.linalg.norm(direction)
    x, y = two_gaussians(8_000, 3 * direction, np.eye(64), 1)
    found = fit_logistic(x, y.astype(float), 0.01).weights[:, 0]
    for weights in (mass_mean(x, y).weights, whitened_mass_mean(x, y).weights, found):
        assert cosine(weights, direction) > 0.99


def test_shrinkage_is_scikit_learns() -> None:
    from sklearn.covariance import ledoit_wolf

    rng = np.random.default_rng(0)
    for rows, width in ((30, 80), (400, 20)):
        x = rng.normal(size=(rows, width)) * np.exp(rng.normal(size=width))
        x -= x.mean(0)
        assert np.allclose(shrunk_covariance(x), ledoit_wolf(x, assume_centered=True)[0])


@pytest.mark.parametrize(
    ("rows", "width", "strength"), [(1500, 20, 1.0), (120, 300, 1.0), (120, 300, 0.01), (400, 15, 100.0)]
)
def test_logistic_coefficients_are_scikit_learns_for_every_label(rows: int, width: int, strength: float) -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(rows)
    x = standardised(rng.normal(size=(rows, width)) * np.exp(rng.normal(size=width)))[0]
    y = x @ rng.normal(size=(width, 4)) + rng.normal(size=(rows, 4)) > 0.3
    used = rng.random((rows, 4)) < 0.8
    ours = fit_logistic(x, y.astype(float), strength, used.astype(float), tolerance=1e-6)
    for label in range(4):
        part = used[:, label]
        theirs = LogisticRegression(C=strength, tol=1e-9, max_iter=50_000).fit(x[part].astype(float), y[part, label])
        scale = np.abs(theirs.coef_).max()
        assert np.abs(ours.weights[:, label] - theirs.coef_[0]).max() < 1e-4 * scale
        assert abs(ours.bias[label] - theirs.intercept_[0]) < 1e-3 * max(1.0, abs(theirs.intercept_[0]))


def test_other_labels_beside_it_change_nothing() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 10))
    y = (x[:, :3] + rng.normal(size=(300, 3)) > 0).astype(float)
    together, alone = fit_logistic(x, y, tolerance=1e-6), fit_logistic(x, y[:, 1], tolerance=1e-6)
    assert np.allclose(together.weights[:, 1], alone.weights[:, 0], atol=1e-4)


def test_a_probe_scores_raw_activations_as_it_does_standardised_ones() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(5, 3, size=(200, 8)) * np.arange(8)  # the first coordinate does not vary
    normal, mean, scale = standardised(x)
    probe = fit_logistic(normal, (x[:, 3] > x[:, 3].mean()).astype(float))
    assert np.allclose(raw(probe, mean, scale).score(x), probe.score(normal), atol=1e-3)


@pytest.fixture(scope="module")
def planted() -> tuple[Floats, Floats]:
    """A concept z (rows,) and x (rows, 10) that holds it among correlated noise."""
    rng = np.random.default_rng(0)
    z = (rng.random(600) < 0.5).astype(float)
    return rng.normal(size=(600, 10)) @ rng.normal(size=(10, 10)) + z[:, None] * rng.normal(size=10), z


class TestLeace:
    """Against the theorem's own claims."""

    def test_regression_learns_the_concept_before_but_nothing_after(self, planted: tuple[Floats, Floats]) -> None:
        x, z = planted
        erased = fit_leace(x, z).erase(x)
        before, after = (fit_logistic(standardised(values)[0], z, tolerance=1e-6) for values in (x, erased))
        assert area(before.score(standardised(x)[0])[:, 0], z > 0.5) > 0.9
        assert np.abs(after.weights).max() < 1e-4
        assert np.abs(np.cov(erased.T, z)[-1, :-1]).max() < 1e-10

    def test_erasing_twice_is_erasing_once(self, planted: tuple[Floats, Floats]) -> None:
        x, z = planted
        eraser = fit_leace(x, z)
        assert np.allclose(eraser.erase(eraser.erase(x)), eraser.erase(x))

    def test_no_other_affine_eraser_moves_less(self, planted: tuple[Floats, Floats]) -> None:
        """Brute force: every linear eraser is x -> x - u v'(x - mean) with v'u = 1 and u along Sigma_xz."""
        x, z = planted
        moved = ((fit_leace(x, z).erase(x) - x) ** 2).sum(1).mean()
        centred = x - x.mean(0)
        cross = centred.T @ (z - z.mean()) / len(x)
        rng = np.random.default_rng(1)
        for spread in (0.01, 0.1, 1.0, 10.0):
            for _ in range(200):
                other = np.linalg.solve(np.cov(x.T, bias=True), cross) + spread * rng.normal(size=10) * 0.1
                other /= other @ cross
                assert ((np.outer(centred @ other, cross)) ** 2).sum(1).mean() >= moved - 1e-9

    def test_orthogonal_projection_moves_more(self, planted: tuple[Floats, Floats]) -> None:
        x, z = planted
        centred = x - x.mean(0)
        direction = centred.T @ (z - z.mean())
        direction /= np.linalg.norm(direction)
        orthogonal = ((centred @ direction) ** 2).mean()
        assert ((fit_leace(x, z).erase(x) - x) ** 2).sum(1).mean() < orthogonal

    def test_several_concepts_and_flat_directions(self) -> None:
        rng = np.random.default_rng(4)
        z = np.eye(3)[rng.integers(3, size=300)]
        x = np.hstack([rng.normal(size=(300, 6)) + z @ rng.normal(size=(3, 6)), np.full((300, 2), 7.0)])
        erased = fit_leace(x, z).erase(x)
        assert np.abs((erased - erased.mean(0)).T @ (z - z.mean(0))).max() < 1e-8
        assert np.allclose(erased[:, 6:], 7.0)


class TestCcs:
    """Statements and negations with a planted truth, a planted "negated", and noise."""

    @staticmethod
    def pairs(strength: float, seed: int = 0) -> tuple[Floats, Floats, NDArray[np.bool_], Floats]:
        rng = np.random.default_rng(seed)
        truth = rng.random(400) < 0.5
        direction, negation = rng.normal(size=(2, 40))
        sign = np.where(truth, 1.0, -1.0)[:, None]
        content = 0.3 * rng.normal(size=(400, 40))
        affirmed = content + strength * sign * direction + 0.3 * rng.normal(size=(400, 40))
        negated = content - strength * sign * direction + 3 * negation + 0.3 * rng.normal(size=(400, 40))
        return affirmed, negated, truth, direction

    def test_planted_truth_is_found_without_labels_up_to_sign(self) -> None:
        affirmed, negated, truth, direction = self.pairs(0.3)
        probe = fit_ccs(affirmed, negated)
        assert abs(cosine(probe.affirmed.weights, direction)) > 0.9
        scores = probe.affirmed.score(affirmed)
        assert max(area(scores, truth), area(-scores, truth)) > 0.99
        assert np.corrcoef(scores, probe.negated.score(negated))[0, 1] < -0.9
        assert np.allclose(probe.flipped().affirmed.score(affirmed), -scores)

    def test_what_merely_says_negated_is_not_what_it_finds(self) -> None:
        affirmed, negated, truth, _ = self.pairs(0.0)
        scores = fit_ccs(affirmed, negated).affirmed.score(affirmed)
        assert abs(area(scores, truth) - 0.5) < 3 * 0.5 / np.sqrt(200)
