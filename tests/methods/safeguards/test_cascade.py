from __future__ import annotations

import numpy as np
import pytest

from stepladder.methods.safeguards.cascade import (
    CLASSIFIERS,
    FLOOR,
    Bounds,
    Limits,
    Scale,
    ensemble_mean,
    fit_limits,
    text_only,
)

ONE_PERCENT = Bounds(rate=0.01, confidence=0.95, screen_rate=0.25)


def draw(rng: np.random.Generator, count: int, text: bool = False) -> dict[str, np.ndarray]:
    """Harmless scores that are correlated, as those of one text are, with heavy tails."""
    shared = rng.normal(size=count)
    scores = {name: Scale(0, 1).apply(0.7 * shared + 0.7 * rng.standard_t(4, size=count)) for name in CLASSIFIERS}
    return text_only(scores) if text else scores


@pytest.mark.parametrize("text", [False, True], ids=["with probes", "TF-IDF alone"])
@pytest.mark.parametrize(("rate", "size"), [(0.01, 310), (0.05, 120)])
def test_the_joint_bound_holds_as_often_as_it_says(text: bool, rate: float, size: int) -> None:
    rng, kept, runs = np.random.default_rng(3), 0, 200
    for _ in range(runs):
        limits = fit_limits(draw(rng, 60, text), draw(rng, size, text), Bounds(rate, 0.95, 0.25))
        kept += float(np.mean(limits.blocks(limits.joint(draw(rng, 5000, text))))) <= rate
    assert kept / runs >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / runs) - 0.01  # the fresh rate itself is estimated from 5,000


def test_about_the_stated_share_of_harmless_texts_reaches_the_costly_stage() -> None:
    rng = np.random.default_rng(5)
    shares = []
    for _ in range(50):
        limits = fit_limits(draw(rng, 60), draw(rng, 310), ONE_PERCENT)
        shares.append(np.mean(limits.exchange_scores(draw(rng, 1000)) > FLOOR))
    assert abs(np.mean(shares) - 0.25) < 4 * np.std(shares, ddof=1) / np.sqrt(50)


def test_too_few_calibration_scores_guarantee_nothing_and_block_nothing() -> None:
    rng = np.random.default_rng(4)
    limits = fit_limits(draw(rng, 60), draw(rng, 298), ONE_PERCENT)
    assert limits.threshold is None
    assert limits.blocks(np.array([50.0, 50.0])) == [False, False]
    assert fit_limits(draw(rng, 60), draw(rng, 299), ONE_PERCENT).threshold is not None


def test_the_costly_stage_sees_only_what_the_screen_flags_and_what_has_a_reply() -> None:
    scores = {"tfidf_input": np.array([1.0, 1, 1]), "tfidf_exchange": np.array([2.0, 2, np.nan]),
              "probe_input": np.array([-1.0, 3, 3]), "probe_exchange": np.array([6.0, 6, np.nan])}  # fmt: skip
    limits = Limits(screen=0.5, ensemble=Scale(1.0, 2.0), threshold=2.0)
    assert limits.input_scores(scores).tolist() == [-1, 3, 3]
    assert limits.exchange_scores(scores).tolist() == [FLOOR, 1.0, FLOOR]  # (mean of 1, 2, 3 and 6, less 1) / 2
    assert limits.joint(scores).tolist() == [-1, 3, 3]


def test_without_probes_tfidf_screens() -> None:
    scores = {"tfidf_input": np.array([1.0, 0.0]), "tfidf_exchange": np.array([3.0, 9.0])}
    limits = Limits(screen=0.5, ensemble=Scale(0.0, 1.0), threshold=None)
    assert limits.input_scores(scores).tolist() == [1, 0]
    assert limits.exchange_scores(scores).tolist() == [2, FLOOR]


def test_a_tie_with_the_threshold_passes() -> None:
    limits = Limits(screen=0.0, ensemble=Scale(0.0, 1.0), threshold=2.0)
    assert limits.blocks(np.array([1.9, 2.0, 2.000001])) == [False, False, True]


def test_standardised_scores_are_clipped_and_the_order_of_classifiers_does_not_matter() -> None:
    assert Scale(0.0, 1e-6).apply(np.array([-1e9, 0.0, 1e9])).tolist() == [-50.0, 0.0, 50.0]
    scores = draw(np.random.default_rng(6), 100)
    backwards = dict(reversed(list(scores.items())))
    assert ensemble_mean(backwards).tolist() == ensemble_mean(scores).tolist()
