from __future__ import annotations

import numpy as np
import pytest

from stepladder.methods.safeguards.cascade import (
    FLOOR,
    MOMENTS,
    Limits,
    Scale,
    cascade_scores,
    decide,
    fit_limits,
    joint,
    moment_score,
)

NAMES = ("tfidf_input", "tfidf_exchange", "probe_input", "probe_exchange")


def draw(rng: np.random.Generator, count: int, names: tuple[str, ...] = NAMES) -> dict[str, np.ndarray]:
    """Harmless scores that are correlated, as those of one text are."""
    shared = rng.normal(size=count)
    return {name: Scale(0, 1).apply(0.7 * shared + 0.7 * rng.standard_t(4, size=count)) for name in names}


@pytest.mark.parametrize("names", [NAMES, NAMES[:2]], ids=["with probes", "TF-IDF alone"])
@pytest.mark.parametrize(("rate", "size"), [(0.01, 310), (0.05, 120)])
def test_the_joint_bound_holds_as_often_as_it_says(names: tuple[str, ...], rate: float, size: int) -> None:
    rng, kept, runs = np.random.default_rng(3), 0, 200
    for _ in range(runs):
        limits = fit_limits(draw(rng, 60, names), draw(rng, size, names), rate=rate, confidence=0.95, screen_rate=0.25)
        fresh = joint(cascade_scores(draw(rng, 5000, names), limits.screens))
        assert limits.threshold is not None
        kept += float(np.mean(fresh > limits.threshold)) <= rate
    assert kept / runs >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / runs) - 0.01  # the fresh rate itself is estimated from 5,000


def test_too_few_calibration_scores_guarantee_nothing_and_block_nothing() -> None:
    rng = np.random.default_rng(4)
    limits = fit_limits(draw(rng, 60), draw(rng, 298), rate=0.01, confidence=0.95, screen_rate=0.25)
    assert limits.threshold is None
    assert decide({"input": 50.0, "exchange": 50.0}, None) is None
    assert fit_limits(draw(rng, 60), draw(rng, 299), rate=0.01, confidence=0.95, screen_rate=0.25).threshold is not None


def test_the_costly_stage_sees_only_what_the_screen_flags() -> None:
    tfidf, probe = np.array([-1.0, 0.5, 2.0]), np.array([9.0, 9.0, -9.0])
    assert moment_score(tfidf, probe, 0.5).tolist() == [FLOOR, FLOOR, -3.5]
    assert moment_score(tfidf, None, 0.5).tolist() == tfidf.tolist()


def test_the_input_stage_decides_first_and_a_tie_passes() -> None:
    assert decide({"input": 2.0, "exchange": 3.0}, 1.0) == "input"
    assert decide({"input": 1.0, "exchange": 3.0}, 1.0) == "exchange"
    assert decide({"input": 1.0, "exchange": 1.0}, 1.0) is None
    assert decide({"input": 2.0}, 1.0) == "input"


def test_scores_of_many_texts_are_clipped_and_finite() -> None:
    scale = Scale(0.0, 1e-6)
    assert scale.apply(np.array([-1e9, 0.0, 1e9])).tolist() == [-50.0, 0.0, 50.0]
    assert all(moment in Limits(dict.fromkeys(MOMENTS, 0.0), None, None).screens for moment in MOMENTS)
