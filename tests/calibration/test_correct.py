"""What a call is worth, against closed forms and against simulations where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from calibration_fakes import cell

from stepladder.calibration import Calibration, Group, calibrations, correct
from stepladder.calibration.correct import posterior_probability, ratio_of_betas
from stepladder.calibration.plan import version
from stepladder.core import Finding, Measurement, detection
from stepladder.judges import get_judge
from stepladder.methods import get_method


def calibrated(found: int, missed: int, alarms: int, quiet: int, base: str = "smollm2") -> Calibration:
    group = Group(base=base, dose=1.0, found=found, missed=missed, false_alarms=alarms, quiet=quiet)
    return Calibration(
        method="detector", behaviour="sycophancy", kinds=("sycophancy",), judge="refusal", version="v", groups=(group,),
        measurements=(),
    )  # fmt: skip


def finding(found: bool | None, behaviour: str = "sycophancy") -> Finding:
    reason = "the model gave nothing" if found is None else None
    m = detection(behaviour, None if found is None else 2.0, found, n=5, reason=reason)
    return Finding(method="detector", family="auditing", subject="smollm2", record="r", measurements=(m,))


def bounds(m: Measurement) -> tuple[float, float]:
    assert m.interval is not None
    return m.interval.low, m.interval.high


def test_three_of_three_found_and_three_twins_left_alone_by_hand() -> None:
    (entry,) = correct(finding(True), [calibrated(3, 0, 0, 3)], "smollm2", prior=0.1)
    assert entry.likelihood_ratio.value == pytest.approx((3.5 / 4) / (0.5 / 4))  # Jeffreys means: 7
    assert entry.posterior.value == pytest.approx(0.1 * 7 / (0.1 * 7 + 0.9))
    low, high = bounds(entry.posterior)
    assert low < 0.44 < high
    assert "found 3 of 3 organisms, 0 of 3 clean twins" in entry.posterior.note
    assert entry.posterior.baseline is not None
    assert entry.posterior.baseline.value == 0.1


def test_an_absent_call_lowers_the_probability_by_the_other_ratio() -> None:
    (entry,) = correct(finding(False), [calibrated(8, 2, 1, 9)], "smollm2", prior=0.5)
    assert entry.likelihood_ratio.value == pytest.approx((2.5 / 11) / (9.5 / 11))
    assert entry.posterior.value == pytest.approx(2.5 / 12)


def test_bounds_of_the_ratio_of_two_uniform_variables_are_the_known_ones() -> None:
    point, low, high = ratio_of_betas((1, 1), (1, 1))
    assert (point, low, high) == pytest.approx((1.0, 0.05, 20.0), rel=0.02)  # P(U/V < r) = r / 2 below 1


def test_with_much_calibration_the_posterior_is_bayes_rule() -> None:
    (entry,) = correct(finding(True), [calibrated(90_000, 10_000, 20_000, 80_000)], "smollm2", prior=0.25)
    exact = 0.25 * 0.9 / (0.25 * 0.9 + 0.75 * 0.2)
    assert entry.posterior.value == pytest.approx(exact, abs=1e-4)
    low, high = bounds(entry.posterior)
    assert exact - 0.01 < low < exact < high < exact + 0.01


def test_the_interval_holds_the_true_posterior_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        sensitivity, alarm = rng.beta(0.5, 0.5, 2)
        found, alarms = int(rng.binomial(6, sensitivity)), int(rng.binomial(6, alarm))
        truth = posterior_probability(0.2, sensitivity / max(alarm, 1e-12))
        (entry,) = correct(finding(True), [calibrated(found, 6 - found, alarms, 6 - alarms)], "smollm2", prior=0.2)
        low, high = bounds(entry.posterior)
        held.append(low <= truth <= high)
    assert np.mean(held) == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / 400) ** 0.5 + 0.005)


def test_the_posterior_is_as_often_right_as_it_says() -> None:
    """Among all calls that get a probability near q, a share q is of organisms."""
    rng = np.random.default_rng(1)
    said, true = [], []
    for _ in range(3000):
        sensitivity, alarm = rng.beta(0.5, 0.5, 2)
        found, alarms = int(rng.binomial(4, sensitivity)), int(rng.binomial(4, alarm))
        planted = rng.random() < 0.3
        call = bool(rng.random() < (sensitivity if planted else alarm))
        (entry,) = correct(finding(call), [calibrated(found, 4 - found, alarms, 4 - alarms)], "smollm2", prior=0.3)
        said.append(entry.posterior.value or 0.0)
        true.append(planted)
    order = np.argsort(said)
    for part in np.array_split(order, 4):
        spread = (0.25 / len(part)) ** 0.5
        assert np.mean(np.array(true)[part]) == pytest.approx(np.mean(np.array(said)[part]), abs=3.5 * spread)


def test_a_behaviour_or_base_that_was_never_calibrated_is_said_so() -> None:
    known = [calibrated(3, 0, 0, 3)]
    (other,) = correct(finding(True, "backdoor"), known, "smollm2")
    assert not other.calibrated
    assert other.posterior.value is None
    assert "never calibrated for backdoor on subjects like smollm2 (nor anywhere else)" in str(other.posterior.reason)
    (elsewhere,) = correct(finding(True), known, "gemma3-270m")
    assert not elsewhere.calibrated
    assert "never calibrated for sycophancy on subjects like gemma3-270m (only on smollm2)" in str(
        elsewhere.posterior.reason
    )


def test_organisms_without_twins_are_no_calibration() -> None:
    (entry,) = correct(finding(True), [calibrated(3, 0, 0, 0)], "smollm2")
    assert not entry.calibrated


def test_no_call_gives_no_probability_and_not_a_low_one() -> None:
    (entry,) = correct(finding(None), [calibrated(3, 0, 0, 3)], "smollm2")
    assert entry.calibrated
    assert entry.call == "unmeasured"
    assert entry.posterior.value is None
    assert entry.posterior.reason == "no call: the model gave nothing"


def test_a_finding_without_detections_has_no_entries_and_a_prior_must_be_one() -> None:
    nothing = Finding(method="detector", family="auditing", subject="s", record="r", measurements=())
    assert correct(nothing, [calibrated(1, 1, 1, 1)], "smollm2") == ()
    with pytest.raises(ValueError, match="prior"):
        correct(finding(True), [], "smollm2", prior=0.0)


def test_the_counts_at_the_reference_dose_are_the_ones_used() -> None:
    cells = [cell(i, clean, not clean, 1.0, dose=1.0) for i in range(4) for clean in (False, True)]
    cells += [cell(i, clean, False, 0.0, dose=0.1) for i in range(4) for clean in (False, True)]
    (entry,) = correct(finding(True), calibrations(cells), "smollm2")
    assert "dose 1: found 4 of 4 organisms, 0 of 4 clean twins" in entry.posterior.note


def test_a_calibration_of_other_code_says_so() -> None:
    known = calibrated(3, 0, 0, 3).model_copy(update={"method": "investigator"})
    call = finding(True).model_copy(update={"method": "investigator"})
    (entry,) = correct(call, [known], "smollm2")
    assert "measured on an earlier version of the technique" in entry.posterior.note
    current = known.model_copy(update={"version": version(get_method("investigator"), get_judge("refusal"))})
    (entry,) = correct(call, [current], "smollm2")
    assert "earlier version" not in entry.posterior.note
