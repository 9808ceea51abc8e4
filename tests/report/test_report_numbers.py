import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepladder.core import Baseline, Interval, Measurement
from stepladder.report.numbers import baseline_text, full_text, interval, number, value_text


def measurement(value: float | None, unit: str = "share", **more: object) -> Measurement:
    reason = "the judge refused" if value is None else None
    return Measurement.model_validate({"name": "m", "value": value, "unit": unit, "n": 12, "reason": reason, **more})


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.4125, "share", "41.2%"),
        (0.0, "share", "0.0%"),
        (-1e-9, "share", "0.0%"),
        (0.5, "share of behaviours", "50.0%"),
        (0.93149, "share of pairs", "0.931"),
        (-0.305, "points", "−30.5 points"),
        (0.02, "points", "+2.0 points"),
        (2.214, "queries", "2.21 queries"),
        (12345.0, "queries", "12,345 queries"),
        (-0.42, "exponent of k", "−0.42 exponent of k"),
        (2e-7, "seconds", "2.00e−07 seconds"),
    ],
)
def test_numbers_are_written_in_their_unit(value: float, unit: str, text: str) -> None:
    assert number(value, unit) == text


def test_an_interval_says_its_level_only_where_it_is_unusual() -> None:
    assert interval(Interval(low=0.1, high=0.2, method="Wilson"), "share") == "[10.0, 20.0]"
    assert interval(Interval(low=0.1, high=0.2, level=0.9, method="Wilson"), "share") == "[10.0, 20.0] at 90%"
    assert interval(None, "share") == "no interval"


@given(st.sampled_from(["share", "points", "queries", "share of pairs"]))
def test_an_unmeasured_value_shows_its_reason_and_no_number_in_its_place(unit: str) -> None:
    m = measurement(None, unit, unmeasured=5)
    assert value_text(m) == "unmeasured: the judge refused"
    assert full_text(m) == "unmeasured: the judge refused (n = 12, 5 unmeasured)"


@given(st.floats(0, 1), st.floats(0.001, 0.2))
def test_every_measurement_in_words_has_its_interval_and_its_n(value: float, half: float) -> None:
    text = full_text(measurement(value, interval=Interval(low=value - half, high=value + half, method="t")))
    assert re.fullmatch(r"\d+\.\d% \[−?\d+\.\d, \d+\.\d\] \(n = 12\)", text)


def test_a_baseline_that_was_not_measured_says_so() -> None:
    assert baseline_text(Baseline(name="direct", value=None), "share") == "direct: unmeasured"
    assert baseline_text(Baseline(name="direct", value=0.4), "share") == "direct: 40.0% no interval"
    assert baseline_text(None, "share") == "none"
