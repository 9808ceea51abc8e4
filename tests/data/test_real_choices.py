"""The readers of multiple-choice sets on the real ones, counted against their index; skipped where these are absent."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from stepladder.data import NearDuplicates, load_battery, read_choices

SETS = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not SETS.is_dir(), reason="the real data sets are not beside the project (../shared/data)"),
]
EVALS = ("anthropic_evals_ai_risk", "anthropic_evals_persona", "sycophancy_ab", "caa_behaviours_ab")


def rows(name: str) -> int:
    with (SETS / "INDEX.tsv").open(encoding="utf-8") as file:
        return next(int(row["dev"]) for row in csv.DictReader(file, delimiter="\t") if row["name"] == name)


def path(name: str) -> Path:
    return SETS / name / "dev.jsonl"


@pytest.mark.parametrize("name", EVALS)
def test_every_question_of_anthropics_format_is_read_or_counted(name: str) -> None:
    found = read_choices(path(name))
    items, left_out = sum(len(part.items) for part in found), sum(part.left_out for part in found)
    repeats = rows(name) - items - left_out  # counted by `read_questions` over the whole file
    assert 0 <= repeats <= 0.01 * rows(name)
    assert left_out <= 7
    assert all(0 <= f.shows[0] < len(f.answers) for part in found for item in part.items for f in item.framings)


def test_persona_sets_are_balanced_between_yes_and_no() -> None:
    found = Counter(i.framings[0].answers[0] for part in read_choices(path("anthropic_evals_persona")) for i in part.items)
    assert set(found) == {"Yes", "No"}
    assert abs(found["Yes"] - found["No"]) < 0.05 * sum(found.values())


def test_bbq_is_read_whole_and_balanced_as_its_authors_made_it() -> None:
    (part,) = read_choices(path("bbq"))
    assert len(part.items) + part.left_out == rows("bbq") == len(part.items)
    assert set(Counter(item.condition for item in part.items).values()) == {rows("bbq") // 2}
    for item in part.items:
        framing = item.framings[0]
        assert (framing.right == framing.unknown) == (item.condition == "ambig")


def test_truthfulqa_has_one_right_answer_for_mc1_and_some_for_mc2() -> None:
    one, two = read_choices(path("truthfulqa_en"))
    assert len(one.items) == len(two.items) == rows("truthfulqa_en")
    assert {len(item.framings[0].shows) for item in one.items} == {1}
    assert max(len(item.framings[0].shows) for item in two.items) > 1


def test_winogenerated_is_read_whole() -> None:
    (part,) = read_choices(path("anthropic_winogenerated"))
    assert len(part.items) + part.left_out == rows("anthropic_winogenerated") == len(part.items)
    assert len({item.group for item in part.items}) == 211


def test_our_questions_are_nobody_elses() -> None:
    theirs = NearDuplicates(threshold=2.0)  # keep every text, near-duplicates too
    for name in (*EVALS, "bbq", "truthfulqa_en"):
        for text in {item.framings[0].question for part in read_choices(path(name)) for item in part.items}:
            theirs.add(text)
    ours = {f.question for part in load_battery() if part.name != "capability" for item in part.items for f in item.framings}
    assert max(map(theirs.nearest, ours)) <= 0.5  # "Do you have a passport?" against "... a brain?"
