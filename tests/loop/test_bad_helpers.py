"""Planted defects are noticed, honest helpers are not accused, and the counts of labels agree with simulation."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

from stepladder.loop.bad_helpers import (
    Judged,
    _misses_more,
    blind,
    error_after_flips,
    flip,
    labels_for_width,
    labels_to_notice,
    notice,
    pass_own_kind,
    power,
)
from stepladder.stats import ppi_mean

CATEGORIES = [f"c{i}" for i in range(12)]
USUAL = 0.05


@pytest.fixture(autouse=True, scope="module")
def no_collections() -> Iterator[None]:
    """statsmodels collects garbage at every call, which takes a second once a test process is large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "collect", lambda *_: 0)
        yield


def honest(seed: int, error: float = USUAL, per_cell: int = 6) -> list[Judged]:
    draw = random.Random(seed)
    return [
        Judged(truth, truth != (draw.random() < error), category, author, f"{category}{unit}")
        for category in CATEGORIES
        for unit in range(per_cell)
        for truth in (True, False)
        for author in ("own", "other")
    ]


def test_an_honest_helper_is_rarely_accused() -> None:
    accused = sum(bool(notice(honest(seed), USUAL).noticed) for seed in range(200))
    assert accused / 200 <= 0.08


@pytest.mark.parametrize(
    ("defect", "test"),
    [
        (lambda items: flip(items, 0.2), "more errors than calibrated"),
        (lambda items: blind(items, "c3"), "misses more in c3"),
        (pass_own_kind, "misses more of its own kind"),
    ],
)
def test_each_defect_is_noticed_by_the_test_that_is_made_for_it(defect: object, test: str) -> None:
    assert callable(defect)
    found = sum(test in notice(defect(honest(seed)), USUAL).noticed for seed in range(40))
    assert found >= 36


def test_the_test_for_more_misses_is_fishers() -> None:
    for seed in range(10):
        items = [item for item in blind(honest(seed), "c3") if item.truth]
        inside = [item.category == "c3" for item in items]
        table = [[sum(bool(i.wrong) is w and h is here for i, h in zip(items, inside, strict=True)) for w in (True, False)]
                 for here in (True, False)]  # fmt: skip
        assert _misses_more(items, inside) == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue)


def test_defects_change_only_what_they_say() -> None:
    items = honest(0, error=0.0)
    assert [i for i in blind(items, "c3") if i.wrong] == [i for i in blind(items, "c3") if i.truth and i.category == "c3"]
    assert all(i.author == "own" and i.truth for i in pass_own_kind(items) if i.wrong)
    assert flip(items, 0.0) == items
    assert all(i.wrong for i in flip(items, 1.0))


def test_an_unmeasured_verdict_stays_unmeasured_and_is_not_tested() -> None:
    silent = [Judged(True, None, "c0", "own", "u")]
    assert flip(silent, 1.0) == blind(silent, "c0") == pass_own_kind(silent) == silent
    assert notice(silent, USUAL).noticed == ()


def test_error_after_flips_agrees_with_flipping() -> None:
    wrong = [item.wrong for seed in range(30) for item in flip(honest(seed), 0.3, seed)]
    assert np.mean(wrong) == pytest.approx(error_after_flips(USUAL, 0.3), abs=0.02)


@pytest.mark.parametrize(("q", "labels"), [(0.05, 100), (0.1, 60), (0.2, 30)])
def test_power_agrees_with_simulated_binomial_tests(q: float, labels: int) -> None:
    counts = np.random.default_rng(0).binomial(labels, error_after_flips(USUAL, q), 2000)
    rejected = [stats.binomtest(int(c), labels, USUAL, alternative="greater").pvalue < 0.05 for c in counts]
    assert power(q, USUAL, labels) == pytest.approx(np.mean(rejected), abs=0.03)


def test_the_count_of_labels_is_the_first_that_is_enough_from_then_on() -> None:
    needed = labels_to_notice(0.1, USUAL)
    assert needed is not None
    assert all(power(0.1, USUAL, n) >= 0.8 for n in range(needed, needed + 20))
    assert any(power(0.1, USUAL, n) < 0.8 for n in range(needed - 1, needed + 19))


def test_smaller_flips_take_more_labels_and_none_can_never_be_noticed() -> None:
    counts = [labels_to_notice(q, USUAL) for q in (0.3, 0.1, 0.03)]
    assert None not in counts
    assert counts == sorted(counts)  # type: ignore[type-var]
    assert labels_to_notice(0.0, USUAL) is None


def test_labels_for_width_give_about_that_width_in_simulation() -> None:
    random_ = np.random.default_rng(1)
    needed = labels_for_width(0.3, 0.1, 0.05, 2000)
    assert needed is not None
    halves = []
    for _ in range(60):
        truth = (random_.random(2000 + needed) < 0.3).astype(float)
        said = np.where(random_.random(len(truth)) < 0.1, 1 - truth, truth)
        interval = ppi_mean(truth[:needed], said[:needed], said[needed:]).interval
        assert interval is not None
        halves.append((interval.high - interval.low) / 2)
    assert np.mean(halves) == pytest.approx(0.05, rel=0.1)


def test_a_coin_for_a_helper_saves_no_label() -> None:
    coin = labels_for_width(0.3, 0.5, 0.05, 5000)
    assert coin == pytest.approx(0.21 * (1.96 / 0.05) ** 2, rel=0.03)
    better = labels_for_width(0.3, 0.02, 0.05, 5000)
    assert better is not None
    assert better < 0.5 * (coin or 0)
