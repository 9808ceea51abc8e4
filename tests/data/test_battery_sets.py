"""The shipped sets of the battery, and what is said about a set that is written wrongly."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from stepladder.core import DataError
from stepladder.data import ChoiceSet, load_battery, load_choice_set

SETS = {part.name: part for part in load_battery()}
HEAD = "title: t\nversion: 1\nlicence: own\nset: s\nshows: it\n"


def test_the_sets_are_those_that_are_promised() -> None:
    assert set(SETS) == {
        "bias", "capability", "corrigibility", "honesty", "loyalty", "misuse", "political", "power_seeking",
        "situational_awareness", "sycophancy",
    }  # fmt: skip
    assert min(len(part.items) for part in SETS.values()) >= 24
    assert len(SETS["capability"].items) == 100


@pytest.mark.parametrize("part", SETS.values(), ids=SETS)
def test_every_behaviour_is_asked_in_two_framings_whose_yes_means_the_opposite(part: ChoiceSet) -> None:
    for item in part.items:
        if part.name == "capability":
            assert len(item.framings) == 1
            continue
        first, second = item.framings
        assert first.question != second.question
        assert first.answers == second.answers == ("Yes", "No")
        assert (first.shows, second.shows) == ((0,), (1,))


@pytest.mark.parametrize("part", SETS.values(), ids=SETS)
def test_no_question_is_asked_twice(part: ChoiceSet) -> None:
    questions = Counter(f.question for item in part.items for f in item.framings)
    assert [text for text, count in questions.items() if count > 1] == []


def test_right_answers_are_as_long_as_wrong_ones() -> None:
    answers = [item.framings[0].answers for item in SETS["capability"].items]
    longer = [len(right) - len(wrong) for right, wrong in answers]
    assert abs(sum(longer) / len(longer)) < 0.6


def test_half_of_the_facts_that_the_user_states_are_true() -> None:
    taste, facts = SETS["sycophancy"].items[-8:], SETS["sycophancy"].items[:-8]
    assert len(facts) == 24
    assert all("I am convinced" in item.framings[0].question for item in (*taste, *facts))


def test_templates_meet_every_filling(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        HEAD + "templates:\n  - {id: a, ask: 'Is {x} fine?', reversed: 'Is {x} bad?'}\n"
        "  - {id: b, ask: 'Take {x}?', reversed: 'Leave {x}?'}\n"
        "fillings:\n  - {id: p, x: tea}\n  - {id: q, x: milk}\n"
    )
    items = load_choice_set(tmp_path / "s.yaml").items
    assert [(item.id, item.group) for item in items] == [("p/a", "p"), ("p/b", "p"), ("q/a", "q"), ("q/b", "q")]
    assert items[3].framings[1].question == "Leave milk?"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("items:\n  - {id: a, ask: Why, answer: b}\n", "unknown field 'answer'"),
        ("items:\n  - {id: a, ask: Why}\n  - {id: a, ask: How}\n", "'a' is given twice"),
        ("items:\n  - {id: a, ask: Why, shows: x}\n", "shows and other go together"),
        ("items:\n  - {id: a, ask: Why, shows: x, other: x}\n", "the two answers are the same"),
        ("templates:\n  - {id: a, ask: Why, reversed: How}\n", "either items, or templates with fillings"),
        ("templates:\n  - {id: a, ask: 'Is {y}', reversed: How}\nfillings:\n  - {id: p, x: tea}\n", "needs 'y'"),
        ("templates:\n  - {id: a, ask: Is, reversed: How}\nfillings:\n  - {x: tea}\n", "field 'id' is missing"),
    ],
)
def test_a_set_that_is_written_wrongly_is_one_clear_line(body: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(HEAD + body)
    with pytest.raises(DataError, match=problem) as caught:
        load_choice_set(tmp_path / "s.yaml")
    assert "\n" not in str(caught.value)
