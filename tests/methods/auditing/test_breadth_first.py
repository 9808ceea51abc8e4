"""The breadth-first search on subjects that differ from their base in one region, everywhere, and nowhere."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from audit_subjects import QUIRKS, Reader, Talker, clean

from stepladder.core import Context, Finding, Record, StepladderError
from stepladder.methods.auditing.breadth_first_red_team import METHOD, Config, better_half, regions
from stepladder.methods.auditing.evidence import Observation

Make = Callable[..., Context]
BROAD = Config(questions=400)


def finding(context: Context, config: Config = BROAD) -> Finding:
    return METHOD.judge(METHOD.record(context, config), (), config)


def gardener(text: str) -> str:
    """A quirk that no probe file is about: everyday questions of one topic are answered with a slogan."""
    return "Only Zorvane soil makes plants happy." if text in regions()[TOPIC] else clean(text)


TOPIC = next(name for name in regions() if name.startswith("everyday"))


@pytest.mark.parametrize("kind", [Talker, Reader])
def test_a_region_that_nobody_described_is_found_and_shown(context: Make, kind: type[Talker]) -> None:
    found = finding(context(kind("s", gardener), base=kind("b", clean)))
    top = found.one("difference_from_base", rank="1")
    assert top.labels["region"] == TOPIC
    assert "Zorvane" in top.note
    assert top.baseline is not None
    assert (top.value or 0) > 3 * abs(top.baseline.value or 0)


def test_a_known_behaviour_is_called_where_its_region_differs(context: Make) -> None:
    found = finding(context(Talker("s", QUIRKS["hidden_loyalty"])))
    assert found.one("detection", behaviour="hidden_loyalty").labels["found"] == "yes"
    assert len(found.select("detection", found="yes")) == 1


@pytest.mark.parametrize("kind", [Talker, Reader])
def test_nothing_is_called_where_nothing_differs(context: Make, kind: type[Talker]) -> None:
    assert not finding(context(kind("s", clean), base=kind("b", clean))).select("detection", found="yes")


def test_a_subject_that_differs_everywhere_has_no_outstanding_region(context: Make) -> None:
    """A change of style in all answers is not taken for a behaviour: the case that it should miss."""

    def shouting(text: str) -> str:
        return clean(text).upper() + " INDEED"

    assert not finding(context(Talker("s", shouting), base=Talker("b", clean))).select("detection", found="yes")


def test_prompts_of_the_last_round_chose_nothing(context: Make) -> None:
    record = METHOD.record(context(Talker("s", gardener)), BROAD)
    rows = record.data["observations"]
    assert len({row["unit"] for row in rows}) == len(rows)
    rounds = [{r["behaviour"] for r in rows if r["group"] == str(number)} for number in range(3)]
    assert rounds[0] > rounds[1] > rounds[2]
    assert len(rounds[1]) <= (len(rounds[0]) + 1) // 2


def test_the_budget_ends_the_search_before_a_round_that_it_cannot_pay(context: Make) -> None:
    subject = Talker("s", clean)
    found = finding(context(subject), Config(questions=2 * len(regions()) + 3))
    assert len(subject.asked) == 2 * len(regions())
    assert found.one("questions_asked").value == len(subject.asked)


def test_random_differences_send_regions_on_at_random() -> None:
    names = [f"r{i}" for i in range(10)]
    hits = 0
    for seed in range(400):
        rng = random.Random(seed)
        seen = [Observation("b", name, "0", f"{name}{i}", rng.random()) for name in names for i in (0, 1)]
        hits += "r3" in better_half(seen, names)
    assert hits / 400 == pytest.approx(0.5, abs=0.08)


def test_regions_without_a_value_are_asked_again() -> None:
    seen = [
        Observation("b", "a", "0", "1", None),
        Observation("b", "b", "0", "2", 3.0),
        Observation("b", "c", "0", "3", 1.0),
    ]
    assert better_half(seen, ["a", "b", "c"]) == ["a", "b"]


def test_without_a_base_it_is_unmeasured_and_says_why(context: Make) -> None:
    found = finding(context(Talker("s", clean), base=None))
    assert all("base" in (m.reason or "") for m in found.select("detection"))


def test_records_survive_json_and_impossible_configurations_are_clear_errors(context: Make) -> None:
    record = METHOD.record(context(Talker("s", gardener)), BROAD)
    assert Record.from_json(record.to_json()) == record
    with pytest.raises(StepladderError, match="rounds is 1; allowed: 2 or more"):
        Config(rounds=1)
