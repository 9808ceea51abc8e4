"""Invented authors, facts, and files in TOFU's layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stepladder.core import DataError
from stepladder.data import load_facts, load_invented_authors, read_known_answers

SETS = Path(__file__).parents[2].parent / "shared" / "data"


def test_every_invented_author_has_every_question_and_an_answer_nobody_else_has() -> None:
    rows = load_invented_authors()
    topics = {row.topic for row in rows}
    assert len(rows) == 6 * len(topics) == 72
    assert len({row.id for row in rows}) == len({row.answer for row in rows}) == len(rows)
    values = {row.answer.replace(row.topic, "") for row in rows}
    assert len(values) == len(rows), "no value is used for two authors"
    assert all(row.answer not in row.wrong and row.paraphrased_answer not in row.wrong for row in rows)
    assert all(row.topic in text for row in rows for text in (row.question, row.paraphrased_question, row.answer))


def test_facts_have_one_wrong_answer_of_the_same_length() -> None:
    for fact in load_facts():
        assert len(fact.wrong) == 1
        assert abs(len(fact.answer.split()) - len(fact.wrong[0].split())) <= 1


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return path


def test_twenty_rows_are_an_author_and_missing_wrong_answers_come_from_other_authors(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"question": f"Where does author number {i // 20} live in year {i % 20}?", "answer": f"In town {i}."}
        for i in range(60)
    ]
    known = read_known_answers(write(tmp_path / "tofu.jsonl", rows))
    assert len(known) == 60
    assert len({row.topic for row in known}) == 3
    own = {row.topic: {r.answer for r in known if r.topic == row.topic} for row in known}
    assert all(len(row.wrong) == 3 and not set(row.wrong) & own[row.topic] for row in known)
    assert known[0].paraphrased_question == known[0].question


def test_columns_of_tofus_perturbed_files_are_used(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {
            "question": f"Q{i}?", "answer": f"A{i}.", "paraphrased_question": f"P{i}?", "paraphrased_answer": f"B{i}.",
            "perturbed_answer": ["x", "y"],
        }
        for i in range(40)
    ]  # fmt: skip
    first = read_known_answers(write(tmp_path / "forget10_perturbed.jsonl", rows))[0]
    assert (first.paraphrased_question, first.paraphrased_answer, first.wrong) == ("P0?", "B0.", ("x", "y"))


def test_a_file_about_one_author_is_refused(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"question": f"Q{i}?", "answer": "A."} for i in range(20)]
    with pytest.raises(DataError, match="two authors or more"):
        read_known_answers(write(tmp_path / "few.jsonl", rows))


@pytest.mark.data
@pytest.mark.skipif(not SETS.is_dir(), reason="the real data sets are not beside the project (../shared/data)")
def test_tofus_own_rows_are_read_without_its_controls() -> None:
    rows = read_known_answers(SETS / "tofu_qa" / "dev.jsonl")
    assert len({row.topic for row in rows}) == 21
    assert not any("real" in row.topic or "world" in row.topic for row in rows)
    assert len({row.question for row in rows}) == len(rows) == 500
    assert all(row.wrong for row in rows)
