"""The shipped statements, and statements from files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from stepladder.core import DataError
from stepladder.methods.interpretability.concept_data import (
    conjunctions,
    control_labels,
    read_statements,
    shipped_parts,
    shipped_statements,
    shipped_topics,
    split,
)

SHARES = (0.5, 0.2, 0.3)
SETS = Path(__file__).parents[3].parent / "shared" / "data"


@pytest.mark.parametrize("per_topic", [16, 25, 99])
def test_in_every_part_every_word_stands_as_often_in_true_as_in_false_statements(per_topic: int) -> None:
    for part in shipped_parts(per_topic, per_topic, SHARES):
        for topic in shipped_topics():
            for form in ("affirmed", "negated"):
                counts = {
                    truth: Counter(
                        word
                        for s in part
                        if (s.topic, s.form, s.label) == (topic, form, truth)
                        for word in s.text.lower().rstrip(".").split()
                    )
                    for truth in (True, False)
                }
                assert counts[True] == counts[False], topic


def test_parts_share_no_fact_and_have_their_shares() -> None:
    parts = shipped_parts(40, 0, SHARES)
    units = [{s.unit for s in part} for part in parts]
    assert not units[0] & units[1]
    assert not units[0] & units[2]
    assert not units[1] & units[2]
    whole = sum(map(len, units))
    assert whole == len({s.unit for s in shipped_statements(40)})
    assert all(abs(len(found) / whole - share) < 0.06 for found, share in zip(units, SHARES, strict=True))


def test_a_part_with_one_value_only_still_has_false_statements() -> None:
    for seed in range(6):
        for part in shipped_parts(4, seed, SHARES):
            labels = {(s.unit, s.form, s.label): s.text for s in part}
            assert all(labels[unit, form, not label] != text for (unit, form, label), text in labels.items())


def test_no_statement_stands_there_twice_and_a_negation_turns_the_truth_round() -> None:
    statements = shipped_statements(99)
    assert len({s.text for s in statements}) == len(statements) >= 1000
    labels = {(s.unit, s.kind, s.form): s.label for s in statements}
    for (unit, kind, form), label in labels.items():
        if form == "affirmed":
            assert labels[unit, kind, "negated"] is not label


def test_statements_are_sentences() -> None:
    shown = [s.text for s in shipped_statements(99)]
    assert all(text[0].isupper() and text.endswith(".") and "{" not in text for text in shown)
    assert "The city of Lyon is in France." in shown
    assert "Ninety-one is not larger than forty-three." in shown


def test_a_unit_is_never_in_two_parts() -> None:
    statements = shipped_statements(20)
    parts = split(statements, SHARES, seed=1)
    units = [{statements[i].unit for i in rows} for rows in parts]
    assert sorted(i for rows in parts for i in rows) == list(range(len(statements)))
    assert not units[0] & units[1]
    assert not units[0] & units[2]
    assert not units[1] & units[2]
    assert {statements[i].topic for i in parts[2]} == set(shipped_topics())


def test_conjunctions_are_true_only_if_both_are_and_use_each_fact_once() -> None:
    joined = conjunctions(20, 0, SHARES, 2)
    by_pair = Counter(s.unit for s in joined)
    assert set(by_pair.values()) == {4}
    assert sum(s.label for s in joined) == len(by_pair)
    facts = [fact for pair in by_pair for fact in pair.split(" + ")]
    assert len(facts) == len(set(facts))
    assert set(facts) <= {s.unit for s in shipped_parts(20, 0, SHARES)[2]}


def test_control_labels_are_one_coin_for_each_kind() -> None:
    statements = shipped_statements(99)
    labels = control_labels(statements, 0)
    coins = {(s.topic, s.kind): set() for s in statements}
    for s, label in zip(statements, labels, strict=True):
        coins[s.topic, s.kind].add(label)
    assert {len(seen) for seen in coins.values()} == {1}
    assert 0.35 < sum(labels) / len(labels) < 0.65
    assert labels != control_labels(statements, 1)


class TestFiles:
    def test_a_table_is_read_with_what_it_says_of_itself(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.csv"
        file.write_text(
            "statement,label,topic,unit\nIce floats.,1,water,ice\nIce sinks.,0,water,ice\nSnow is hot.,false,,\n"
        )
        found = read_statements(file)
        assert [(s.label, s.topic, s.unit) for s in found] == [
            (True, "water", "water/ice"), (False, "water", "water/ice"), (False, "mine", "mine/snow is hot."),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("statement,truth\nA.,1\n", "'label' is missing"),
            ("statement,label\nA.,maybe\n", "allowed: 1, 0, true, false"),
            ("statement,label\nA.,1\nB.,1\n", "one label only"),
        ],
    )
    def test_what_cannot_be_read_is_one_clear_line(self, tmp_path: Path, text: str, problem: str) -> None:
        file = tmp_path / "bad.csv"
        file.write_text(text)
        with pytest.raises(DataError, match=problem):
            read_statements(file)

    @pytest.mark.data
    @pytest.mark.skipif(not SETS.is_dir(), reason="the real data sets are not beside the project (../shared/data)")
    def test_repe_facts_are_read(self) -> None:
        found = read_statements(SETS / "repe_facts" / "dev.jsonl")
        assert 400 <= len(found) <= 418
        assert {s.topic for s in found} == {"repe_facts"}
        assert abs(sum(s.label for s in found) / len(found) - 0.48) < 0.02
