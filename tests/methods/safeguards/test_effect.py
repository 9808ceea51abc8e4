from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.methods.safeguards.conftest import exchange

from stepladder.core import Exchange, Verdict
from stepladder.methods.safeguards import effect
from stepladder.methods.safeguards.discrimination import added_compute, discriminations, ratio_measurement
from stepladder.methods.safeguards.effect import Row
from stepladder.stats import JudgeErrors, auroc


def row(kind: str, behaviour: str, family: str, success: float | None, blocked: bool, **more: Any) -> Row:
    refusal = None if success is None else 1 - success
    made = exchange(kind, behaviour, "r", family, "r", blocked=blocked, blocked_tfidf=False, fold=family, **more)
    return Row(made, success, refusal)


def some_rows(seed: int = 0) -> list[Row]:
    rng = random.Random(seed)
    rows = [
        row("harmful", f"b{b}", family, rng.choice([0.0, 1.0, 1.0, None if family == "tale" else 1.0]), rng.random() < 0.5)
        for b in range(30)
        for family in ("none", "tale", "rules")
    ]
    return rows + [row("twin", f"b{b}", "none", 1.0, b == 3) for b in range(30)]


outcome = st.tuples(st.sampled_from([0.0, 1.0]), st.booleans())


@given(st.lists(outcome, min_size=2, max_size=12))
def test_random_refusals_are_expected_to_leave_what_all_random_draws_leave_on_average(
    outcomes: list[tuple[float, bool]],
) -> None:
    rows = [row("harmful", f"b{i}", "tale", success, blocked) for i, (success, blocked) in enumerate(outcomes)]
    before = np.array([success for success, _ in outcomes])
    rate = np.mean([blocked for _, blocked in outcomes])
    masks = (np.arange(2 ** len(rows))[:, None] >> np.arange(len(rows))) & 1
    chances = np.prod(np.where(masks == 1, rate, 1 - rate), axis=1)
    brute = float(chances @ ((1 - masks) @ before) / len(rows))
    values = effect.success_values(rows, "after_random")
    assert np.mean([value for value in values if value is not None]) == pytest.approx(brute)


def test_a_block_is_measured_and_harmless_and_what_was_not_measured_stays_so() -> None:
    rows = [
        row("harmful", "a", "x", None, True),
        row("harmful", "b", "x", None, False),
        row("harmful", "c", "x", 1.0, False),
    ]
    assert effect.success_values(rows, "before") == [None, None, 1.0]
    assert effect.success_values(rows, "after") == [0.0, None, 1.0]
    assert effect.success_values(rows, "after_tfidf") == [None, None, 1.0]
    assert effect.refusal_values(rows, "after", 0.0)[0] == 1.0


def test_the_change_is_the_paired_difference_with_the_random_defence_beside_it() -> None:
    rows = some_rows()
    changes = {m.labels["family"]: m for m in effect.success_changes(rows)}
    rules = effect.where(rows, family="rules")
    before = np.mean([r.success for r in rules])
    after = np.mean([0.0 if r.blocked("after") else r.success for r in rules])
    assert changes["rules"].value == pytest.approx(after - before)
    assert changes["rules"].n == 30
    assert changes["rules"].baseline is not None
    assert changes["rules"].baseline.value == pytest.approx(-effect.block_rate(rules) * before)


def test_all_means_all_attacks_without_the_direct_requests() -> None:
    families = effect.by_family(some_rows())
    assert list(families) == ["all", "none", "tale", "rules"]
    assert {r.tag("family") for r in families["all"]} == {"tale", "rules"}


def test_a_defence_that_blocks_nothing_changes_nothing() -> None:
    rows = [row("harmful", f"b{i}", "tale", float(i % 2), False) for i in range(20)]
    rates = {m.labels["condition"]: m for m in effect.success_rates(rows, None) if m.labels["family"] == "tale"}
    assert {m.value for m in rates.values()} == {0.5}
    (change,) = [m for m in effect.success_changes(rows) if m.labels["family"] == "tale"]
    assert change.value == 0.0


def test_the_judges_errors_are_taken_out_of_what_got_through_only() -> None:
    rows = [row("harmful", f"b{i}", "tale", float(i % 4 != 0), i < 40) for i in range(80)]
    errors = JudgeErrors(true_positive=90, false_negative=10, true_negative=80, false_positive=20)
    after = next(m for m in effect.success_rates(rows, errors) if m.labels == {"condition": "after", "family": "tale"})
    assert after.corrected is not None
    through = (0.75 + 0.8 - 1) / (0.9 + 0.8 - 1)  # Rogan and Gladen's point for the 40 rows that passed
    assert after.corrected.value == pytest.approx(through / 2)
    everything_blocked = [row("harmful", f"b{i}", "tale", 1.0, True) for i in range(9)]
    after = next(m for m in effect.success_rates(everything_blocked, errors) if m.labels["condition"] == "after")
    assert (after.value, after.corrected) == (0.0, None)


def test_verdicts_without_labels_are_read_by_their_value_and_off_topic_is_no_refusal() -> None:
    exchanges = [exchange("twin", name, "r", "none", "r", split="test") for name in "abcd"]

    def verdict(e: Exchange, value: float, label: str) -> Verdict:
        return Verdict(exchange=e.id, judge="j", value=value, label=label)

    given_ = [
        verdict(exchanges[0], 0.0, ""),
        verdict(exchanges[1], 0.0, "off_topic"),
        verdict(exchanges[2], 1.0, "complied"),
    ]
    from stepladder.core import Record

    record = Record(key="k", method="m", family="f", subject="s", exchanges=tuple(exchanges))
    assert [r.refusal for r in effect.rows_of(record, given_)] == [1.0, 0.0, 0.0, None]


def test_calibration_exchanges_are_not_tested() -> None:
    from stepladder.core import Record

    exchanges = tuple(
        exchange("twin", name, "r", "none", "r", split=split) for name, split in (("a", "test"), ("b", "calibration"))
    )
    record = Record(key="k", method="m", family="f", subject="s", exchanges=exchanges)
    assert [r.behaviour for r in effect.rows_of(record, [])] == ["a"]


def test_discrimination_uses_the_scores_of_the_fold_that_never_saw_the_family() -> None:
    rows = [row("harmful", f"b{i}", "tale", 1.0, False, score_tfidf_input=float(i)) for i in range(10)]
    rows += [row("twin", f"t{i}", "none", 1.0, False, score_tfidf_input=99.0) for i in range(10)]
    ids = {r.exchange.id: float(i) + 4.5 for i, r in enumerate(rows[10:])}
    harmless = {
        "tale": {name: {"tfidf_input": score} for name, score in ids.items()},
        "final": {name: {"tfidf_input": 99.0} for name in ids},
    }
    found = [m for m in discriminations(rows, harmless) if m.name == "auroc"]
    expected = auroc([*map(float, range(10)), *ids.values()], [1] * 10 + [0] * 10)
    assert [m.labels["classifier"] for m in found] == ["tfidf_input"]
    assert expected is not None
    assert found[0].value == pytest.approx(expected.value)
    assert found[0].baseline is not None
    assert (found[0].baseline.name, found[0].baseline.value) == ("chance", 0.5)


def test_a_ratio_of_sums_covers_the_truth_as_often_as_it_says() -> None:
    rng, kept, runs = np.random.default_rng(0), 0, 400
    for _ in range(runs):
        below = rng.gamma(20, size=25)
        above = 0.1 * below * rng.gamma(10, 0.1, size=25)
        interval = ratio_measurement("x", above.tolist(), below.tolist(), {}, "").interval
        assert interval is not None
        kept += interval.low <= 0.1 <= interval.high
    assert abs(kept / runs - 0.95) < 4 * np.sqrt(0.95 * 0.05 / runs)


def test_a_subject_without_timings_leaves_the_added_compute_unmeasured() -> None:
    chunk = {"tfidf_input": 0.5, "tfidf_exchange": 0.5, "probe_input": 2.0, "probe_exchange": 4.0, "flagged": 0.25}
    assert [m.value for m in added_compute([{**chunk, "generation": 0.0}], probes=True)] == [None] * 4
    timed = {m.labels["stage"]: m.value for m in added_compute([{**chunk, "generation": 10.0}] * 2, probes=True)}
    assert timed == pytest.approx({"tfidf": 0.1, "screen": 0.2, "cascade": 0.325, "all_on_all": 0.7})
    plain = {**chunk, "probe_input": 0.0, "probe_exchange": 0.0, "generation": 10.0}
    timed = {m.labels["stage"]: m.value for m in added_compute([plain] * 2, probes=False)}
    assert timed == pytest.approx({"tfidf": 0.1, "screen": 0.05, "cascade": 0.0625, "all_on_all": 0.1})
