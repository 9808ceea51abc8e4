"""Published multiple-choice formats, each on rows written for this test in the documented layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stepladder.core import DataError
from stepladder.data import read_choices


def written(folder: Path, *rows: dict[str, Any], name: str = "rows.jsonl") -> Path:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder / name


def evals(question: str, matching: str, other: str | list[str]) -> dict[str, Any]:
    return {"question": question, "answer_matching_behavior": matching, "answer_not_matching_behavior": other}


def test_lettered_choices_become_their_texts(tmp_path: Path) -> None:
    text = "Would you rest?\n\nChoices:\n (A) Yes,\nat once\n (B) No"
    (part,) = read_choices(written(tmp_path, evals(text, " (B)", " (A)"), name="rest.jsonl"))
    framing = part.items[0].framings[0]
    assert (part.name, part.format) == ("rest", "anthropic_evals")
    assert (framing.question, framing.answers, framing.shows) == ("Would you rest?", ("Yes, at once", "No"), (1,))


def test_more_than_two_lettered_choices_are_read(tmp_path: Path) -> None:
    text = "Which?\n (A) one\n (B) two\n (C) three"
    (part,) = read_choices(written(tmp_path, evals(text, "(C)", ["(A)", "(B)"])))
    assert part.items[0].framings[0].answers == ("one", "two", "three")
    assert part.items[0].framings[0].shows == (2,)


def test_plain_answers_stay(tmp_path: Path) -> None:
    (part,) = read_choices(written(tmp_path, evals("Is this you?", " No", " Yes")))
    assert part.items[0].framings[0].answers == ("No", "Yes")


def test_letters_without_their_choices_are_left_out_and_counted(tmp_path: Path) -> None:
    good = evals("Which?\n (A) one\n (B) two", " (A)", " (B)")
    (part,) = read_choices(written(tmp_path, good, evals("Which?\n (A) one", " (A)", " (B)")))
    assert (len(part.items), part.left_out) == (1, 1)


def bbq(polarity: str, **changes: Any) -> dict[str, Any]:
    row = {
        "example_id": 1, "question_index": "7", "question_polarity": polarity, "context_condition": "ambig",
        "category": "Age", "context": "A grandson met his grandfather.", "question": "Who was slow?", "label": 2,
        "ans0": "The grandfather", "ans1": "The grandson", "ans2": "Not known",
        "answer_info": {"ans0": ["grandfather", "old"], "ans1": ["grandson", "nonOld"], "ans2": ["Not known", "unknown"]},
        "additional_metadata": {"stereotyped_groups": ["old"]},
    }  # fmt: skip
    return row | changes


@pytest.mark.parametrize(("polarity", "biased"), [("neg", 0), ("nonneg", 1)])
def test_bbq_says_which_answer_follows_the_stereotype(polarity: str, biased: int, tmp_path: Path) -> None:
    (part,) = read_choices(written(tmp_path, bbq(polarity)))
    item = part.items[0]
    framing = item.framings[0]
    assert (framing.shows, framing.right, framing.unknown) == ((biased,), 2, 2)
    assert (item.group, item.condition) == ("Age/7", "ambig")


def test_bbq_rows_whose_stereotyped_group_is_in_no_answer_are_left_out(tmp_path: Path) -> None:
    other = bbq("neg", context="Two people met.", additional_metadata={"stereotyped_groups": ["tall"]})
    (part,) = read_choices(written(tmp_path, bbq("neg"), other))
    assert (len(part.items), part.left_out) == (1, 1)


def test_bbq_with_a_wrong_label_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"label is '3'; allowed: 0 to 2"):
        read_choices(written(tmp_path, bbq("neg", label=3)))


@pytest.mark.parametrize("as_mapping", [False, True])
def test_truthfulqa_gives_one_set_for_each_score(as_mapping: bool, tmp_path: Path) -> None:
    def targets(**labels: int) -> dict[str, Any]:
        return labels if as_mapping else {"choices": list(labels), "labels": list(labels.values())}

    row = {"question": "Q?", "category": "Myths", "mc1_targets": targets(a=1, b=0), "mc2_targets": targets(a=1, c=1, b=0)}
    one, two = read_choices(written(tmp_path, row))
    assert (one.name, one.items[0].framings[0].shows) == ("truthfulqa_mc1", (0,))
    assert (two.name, two.items[0].framings[0].shows) == ("truthfulqa_mc2", (0, 1))


def test_winogenerated_keeps_the_share_of_women(tmp_path: Path) -> None:
    row = {
        "occupation": "baker", "other_person": "guest", "pronoun_options": ["his", "her", "their"],
        "sentence_with_blank": "The baker gave the guest _ bread.", "BLS_percent_women_2019": 60.5,
    }  # fmt: skip
    (part,) = read_choices(written(tmp_path, row))
    assert (part.items[0].group, part.items[0].reference) == ("baker", 0.605)


def test_rows_that_repeat_an_earlier_one_are_counted(tmp_path: Path) -> None:
    (part,) = read_choices(written(tmp_path, bbq("neg"), bbq("neg")))
    assert (len(part.items), part.left_out) == (1, 1)


def test_an_unknown_layout_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"anthropic_evals .* bbq .* truthfulqa .* winogenerated"):
        read_choices(written(tmp_path, {"text": "hello"}))
