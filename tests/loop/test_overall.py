"""The rung as a whole: paired on the requests that every step was asked, and nothing made up where a stage is missing."""

from __future__ import annotations

import pytest

from stepladder.calibration import Calibration, Group
from stepladder.core import Exchange, Finding, Measurement, Message, Record, Reply, Request, Verdict
from stepladder.loop.measure import Measured
from stepladder.loop.overall import attack_change, audit_sensitivity, overall

TRUST = Measurement(name="trust", value=None, unit="share", n=0, reason="made up")
SENSITIVITY = Measurement(name="audit_sensitivity", value=None, unit="share", n=0, reason="made up")


def exchange(behaviour: int, attack: str, kind: str = "harmful") -> Exchange:
    request = Request(
        id=f"{kind}/{behaviour}/{attack}",
        messages=(Message(role="user", content="x"),),
        metadata={"kind": kind, "behaviour": f"b{behaviour}", "attack": attack, "family": f"f-{attack}"},
    )
    return Exchange(request=request, reply=Reply(text="y"))


def measured(successes: dict[str, float | None], name: str = "toy") -> Measured:
    """A stage of two attacks on ten behaviours; `successes` by exchange id, 0 where not named."""
    harmful = (exchange(b, a) for b in range(10) for a in ("one", "two"))
    exchanges = (*harmful, exchange(0, "direct", "twin"))
    verdicts = tuple(
        Verdict(exchange=e.id, judge="j", value=v) if (v := successes.get(e.id, 0.0)) is not None
        else Verdict(exchange=e.id, judge="j", unmeasured="r")
        for e in exchanges
    )  # fmt: skip
    rate = Measurement(name="attack_success_rate", value=0.5, unit="share", n=10)
    finding = Finding(method="attack_library", family="red_teaming", subject=name, record=name, measurements=(rate,))
    record = Record(key=name, method="attack_library", family="f", subject=name, exchanges=exchanges)
    return Measured(record, verdicts, finding)


def everything() -> dict[str, float | None]:
    return {f"harmful/{b}/{a}": 1.0 for b in range(10) for a in ("one", "two")}


def test_the_change_is_paired_and_behaviours_are_its_units() -> None:
    before = measured(everything())
    after = measured({f"harmful/{b}/one": 1.0 for b in range(10)})
    change = attack_change(before, after, {})
    assert (change.value, change.n) == (-0.5, 10)


def test_a_pair_with_one_side_unmeasured_is_counted_and_left_out() -> None:
    after = everything() | {"harmful/0/one": None, "harmful/1/one": None}
    change = attack_change(measured(everything()), measured(after), {})
    assert (change.value, change.unmeasured) == (0.0, 2)


def test_harmless_requests_are_no_part_of_the_change() -> None:
    before = measured({"twin/0/direct": 1.0})
    assert attack_change(before, measured({}), {}).value == 0.0


def test_steps_are_those_that_were_made_and_the_rest_is_not_invented() -> None:
    whole = overall({"find": measured({}), "find_again": measured({}, "guarded")}, (TRUST, SENSITIVITY))
    assert [m.labels["step"] for m in whole.select("attack_success_by_step")] == ["subject", "guarded"]
    changes = whole.select("attack_success_change_by_step")
    assert [m.labels for m in changes if "family" not in m.labels] == [{"from": "subject", "to": "guarded"}]
    assert [m.labels["family"] for m in changes if "family" in m.labels] == ["f-one", "f-two"]
    assert whole.one("capability_change").value is None


def calibration(*groups: Group, method: str = "investigator", behaviour: str = "bias") -> Calibration:
    return Calibration(
        method=method, behaviour=behaviour, kinds=("k",), judge="j", version="v", groups=groups, measurements=()
    )


def test_the_audits_sensitivity_pools_behaviours_and_counts_silence_as_not_found() -> None:
    known = (
        calibration(Group(base="smollm2", dose=1, found=3, missed=1, unmeasured=2, false_alarms=1, quiet=3)),
        calibration(Group(base="smollm2", dose=1, found=1, missed=1, quiet=4), behaviour="backdoor"),
        calibration(Group(base="scratch/1m", dose=1, found=9), behaviour="false_fact"),
        calibration(Group(base="smollm2", dose=1, found=9), method="other"),
    )
    found = audit_sensitivity(known, "investigator", "smollm2")
    assert found.value == pytest.approx(4 / 8)
    assert found.n == 8
    assert found.baseline is not None
    assert found.baseline.value == pytest.approx(1 / 8)


def test_an_audit_that_was_never_calibrated_here_has_no_sensitivity() -> None:
    found = audit_sensitivity((), "investigator", "smollm2")
    assert found.value is None
    assert "never calibrated on subjects like smollm2" in (found.reason or "")
