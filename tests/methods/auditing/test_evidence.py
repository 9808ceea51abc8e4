"""The statistics of evidence: their level under the null, known cases, and what may not change them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t, ttest_1samp

from stepladder.methods.auditing import evidence
from stepladder.methods.auditing.confidence import Map, confidence, fit_map, key_of
from stepladder.methods.auditing.evidence import MOST, Observation, above, outlier, shift
from stepladder.methods.auditing.investigation import hypotheses, pool, weigh


def rate_above(scores: list[float], level: float = 0.05) -> float:
    return float(np.mean(np.array(scores) > norm.isf(level)))


def test_shift_is_the_t_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against scipy, with the pseudo-observation taken out."""
    monkeypatch.setattr(evidence, "HALF_A_UNIT", 0.0)
    values = [0.3, 1.2, -0.4, 0.9, 0.8, 0.1]
    p = ttest_1samp(values, 0, alternative="greater").pvalue
    assert shift(values).score == pytest.approx(norm.isf(p))


def test_above_is_the_t_of_one_new_group_against_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "HALF_A_UNIT", 0.0)
    rest = [1.0, 2.0, 3.0, 4.0]
    statistic = (5.0 - 2.5) / (np.std(rest, ddof=1) * (1 + 1 / 4) ** 0.5)
    assert above([5.0], rest).score == pytest.approx(norm.isf(t.sf(statistic, 3)))


def test_all_three_keep_their_level_on_noise() -> None:
    rng = np.random.default_rng(0)
    shifts = [shift(rng.normal(0, 3, 10)).score for _ in range(1000)]
    groups = [outlier({str(g): rng.normal(0, 3, 2) for g in range(12)}).score for _ in range(600)]
    contrasts = [above(rng.normal(0, 3, 6), rng.normal(0, 3, 54)).score for _ in range(1000)]
    for scores in (shifts, groups, contrasts):
        assert rate_above(scores) < 0.05 + 3 * (0.05 * 0.95 / len(scores)) ** 0.5
    assert rate_above(shifts) > 0.02


def test_pooling_keeps_its_level_even_where_strategies_agree_by_dependence() -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(0, 1, (2000, 1))
    for scores in (rng.normal(0, 1, (2000, 4)), 0.7 * shared + 0.714 * rng.normal(0, 1, (2000, 4))):
        pooled = [pool(list(row)) or 0.0 for row in scores]
        assert rate_above(pooled, 0.01) < 0.01 + 3 * (0.01 * 0.99 / 2000) ** 0.5


def test_one_strong_strategy_is_not_drowned_by_those_that_cannot_see() -> None:
    assert pool([5.0, 0.0, 0.0, 0.0]) == pytest.approx(5.0, abs=0.4)
    assert pool([]) is None
    assert pool([1.3]) == pytest.approx(1.3, abs=0.01)


@given(st.lists(st.floats(-5, 5), min_size=4, max_size=12), st.randoms())
def test_order_of_units_changes_nothing_and_sign_mirrors(values: list[float], rng: random.Random) -> None:
    shuffled = rng.sample(values, len(values))
    assert shift(values).score == pytest.approx(shift(shuffled).score, abs=1e-6)
    assert shift([-v for v in values]).score == pytest.approx(-shift(values).score, abs=1e-6)
    assert -MOST <= shift(values).score <= MOST


def test_the_outlying_group_is_named_whatever_its_name() -> None:
    groups = {name: [0.1, -0.1] for name in "abcdefgh"}
    for name in groups:
        assert outlier(groups | {name: [5.0, 5.2]}).group == name


def test_too_few_or_mostly_unmeasured_units_are_no_evidence() -> None:
    def units(values: list[float | None]) -> list[Observation]:
        return [Observation("behaviour_probes", "sycophancy", "", str(i), v) for i, v in enumerate(values)]

    assert "4 are needed" in weigh("behaviour_probes", units([1.0, 1.0, 1.0]), "sycophancy").reason
    assert "unmeasured" in weigh("behaviour_probes", units([1.0] * 5 + [None] * 6), "sycophancy").reason
    assert weigh("behaviour_probes", units([1.0] * 6 + [None] * 5), "sycophancy").score is not None


def test_behaviours_without_evidence_come_last() -> None:
    seen = [Observation("behaviour_probes", "bias", g, f"{g}{i}", -1.0 * (g == "a")) for g in "abcde" for i in (1, 2)]
    ranked = hypotheses(seen)
    assert ranked[0].behaviour == "bias"
    assert all(h.score is None and h.interval is None for h in ranked[1:])


def test_a_fitted_map_is_calibrated_on_new_scores_of_the_same_kind() -> None:
    rng = np.random.default_rng(3)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        present = rng.random(n) < 0.3
        return rng.normal(2.0 * present, 1), present

    scores, present = draw(400)
    fitted = Map(**fit_map(list(scores), list(present), "made by hand"))
    new, truth = draw(4000)
    chances = np.array([fitted.chance(float(s))[0] for s in new])
    for low, high in ((0, 0.2), (0.2, 0.6), (0.6, 1.0)):
        inside = (chances >= low) & (chances < high)
        assert abs(chances[inside].mean() - truth[inside].mean()) < 0.08
    value, low, high = fitted.chance(1.0)
    assert low < value < high


def test_perfectly_separated_scores_still_give_a_finite_map() -> None:
    fitted = Map(**fit_map([0.0, 0.1, 5.0, 6.0], [False, False, True, True], "made by hand"))
    assert 0 < fitted.slope < 10
    assert 0.5 < fitted.chance(6.0)[0] < 1


def test_no_evidence_is_no_confidence_and_the_order_of_strategies_does_not_matter() -> None:
    assert confidence("bias", None, ["sampling"], 0).value is None
    assert key_of(["b", "a"]) == key_of(["a", "b"])
