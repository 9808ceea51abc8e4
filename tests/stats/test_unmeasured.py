import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepladder.core import Baseline, Measurement
from stepladder.stats import (
    JudgeErrors,
    clustered_rate,
    difference_measurement,
    paired_difference,
    rate_measurement,
    rogan_gladen,
)

JUDGE = JudgeErrors(45, 5, 40, 10)
outcomes = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, 1.0, None])), max_size=40)


def test_a_rate_is_the_clustered_rate_of_what_was_measured():
    measurement = rate_measurement("asr", [1, 0, 0, None, 1, 0, 1, 1], list("aabbccdd"), labels={"family": "all"})
    expected = clustered_rate([1, 0, 0, 1, 0, 1, 1], list("aabccdd"))
    assert (measurement.value, measurement.interval, measurement.n) == (expected.value, expected.interval, 4)
    assert (measurement.unmeasured, measurement.labels) == (1, {"family": "all"})
    assert (
        measurement.note
        == "1 of 8 unmeasured: worst-case bounds, counting all as failures or all as successes, are [0.500, 0.625]"
    )


def test_above_the_limit_there_is_a_reason_and_no_value():
    measurement = rate_measurement(
        "asr", [None] * 31 + [0] * 9, list(range(40)), baseline=Baseline(name="direct", value=0.1)
    )
    assert (measurement.value, measurement.interval, measurement.n, measurement.unmeasured) == (None, None, 9, 31)
    assert measurement.reason == "31 of 40 unmeasured (limit 20%)"
    assert measurement.baseline.value == 0.1


@pytest.mark.parametrize(("unmeasured", "has_value"), [(8, True), (9, False)])
def test_the_limit_itself_is_still_allowed(unmeasured, has_value):
    values = [None] * unmeasured + [0] * (40 - unmeasured)
    assert (rate_measurement("asr", values, list(range(40))).value is not None) == has_value


def test_nothing_or_nothing_measured_is_said_whatever_the_limit():
    assert rate_measurement("asr", [], []).reason == "nothing to measure"
    assert rate_measurement("asr", [None], ["a"], max_unmeasured=1).reason == "1 of 1 unmeasured (limit 100%)"
    assert difference_measurement("change", [], [], []).reason == "nothing to measure"


def test_the_judges_errors_are_taken_out_with_their_uncertainty():
    values = [1.0] * 30 + [0.0] * 70
    corrected = rate_measurement("asr", values, list(range(100)), errors=JUDGE).corrected
    expected = rogan_gladen(30, 100, JUDGE)
    assert corrected.value == pytest.approx(expected.value)
    assert corrected.interval.low == pytest.approx(expected.interval.low, abs=1e-6)
    assert corrected.note == "judge against people: sensitivity 45/50, specificity 40/50"
    clustered = rate_measurement("asr", values, [i // 10 for i in range(100)], errors=JUDGE).corrected
    assert clustered.interval.high > corrected.interval.high


@pytest.mark.parametrize(
    ("values", "errors", "text"),
    [
        ([0.5, 1, 0], JUDGE, "graded"),
        ([1, 1, 0], JudgeErrors(5, 5, 0, 0), "lacks a class"),
        ([1, 1, 0], JudgeErrors(5, 5, 5, 5), "no better than chance"),
    ],
)
def test_where_the_errors_cannot_be_taken_out_the_corrected_rate_says_why(values, errors, text):
    for measurement in (
        rate_measurement("asr", values, list("abc"), errors=errors),
        difference_measurement("change", values, values, list("abc"), errors=errors),
    ):
        assert measurement.value is not None
        assert measurement.corrected.value is None
        assert text in measurement.corrected.reason


def test_a_single_cluster_has_values_without_intervals():
    measurement = rate_measurement("asr", [1, 0, 1], list("aaa"), errors=JUDGE)
    assert (measurement.interval, measurement.corrected.interval, measurement.n) == (None, None, 1)
    change = difference_measurement("change", [1, 0], [0, 0], list("aa"), errors=JUDGE)
    assert change.interval is None
    assert "single cluster" in change.corrected.reason


def test_a_difference_pairs_what_was_measured_on_both_sides():
    before, after = [1, 1, None, 0, 1, 1, 1, 1, 0, 1], [0, 1, 0, 0, None, 0, 0, 1, 0, 0]
    measurement = difference_measurement("change", before, after, list("aabbccddee"))
    expected = paired_difference([1, 1, 0, 1, 1, 1, 0, 1], [0, 1, 0, 0, 0, 1, 0, 0], list("aabcddee"))
    assert (measurement.value, measurement.interval, measurement.n) == (expected.value, expected.interval, 5)
    assert measurement.unmeasured == 2
    assert f"paired sign-flip test p = {expected.p_value:.2g}" in measurement.note
    assert "[-0.600, -0.400]" in measurement.note


def test_a_difference_above_the_limit_says_so():
    measurement = difference_measurement("change", [None, 1, 1], [1, 1, None], list("abc"))
    assert measurement.reason == "2 of 3 pairs unmeasured (limit 20%)"


@given(outcomes, st.sampled_from([0, 0.2, 1]), st.sampled_from([None, JUDGE]))
def test_every_outcome_is_a_valid_measurement_that_survives_json(rows, limit, errors):
    values, clusters = [v for _, v in rows], [str(c) for c, _ in rows]
    for measurement in (
        rate_measurement("asr", values, clusters, max_unmeasured=limit, errors=errors),
        difference_measurement("change", values, values[::-1], clusters, max_unmeasured=limit, errors=errors),
    ):
        assert Measurement.from_json(measurement.to_json()) == measurement


@given(outcomes)
def test_the_worst_case_bounds_contain_every_way_the_unmeasured_could_have_gone(rows):
    values, clusters = [v for _, v in rows], [c for c, _ in rows]
    measurement = rate_measurement("asr", values, clusters, max_unmeasured=1)
    if measurement.value is not None and measurement.unmeasured:
        low, high = json.loads(measurement.note.rsplit("are ")[-1])
        for guess in (0.0, 1.0):
            filled = [guess if v is None else v for v in values]
            assert low - 5e-4 <= sum(filled) / len(filled) <= high + 5e-4
        assert low - 5e-4 <= measurement.value <= high + 5e-4


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="values 1, clusters 2"):
        rate_measurement("asr", [1], ["a", "b"])
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        rate_measurement("asr", [2, None], ["a", "b"])
    with pytest.raises(ValueError, match="max_unmeasured"):
        rate_measurement("asr", [1], ["a"], max_unmeasured=20)
    with pytest.raises(ValueError, match="values 2, clusters 1"):
        difference_measurement("change", [1, 0], [1, 1], ["a"])
