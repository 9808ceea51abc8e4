"""The whole interval decides; what is unmeasured speaks for nothing; the least favourable line counts."""

from __future__ import annotations

from stepladder.core import Finding, Interval, Measurement
from stepladder.loop.portfolio import Mark, portfolio

RISK = Mark("attacks fail?", "find", "rate", {}, 0.1, 0.5)
TRUST = Mark("trusted?", "find", "trust", {}, 0.9, 0.6)


def measured(name: str, value: float, low: float, high: float) -> Measurement:
    return Measurement(name=name, value=value, unit="share", n=9, interval=Interval(low=low, high=high, method="exact"))


def supports(*measurements: Measurement, marks: tuple[Mark, ...] = (RISK, TRUST)) -> str:
    finding = Finding(method="m", family="f", subject="s", record="r", measurements=measurements)
    return portfolio({"find": finding}, marks).supports


def test_good_evidence_throughout_is_optimistic() -> None:
    assert supports(measured("rate", 0.05, 0.01, 0.1), measured("trust", 0.95, 0.9, 0.99)) == "optimistic"


def test_a_good_value_with_a_wide_interval_is_not() -> None:
    assert supports(measured("rate", 0.05, 0.01, 0.2), measured("trust", 0.95, 0.9, 0.99)) == "intermediate"


def test_one_line_that_is_bad_beyond_doubt_is_enough() -> None:
    assert supports(measured("rate", 0.7, 0.5, 0.9), measured("trust", 0.95, 0.9, 0.99)) == "pessimistic"
    assert supports(measured("rate", 0.05, 0.01, 0.1), measured("trust", 0.4, 0.2, 0.6)) == "pessimistic"


def test_what_is_unmeasured_never_makes_the_rest_optimistic() -> None:
    assert supports(measured("rate", 0.05, 0.01, 0.1)) == "undecided"
    no_interval = Measurement(name="trust", value=1.0, unit="share", n=1)
    assert supports(measured("rate", 0.05, 0.01, 0.1), no_interval) == "undecided"
    assert supports(measured("rate", 0.7, 0.5, 0.9)) == "pessimistic"


def test_every_line_says_what_would_change_it() -> None:
    found = portfolio({}, (RISK, TRUST))
    assert [vote.supports for vote in found.votes] == ["undecided", "undecided"]
    assert "<= 0.1" in found.votes[0].change
    assert ">= 0.9" in found.votes[1].change
    assert all("not measured in this run" in vote.change for vote in found.votes)
