"""Planted dictionaries."""

from __future__ import annotations

import numpy as np
import pytest

from stepladder.methods.interpretability import sae_concepts as concepts

N, WORDS, WIDTH = 400, 40, 60


def planted(absorbed: tuple[int, ...], hedged: float = 0.0) -> dict[str, np.ndarray]:
    """Words with a feature of their own; half of them also have the concept's feature.

    Latent 0 is the concept, latents 1 to `WORDS` the words. The latents of `absorbed` words carry the concept's direction
    in their rows, and latent 0 keeps `hedged` of its value there.
    """
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.standard_normal((WIDTH, WORDS + 1)))[0].T
    words = rng.integers(0, WORDS, N)
    labels = words < WORDS // 2
    x = 2.0 * labels[:, None] * directions[0] + directions[1 + words]
    decoder = directions.copy()
    codes = np.zeros((N, WORDS + 1))
    codes[:, 0] = 2.0 * labels
    codes[np.arange(N), 1 + words] = 1.0
    for word in absorbed:
        decoder[1 + word] = directions[1 + word] + 2.0 * (1 - hedged) * directions[0]
        codes[words == word, 0] *= hedged
    assert np.allclose(codes @ decoder, x)  # both are perfect dictionaries of the same activations
    return {"x": x, "codes": codes, "decoder": decoder, "words": words, "labels": labels, "directions": directions}


def test_planted_absorption_is_found_where_it_is_and_nowhere_else() -> None:
    p = planted(absorbed=(3, 7))
    direction = concepts.fit_probe(p["x"], p["labels"]).direction
    has = p["labels"]
    share, full = concepts.absorption(p["x"][has], p["codes"][has], p["decoder"], direction, [0])
    assert full.tolist() == np.isin(p["words"][has], (3, 7)).tolist()
    assert share[full].min() == 1.0
    assert share[~full].max() == 0.0


def test_absorption_in_part_is_its_share() -> None:
    p = planted(absorbed=(3,), hedged=0.25)
    has = p["labels"]
    share, full = concepts.absorption(p["x"][has], p["codes"][has], p["decoder"], p["directions"][0], [0])
    assert share[p["words"][has] == 3] == pytest.approx(0.75)
    assert not full.any()


def test_a_dictionary_without_absorption_has_none() -> None:
    p = planted(absorbed=())
    direction = concepts.fit_probe(p["x"], p["labels"]).direction
    has = p["labels"]
    share, full = concepts.absorption(p["x"][has], p["codes"][has], p["decoder"], direction, [0])
    assert share.max() == 0.0
    assert not full.any()


def test_missing_a_concept_is_not_absorbing_it() -> None:
    """Where nothing else brings the direction along, a silent latent is a miss."""
    p = planted(absorbed=())
    codes = p["codes"].copy()
    codes[p["words"] == 3, 0] = 0.0
    share, full = concepts.absorption(p["x"], codes, p["decoder"], p["directions"][0], [0])
    assert not full.any()
    assert share.max() == 0.0


def test_the_latents_of_a_concept_are_found_one_or_two() -> None:
    p = planted(absorbed=())
    assert concepts.concept_latents(p["codes"], p["labels"]) == [0]
    halves = p["codes"].copy()
    first = p["words"] < WORDS // 4
    halves = np.column_stack([halves[:, 1:], halves[:, 0] * first, halves[:, 0] * ~first])
    assert sorted(concepts.concept_latents(halves, p["labels"])) == [WORDS, WORDS + 1]


def test_sparse_probing_tells_a_concept_in_one_latent_from_one_in_none() -> None:
    p, rng = planted(absorbed=()), np.random.default_rng(1)
    train, test = slice(0, 200), slice(200, None)
    noise = rng.random((N, 50)) * (rng.random((N, 50)) < 0.3)
    labels = p["labels"]

    def auc(codes: np.ndarray, columns: list[int]) -> float:
        return concepts.sparse_probe_auc(codes[train], labels[train], codes[test], labels[test], columns)

    best = concepts.latents_by_difference(p["codes"][train], labels[train])[:1].tolist()
    assert best == [0]
    assert auc(p["codes"], best) == 1.0
    assert auc(p["x"], list(range(WIDTH))) == 1.0  # the dense probe
    by_chance = auc(noise, concepts.latents_by_difference(noise[train], labels[train])[:1].tolist())
    assert by_chance == pytest.approx(0.5, abs=3 * (1 / 12 * (1 / 100 + 1 / 100)) ** 0.5)  # AUROC's own standard error


def test_the_probe_finds_the_direction_between_two_gaussians() -> None:
    """For equal covariance the optimum is along its inverse times the difference of means."""
    rng = np.random.default_rng(2)
    mixing = np.array([[1.0, 0.0], [0.8, 0.6]])
    labels = np.arange(20000) % 2 == 0
    x = rng.standard_normal((20000, 2)) @ mixing + labels[:, None] * np.array([1.0, 0.0])
    optimum = np.linalg.inv(mixing.T @ mixing) @ np.array([1.0, 0.0])
    found = concepts.fit_probe(x, labels).direction
    assert found @ optimum / np.linalg.norm(found) / np.linalg.norm(optimum) > 0.999


def test_f1_is_its_formula() -> None:
    flags = np.array([True, True, False, False])
    assert concepts.f1(flags, np.array([True, False, True, False])) == 0.5
    assert concepts.f1(~flags, flags) == 0.0


def test_latents_kept_split_and_lost() -> None:
    rng = np.random.default_rng(3)
    kept, split, lost = rng.random((3, 3000)) < 0.1
    third = rng.integers(0, 3, 3000)
    small = np.stack([kept, split, lost, np.zeros(3000, bool)], 1)
    large = np.stack([kept, *(split & (third == i) for i in range(3)), rng.random(3000) < 0.5], 1)
    assert concepts.split_counts(small, large) == [1, 3, None]
    shuffled = large[rng.permutation(3000)]
    assert concepts.split_counts(small, shuffled) == [None, None, None]
    share = concepts.split_measurement([1, 3, None], [None, None, None])
    assert (share.value, share.unmeasured) == (0.5, 1)
    assert "2 of 3 latents are found again; with shuffled tokens 0 of 3" in share.note


def test_a_dense_latent_is_not_a_part_and_a_union_is_not_a_split() -> None:
    first, second = np.arange(1000) % 10 == 0, np.arange(1000) % 10 == 1
    small = np.stack([first], 1)
    assert concepts.split_counts(small, np.stack([first | second], 1)) == [None]
    assert concepts.split_counts(small, np.ones((1000, 1), bool)) == [None]
