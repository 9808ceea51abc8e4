"""Trust against the product of confusion matrices, and against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from stepladder.core import Finding, Measurement
from stepladder.loop.trust import Channel, chain_trust, channel


def test_a_chain_is_the_product_of_the_confusion_matrices() -> None:
    rates = [(0.9, 0.8), (0.7, 0.95), (0.99, 0.6)]
    product = np.eye(2)
    for sensitivity, specificity in rates:
        product = product @ np.array([[specificity, 1 - specificity], [1 - sensitivity, sensitivity]])
    trust = chain_trust([Channel(a, b, 50, 50) for a, b in rates])
    assert trust.value == pytest.approx((product[0, 0] + product[1, 1]) / 2)


def test_a_chain_of_noisy_verdicts_is_right_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    truth = random.random(200_000) < 0.5
    says = truth
    for sensitivity, specificity in ((0.9, 0.8), (0.75, 0.95)):
        right = np.where(says, random.random(len(says)) < sensitivity, random.random(len(says)) < specificity)
        says = np.where(right, says, ~says)
    trust = chain_trust([Channel(0.9, 0.8, 9, 9), Channel(0.75, 0.95, 9, 9)])
    assert trust.value == pytest.approx((says == truth).mean(), abs=0.005)


def test_trust_falls_up_the_chain_and_ends_at_a_coin() -> None:
    link = Channel(0.9, 0.9, 100, 100)
    values = [chain_trust([link] * k).value for k in (1, 2, 5, 60)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(0.5, abs=1e-3)


def test_one_coin_in_the_chain_makes_the_whole_a_coin() -> None:
    assert chain_trust([Channel(1.0, 1.0, 90, 90), Channel(0.5, 0.5, 90, 90)]).value == pytest.approx(0.5)


def test_the_interval_of_one_helper_covers_its_true_accuracy() -> None:
    random, covered = np.random.default_rng(0), 0
    for _ in range(300):
        a, b = random.binomial(40, 0.85) / 40, random.binomial(60, 0.7) / 60
        interval = chain_trust([Channel(a, b, 40, 60)]).interval
        assert interval is not None
        covered += interval.low <= (0.85 + 0.7) / 2 <= interval.high
    assert covered / 300 >= 0.92


def test_few_items_make_a_wide_interval_even_when_all_are_right() -> None:
    few, many = (chain_trust([Channel(1.0, 1.0, n, n)]).interval for n in (5, 500))
    assert few is not None
    assert many is not None
    assert few.low < 0.9 < 0.99 < many.low


def test_an_unmeasured_helper_leaves_the_chain_unmeasured() -> None:
    trust = chain_trust([Channel(1.0, 1.0, 50, 50), None])
    assert trust.value is None
    assert "1 of 2 helpers unmeasured" in (trust.reason or "")
    assert chain_trust([]).value is None


def test_a_helper_check_with_an_unmeasured_rate_is_no_channel() -> None:
    def right(name: str, value: float | None) -> Measurement:
        reason = None if value is not None else "no verdicts"
        return Measurement(name=name, value=value, unit="share", n=9, reason=reason, labels={"defect": "none"})

    def finding(*measurements: Measurement) -> Finding:
        return Finding(method="helper_check", family="loop", subject="s", record="r", measurements=measurements)

    assert channel(finding(right("helper_sensitivity", None), right("helper_specificity", 0.5))) is None
    assert channel(finding(right("helper_sensitivity", 0.9), right("helper_specificity", 0.5))) == Channel(0.9, 0.5, 9, 9)
