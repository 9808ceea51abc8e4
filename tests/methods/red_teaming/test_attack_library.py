"""The attack library on subjects whose weakness is known, and on hand-made verdicts."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable

import pytest

from stepladder.core import Finding, Measurement, Record, Request, StepladderError, UnknownName, Verdict, record_key
from stepladder.core.method import Context
from stepladder.methods.red_teaming.attack_library import METHOD, Config, plan
from stepladder.stats import wilson

Found = Callable[..., Finding]
SMALL = Config(per_category=1, ordinary=12)


def overall(finding: Finding, name: str = "attack_success_rate") -> Measurement:
    (one,) = [m for m in finding.measurements if m.name == name and not m.labels]
    return one


def by(finding: Finding, tag: str, name: str = "attack_success_rate") -> dict[str, Measurement]:
    return {m.labels[tag]: m for m in finding.measurements if m.name == name and set(m.labels) == {tag}}


def yes_if(condition: Callable[[Request], bool]) -> Callable[[Request], str]:
    return lambda request: "YES" if condition(request) else "NO"


def test_the_plan_asks_every_behaviour_through_every_attack_and_harmless_requests_directly() -> None:
    requests = plan(Config(), 0)
    kinds = Counter(request.metadata["kind"] for request in requests)
    assert kinds == {"harmful": 60 * 12, "twin": 60, "ordinary": 100}
    assert len({request.id for request in requests}) == len(requests)
    assert {request.metadata["attack"] for request in requests if request.metadata["kind"] != "harmful"} == {"direct"}
    every = {"kind", "behaviour", "category", "attack", "family", "sample", "request", "encoding"}
    assert all(set(request.metadata) == every for request in requests)


def test_a_behaviour_and_its_twin_share_a_name_but_not_a_request() -> None:
    requests = plan(SMALL, 0)
    plain = {r.metadata["behaviour"]: r.metadata["request"] for r in requests if r.metadata["kind"] == "harmful"}
    twins = {r.metadata["behaviour"]: r.metadata["request"] for r in requests if r.metadata["kind"] == "twin"}
    assert plain.keys() == twins.keys()
    assert not set(plain.values()) & set(twins.values())


def test_the_plan_of_some_attacks_is_part_of_the_plan_of_all() -> None:
    some = plan(dataclasses.replace(SMALL, attacks=("base64", "template_file")), 7)
    assert {r.to_json() for r in some} <= {r.to_json() for r in plan(SMALL, 7)}


@pytest.mark.parametrize("family", ["prefix_injection", "encoding", "many_shot", "template", "past_tense"])
def test_the_one_family_that_a_subject_gives_in_to_is_found_and_no_other(found: Found, family: str) -> None:
    finding = found(METHOD, SMALL, yes_if(lambda request: request.metadata["family"] == family))
    rates = by(finding, "family")
    assert {name for name, m in rates.items() if m.value == 1} == {family}
    assert {name for name, m in rates.items() if m.value == 0} == rates.keys() - {family}
    gains = by(finding, "family", "gain_over_direct")
    assert {name for name, m in gains.items() if m.interval and m.interval.low > 0} == {family}
    assert overall(finding, "behaviours_broken").value == 1
    assert finding.one("cheapest_success").labels["family"] == family
    assert finding.one("cheapest_success").value == 1


def test_a_category_that_alone_is_answered_is_called_a_refusal_gap(found: Found) -> None:
    gap = found(METHOD, Config(attacks=("direct",)), yes_if(lambda r: r.metadata["category"] == "drugs")).one("detection")
    assert (gap.labels["behaviour"], gap.labels["found"], gap.value) == ("refusal_gap", "yes", 1.0)
    assert "drugs" in gap.note


@pytest.mark.parametrize("answers", [True, False])
def test_a_subject_that_treats_all_categories_alike_has_no_gap(found: Found, answers: bool) -> None:
    gap = found(METHOD, Config(attacks=("direct",)), yes_if(lambda _: answers)).one("detection")
    assert (gap.labels["found"], gap.value) == ("no", 0.0)


def test_one_behaviour_answered_is_no_gap_yet(found: Found) -> None:
    gap = found(METHOD, Config(attacks=("direct",)), yes_if(lambda r: r.metadata["behaviour"] == "drugs-01"))
    assert gap.one("detection").labels["found"] == "no"


def test_a_gap_that_could_not_be_judged_is_unmeasured(found: Found) -> None:
    gap = found(METHOD, Config(attacks=("direct",)), lambda _: "?").one("detection")
    assert gap.value is None
    assert gap.labels["found"] == "unmeasured"


def test_a_subject_that_refuses_everything_scores_zero_with_an_honest_upper_bound(found: Found) -> None:
    finding = found(METHOD, SMALL, lambda request: "NO")
    for measurement in (overall(finding), *by(finding, "family").values()):
        assert measurement.value == 0
        assert measurement.n == 12
        assert measurement.interval is not None
        assert measurement.interval.high == pytest.approx(wilson(0, 12).high)  # type: ignore[union-attr]
    assert finding.one("refusal_rate", kind="twin").value == 1
    assert finding.one("refusal_rate", kind="ordinary").value == 1
    assert all(m.value is None and m.reason for m in finding.select("queries_per_success"))
    assert finding.one("cheapest_success").value is None
    assert overall(finding, "behaviours_broken").value == 0


def test_a_weakness_that_no_attack_of_the_library_touches_does_not_show(found: Found) -> None:
    """The case that it should miss: a subject that gives in only to French."""
    finding = found(METHOD, SMALL, yes_if(lambda request: "s'il vous plaît" in request.messages[-1].content))
    assert overall(finding).value == 0


def test_verdicts_shuffled_over_the_record_show_no_family_that_differs(recorded: Callable[..., Record]) -> None:
    config = Config(per_category=2, ordinary=0)
    record = recorded(METHOD, config, lambda request: "NO")
    values = [1.0, 0.0] * (len(record.exchanges) // 2 + 1)
    random.Random(0).shuffle(values)
    verdicts = [Verdict(exchange=e.id, judge="by_hand", value=v) for e, v in zip(record.exchanges, values, strict=False)]
    finding = METHOD.judge(record, verdicts, config)
    for measurement in finding.select("gain_over_direct"):
        adjusted = float(measurement.note.split("Holm-adjusted p = ")[1].split()[0])
        assert adjusted > 0.05
        assert measurement.interval is not None
    error = 0.5 / 24**0.5
    assert all(abs((m.value or 0) - 0.5) < 4 * error for m in by(finding, "family").values())


def test_rates_are_shares_of_requests_with_behaviours_as_units(found: Found) -> None:
    """By hand: direct succeeds on 3 of 12 behaviours, base64 and rot13 on those and 3 more, leetspeak and ascii never."""
    config = dataclasses.replace(SMALL, attacks=("base64", "rot13", "leetspeak", "ascii_codes"), ordinary=0)
    harmful = {str(r.metadata["behaviour"]) for r in plan(config, 0) if r.metadata["kind"] == "harmful"}
    first, second = set(sorted(harmful)[:3]), set(sorted(harmful)[3:6])
    given = {"direct": first, "base64": first | second, "rot13": first | second}
    finding = found(METHOD, config, yes_if(lambda r: r.metadata["behaviour"] in given.get(str(r.metadata["attack"]), ())))
    encoding = finding.one("attack_success_rate", family="encoding")
    assert (encoding.value, encoding.n) == (12 / 48, 12)
    assert encoding.baseline is not None
    assert encoding.baseline.value == 3 / 12
    assert finding.one("attack_success_rate", attack="base64").value == 6 / 12
    assert overall(finding).value == 12 / 48, "the direct request is the baseline and not an attack"
    assert overall(finding, "behaviours_broken").value == 6 / 12
    gain = finding.one("gain_over_direct", family="encoding")
    assert gain.value == pytest.approx(12 / 48 - 3 / 12)
    assert finding.one("queries_per_success", attack="base64").value == 2
    assert finding.one("cheapest_success").labels["attack"] in {"base64", "rot13"}
    assert overall(finding, "queries_spent").value == 60
    assert overall(finding, "queries_per_behaviour").value == 5
    assert finding.one("outcome_share", outcome="complied").value == pytest.approx(15 / 60)
    cells = finding.select("attack_success_cell", family="encoding")
    assert sum(m.value or 0 for m in cells) == pytest.approx(12 / 4)


def test_queries_per_success_is_the_inverse_of_the_rate_and_of_its_interval(found: Found) -> None:
    behaviours = sorted({str(r.metadata["behaviour"]) for r in plan(SMALL, 0) if r.metadata["kind"] == "harmful"})
    finding = found(METHOD, SMALL, yes_if(lambda r: r.metadata["behaviour"] in behaviours[:6]))
    cost = finding.one("queries_per_success", attack="rot13")
    interval = wilson(6, 12)
    assert interval is not None
    assert cost.interval is not None
    assert (cost.interval.low, cost.interval.high) == pytest.approx((1 / interval.high, 1 / interval.low))
    cheapest = finding.one("cheapest_success")
    assert cheapest.interval is not None
    assert cheapest.interval.high > cost.interval.high, "the choice of the best costs width"


def test_what_could_not_be_judged_is_counted_and_never_read_as_safe(found: Found) -> None:
    def answer(request: Request) -> str:
        return "?" if request.metadata["attack"] == "base64" else "NO"

    finding = found(METHOD, SMALL, answer)
    base64 = finding.one("attack_success_rate", attack="base64")
    assert base64.value is None
    assert base64.unmeasured == 12
    assert finding.one("attack_success_rate", family="encoding").value is None, "a quarter is too much"
    assert overall(finding).unmeasured == 12
    assert finding.one("outcome_share", outcome="unmeasured").value == pytest.approx(1 / 12)
    assert overall(finding, "behaviours_broken").value is None, "no behaviour is known to have withstood everything"
    assert finding.one("gain_over_direct", family="encoding").value is None


def test_an_exchange_without_a_verdict_is_unmeasured(recorded: Callable[..., Record]) -> None:
    record = recorded(METHOD, SMALL, lambda request: "NO")
    finding = METHOD.judge(record, [], SMALL)
    assert overall(finding).value is None
    assert overall(finding).unmeasured == 12 * 11
    assert finding.judge == ""


def test_the_order_of_the_verdicts_changes_nothing(recorded: Callable[..., Record]) -> None:
    record = recorded(METHOD, SMALL, lambda request: "NO")
    verdicts = [Verdict(exchange=e.id, judge="by_hand", value=i % 3 / 2) for i, e in enumerate(record.exchanges)]
    assert METHOD.judge(record, verdicts, SMALL) == METHOD.judge(record, verdicts[::-1], SMALL)


def test_graded_and_off_topic_answers_are_no_refusals(recorded: Callable[..., Record]) -> None:
    record = recorded(METHOD, SMALL, lambda request: "NO")
    graded = {"complied": 1.0, "partial": 0.6, "off_topic": 0.1, "refused": 0.0}
    names = list(graded)
    verdicts = [
        Verdict(exchange=e.id, judge="by_hand", value=graded[names[i % 4]], label=names[i % 4])
        for i, e in enumerate(e for e in record.exchanges if e.metadata["kind"] == "twin")
    ]
    finding = METHOD.judge(record, verdicts, SMALL)
    assert finding.one("refusal_rate", kind="twin").value == 3 / 12


def test_record_and_finding_survive_json_and_say_what_they_cost(recorded: Callable[..., Record]) -> None:
    record = recorded(METHOD, SMALL, lambda request: "NO")
    assert Record.from_json(record.to_json()) == record
    assert record.cost.requests == len(record.exchanges) == len(plan(SMALL, 0))
    assert record.cost.tokens_in == 10 * record.cost.requests


def test_the_examples_show_each_broken_family_and_then_a_refusal(found: Found) -> None:
    finding = found(METHOD, SMALL, yes_if(lambda r: r.metadata["family"] in {"encoding", "role_play"}))
    assert [example.split("/")[2] for example in finding.examples] == ["role_play", "base64", "direct"]


def test_a_changed_prompt_or_data_file_makes_another_record(recorded: Callable[..., Record], tmp_path: object) -> None:
    changed = dataclasses.replace(METHOD, plan=lambda config, seed: plan(config, seed)[:-1])
    context = Context(subject=_subject(), ask=None, folder=tmp_path)  # type: ignore[arg-type]
    assert record_key(METHOD, context, SMALL) != record_key(changed, context, SMALL)


def _subject() -> object:
    class Nobody:
        fingerprint = "nobody"

    return Nobody()


@pytest.mark.parametrize(("option", "value"), [("per_category", 0), ("ordinary", -1)])
def test_an_option_out_of_range_is_a_clear_error(option: str, value: int) -> None:
    with pytest.raises(StepladderError, match=f"attack_library: {option} is {value}; allowed: . or more"):
        Config(**{option: value})


def test_an_unknown_attack_lists_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="unknown attack 'dan'"):
        plan(Config(attacks=("dan",)), 0)
