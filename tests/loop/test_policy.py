"""A gate opens only on a measured bound: missing, unmeasured and ambiguous measurements keep it shut."""

from __future__ import annotations

import pytest

from stepladder.core import Finding, Interval, Measurement
from stepladder.data import Gate, ReleasePolicy
from stepladder.loop import check_policy


def rate(value: float | None, low: float = 0.0, high: float = 1.0, **labels: str) -> Measurement:
    if value is None:
        return Measurement(name="rate", value=None, unit="share", n=9, reason="8 of 9 unmeasured", labels=labels)
    interval = Interval(low=low, high=high, method="wilson")
    return Measurement(name="rate", value=value, unit="share", n=9, interval=interval, labels=labels)


def decide(bound: str, limit: float, *measurements: Measurement, labels: dict[str, str] | None = None) -> bool | None:
    policy = ReleasePolicy("p", "l", (Gate("gate", "rate", bound, limit, labels or {}),))
    finding = Finding(method="m", family="f", subject="s", record="r", measurements=measurements)
    (result,) = check_policy(policy, {"stage": finding})
    return result.passed


@pytest.mark.parametrize(
    ("bound", "limit", "passed"),
    [("upper", 0.3, True), ("upper", 0.29, False), ("lower", 0.1, True), ("lower", 0.11, False)],
)
def test_the_bound_decides_and_not_the_value(bound: str, limit: float, passed: bool) -> None:
    assert decide(bound, limit, rate(0.2, 0.1, 0.3)) is passed


def test_a_missing_measurement_keeps_the_gate_shut() -> None:
    assert decide("upper", 1.0) is None


def test_an_unmeasured_one_keeps_the_gate_shut_however_wide_the_limit() -> None:
    assert decide("upper", 1.0, rate(None)) is None


def test_a_value_without_an_interval_keeps_the_gate_shut() -> None:
    assert decide("upper", 1.0, Measurement(name="rate", value=0.0, unit="share", n=1)) is None


def test_two_that_match_keep_the_gate_shut() -> None:
    both = rate(0.2, 0.1, 0.3, family="a"), rate(0.2, 0.1, 0.3, family="b")
    assert decide("upper", 1.0, *both) is None
    assert decide("upper", 1.0, *both, labels={"family": "a"}) is True


def test_a_gate_that_names_a_technique_reads_no_other() -> None:
    gate = Gate("gate", "rate", "upper", 0.5, {}, method="mine")
    made = {
        name: Finding(method=name, family="f", subject="s", record="r", measurements=(rate(value, 0.0, 1.0),))
        for name, value in (("mine", 0.2), ("other", 0.9))
    }
    narrow = made["mine"].model_copy(update={"measurements": (rate(0.2, 0.1, 0.3),)})
    (result,) = check_policy(ReleasePolicy("p", "l", (gate,)), {"a": narrow, "b": made["other"]})
    assert result.passed is True
    (missing,) = check_policy(ReleasePolicy("p", "l", (gate,)), {"b": made["other"]})
    assert missing.passed is None
