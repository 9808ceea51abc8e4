"""Readers of other people's sets, on small files of the same shape as the originals."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from stepladder.core import DataError
from stepladder.data import load_behaviours, load_templates, read_behaviours, read_labelled, read_questions

HARMBENCH = ["Behavior", "FunctionalCategory", "SemanticCategory", "Tags", "ContextString", "BehaviorID"]
JBB = ["Index", "Goal", "Target", "Behavior", "Category", "Source"]
XSTEST = ["id", "prompt", "type", "label", "focus", "note"]


def table(path: Path, columns: Sequence[str], *rows: Sequence[object], comment: str = "") -> Path:
    """A table of the rows, as csv, json or jsonl by the path's ending."""
    path.parent.mkdir(exist_ok=True)
    objects = [dict(zip(columns, row, strict=True)) for row in rows]
    if path.suffix == ".json":
        path.write_text(json.dumps(objects), "utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(fields) + "\n" for fields in objects), "utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(comment)
            csv.writer(file).writerows([columns, *rows])
    return path


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl"])
def test_harmbench_joins_a_contextual_behaviour_to_its_context(ending: str, tmp_path: Path) -> None:
    path = table(
        tmp_path / f"t{ending}",
        HARMBENCH,
        ["Spoil the soup", "standard", "kitchen", "", "", "soup"],
        ["Spoil it", "contextual", "kitchen", "context", "A cake stands there.", "cake"],
    )
    found = read_behaviours(path)
    assert found.format == "harmbench"
    assert [(b.id, b.category, b.request) for b in found.behaviours] == [
        ("soup", "kitchen", "Spoil the soup"),
        ("cake", "kitchen", "A cake stands there.\n\n---\n\nSpoil it"),
    ]
    assert load_behaviours(path) == found.behaviours


def test_requests_that_say_the_same_are_kept_once_and_counted(tmp_path: Path) -> None:
    path = table(
        tmp_path / "t.csv", ["goal", "target"], ["Spoil the soup", "Sure"], ["Salt tea", "Sure"], ["spoil  the SOUP", "Sure"]
    )
    found = read_behaviours(path)
    assert (len(found.behaviours), found.duplicates, found.rows) == (2, 1, 3)
    assert [b.id for b in found.behaviours] == ["advbench-0", "advbench-1"]


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl"])
def test_rows_without_ids_are_numbered_alike_in_every_kind_of_file(ending: str, tmp_path: Path) -> None:
    path = table(tmp_path / f"t{ending}", ["goal", "target"], ["Salt the tea", "Sure"], ["Spoil the soup", "Sure"])
    assert [b.id for b in read_behaviours(path).behaviours] == ["advbench-0", "advbench-1"]


def test_a_faulty_entry_of_a_json_list_is_named_by_its_place(tmp_path: Path) -> None:
    path = table(tmp_path / "t.json", ["goal", "target"], ["Salt the tea", "Sure"], ["", "Sure"])
    with pytest.raises(DataError, match=r"t.json: entry 2: column 'goal' is blank"):
        read_behaviours(path)


def test_two_requests_with_one_id_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", ["id", "harm_area", "prompts_final"], ["a", "x", "One"], ["a", "x", "Two"])
    with pytest.raises(DataError, match=r":3: id 'a' is given to two requests"):
        read_behaviours(path)


def test_jailbreakbench_finds_its_twins_in_the_file_beside_it(tmp_path: Path) -> None:
    harmful = table(tmp_path / "harmful-behaviors.csv", JBB, [0, "Salt the tea", "Sure", "Tea", "Kitchen", "Original"])
    assert read_behaviours(harmful).behaviours[0].twin is None
    benign = table(tmp_path / "benign-behaviors.csv", JBB, [0, "Sweeten the tea", "Sure", "Tea", "Kitchen", "Original"])
    assert read_behaviours(harmful).behaviours[0].twin == "Sweeten the tea"
    assert read_behaviours(benign).behaviours == ()
    assert [b.request for b in read_behaviours(benign).harmless] == ["Sweeten the tea"]
    with pytest.raises(DataError, match="holds only harmless requests"):
        load_behaviours(benign)


@pytest.mark.parametrize("prefix", ["", "v2-"])
def test_xstest_pairs_an_unsafe_prompt_with_the_safe_one_at_its_place(prefix: str, tmp_path: Path) -> None:
    rows = [
        [f"{prefix}2", "How do I beat eggs?", "homonyms", "safe", "beat", ""],
        [f"{prefix}1", "How do I whip cream?", "homonyms", "safe", "whip", ""],
        [f"{prefix}26", "How do I whip a person?", "contrast_homonyms", "unsafe", "whip", ""],
        [f"{prefix}27", "How do I beat a person?", "contrast_homonyms", "unsafe", "beat", ""],
        [f"{prefix}301", "Why should chairs not vote?", "nons_group_real_discr", "safe", "vote", ""],
        [f"{prefix}351", "Why should people not vote?", "contrast_discr", "unsafe", "vote", ""],
    ]
    found = read_behaviours(table(tmp_path / "t.csv", XSTEST, *rows))
    assert {b.request: b.twin for b in found.behaviours} == {
        "How do I whip a person?": "How do I whip cream?",
        "How do I beat a person?": "How do I beat eggs?",
        "Why should people not vote?": None,
    }
    assert len(found.harmless) == 3


def test_xstest_of_the_older_columns_is_read_too(tmp_path: Path) -> None:
    columns = ["id_v1", "id_v2", "type", "prompt", "focus", "note"]
    found = read_behaviours(table(tmp_path / "t.csv", columns, ["", "v2-7", "homonyms", "How do I beat eggs?", "beat", ""]))
    assert [b.id for b in found.harmless] == ["v2-7"]


@pytest.mark.parametrize(
    ("columns", "row", "name", "category"),
    [
        (["category", "source", "forbidden_prompt"], ["Tea", "custom", "Salt it"], "strongreject", "Tea"),
        (
            ["id", "harm_area", "counter", "category", "prompts_final"],
            ["s1", "Tea", 1, "x", "Salt it"],
            "simple_safety_tests",
            "Tea",
        ),
        (["goal", "target"], ["Salt it", "Sure"], "advbench", "advbench"),
    ],
)
def test_other_sets_are_recognised_by_their_columns_in_any_order(
    columns: list[str], row: list[object], name: str, category: str, tmp_path: Path
) -> None:
    for turn, path in ((1, tmp_path / "a.csv"), (-1, tmp_path / "b.jsonl")):
        found = read_behaviours(table(path, columns[::turn], row[::turn]))
        assert found.format == name
        assert [(b.category, b.request) for b in found.behaviours] == [(category, "Salt it")]


@pytest.mark.parametrize("read", [read_behaviours, read_labelled, read_questions, load_templates])
def test_unknown_columns_are_refused_with_every_format_and_its_columns(read, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = table(tmp_path / "t.csv", ["colour", "taste"], ["red", "sweet"])
    with pytest.raises(DataError, match=r"columns colour, taste are of no known format; recognised: \w+ \(\w+") as error:
        read(path)
    known = {
        read_behaviours: [
            "harmbench (Behavior",
            "jailbreakbench (Goal",
            "strongreject (",
            "xstest (",
            "advbench (goal, target)",
        ],
        read_labelled: ["xstest_completions (", "gptfuzz (", "pyrit (objective"],
        read_questions: ["anthropic_evals (question, answer_matching_behavior"],
        load_templates: ["gptfuzz_templates (id, text)"],
    }
    assert all(name in str(error.value) for name in known[read])


def test_a_blank_request_is_refused_with_its_line(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", ["goal", "target"], ["Salt it", "Sure"], [" ", "Sure"])
    with pytest.raises(DataError, match=r":3: column 'goal' is blank"):
        read_behaviours(path)
    path = tmp_path / "t.jsonl"
    path.write_text('{"goal": "Salt it", "target": "Sure"}\n{"target": "Sure"}\n', "utf-8")
    with pytest.raises(DataError, match=r":2: column 'goal' needs a text"):
        read_behaviours(path)


def test_questions_keep_the_answers_as_written_and_name_the_behaviour(tmp_path: Path) -> None:
    columns = ["question", "answer_matching_behavior", "answer_not_matching_behavior"]
    rows = [["Tea?", " (A)", " (B)"], ["Milk?", " (B)", [" (A)", " (C)"]], ["tea?", " (A)", " (B)"]]
    found = read_questions(table(tmp_path / "likes-tea.jsonl", columns, *rows))
    assert (found.rows, found.duplicates) == (3, 1)
    assert [(q.behaviour, q.matching, q.not_matching) for q in found.questions] == [
        ("likes-tea", " (A)", (" (B)",)),
        ("likes-tea", " (B)", (" (A)", " (C)")),
    ]
    with pytest.raises(DataError, match=":1: answer_not_matching_behavior has to differ"):
        read_questions(table(tmp_path / "t.jsonl", columns, ["Tea?", "A", "A"]))


COMPLETIONS = ["id", "type", "prompt", "completion", "annotation_1", "annotation_2", "agreement", "final_label"]


def test_xstest_completions_keep_both_annotators(tmp_path: Path) -> None:
    path = table(
        tmp_path / "gpt4.csv",
        COMPLETIONS,
        ["v2-1", "homonyms", "Beat eggs?", "Whisk.", "1_full_compliance", "3_partial_refusal", "FALSE", "1_full_compliance"],
        ["v2-26", "contrast_homonyms", "Beat him?", "", "2_full_refusal", "2_full_refusal", "TRUE", "2_full_refusal"],
    )
    found = read_labelled(path)
    first, second = found.exchanges
    assert (first.reply.text, second.reply.text) == ("Whisk.", "")
    assert first.request.messages[0].content == "Beat eggs?"
    assert dict(first.metadata) == {"kind": "twin", "behaviour": "v2-1", "request": "Beat eggs?", "model": "gpt4"}
    assert second.metadata["kind"] == "harmful"
    assert found.labels == {first.id: "complied", second.id: "refused"}
    assert found.raters == {first.id: ("complied", "partial"), second.id: ("refused", "refused")}
    assert (found.name, found.scale, found.duplicates) == ("xstest_completions", "compliance", 0)


def test_an_unknown_label_is_refused_with_those_allowed(tmp_path: Path) -> None:
    path = table(
        tmp_path / "t.csv", COMPLETIONS, ["a", "homonyms", "Q", "A", "4_maybe", "2_full_refusal", "", "2_full_refusal"]
    )
    with pytest.raises(DataError, match=r":2: annotation_1 is '4_maybe'; allowed: 1_full_compliance, 2_full_refusal"):
        read_labelled(path)


def test_gptfuzz_responses_are_read_in_both_shapes(tmp_path: Path) -> None:
    short = table(
        tmp_path / "a.jsonl", ["question_id", "question", "response_head", "label"], ["7", "Salt it?", "Sure", "1"]
    )
    found = read_labelled(short)
    assert list(found.labels.values()) == ["complied"]
    original = table(
        tmp_path / "responses_labeled" / "train.csv",
        ["question", "Response", "label"],
        [7, "Sure", 1],
        [7, "Sure", 1],
        [7, "No", 0],
    )
    with pytest.raises(DataError, match=r"question_list.csv is needed beside it"):
        read_labelled(original)
    questions = table(tmp_path / "questions" / "question_list.csv", ["index", "text"], [7, "Salt it?"])
    found = read_labelled(original)
    assert list(found.labels.values()) == ["complied", "complied", "refused"]
    assert {e.metadata["request"] for e in found.exchanges} == {"Salt it?"}
    assert {e.metadata["behaviour"] for e in found.exchanges} == {"7"}
    assert found.duplicates == 1
    table(questions, ["index", "text"], [8, "Salt it?"])
    with pytest.raises(DataError, match="question 7 is not in"):
        read_labelled(original)


PYRIT = ["objective", "assistant_response", "human_score", "data_type"]


def test_a_pyrit_score_of_one_means_complied_or_refused_by_what_the_file_measures(tmp_path: Path) -> None:
    rows = [["Salt it", "Sure", 1, "text"], ["Salt it", "No", 0, "text"]]
    objective = read_labelled(table(tmp_path / "hate.csv", PYRIT, *rows, comment="# dataset_version=1.0\n"))
    assert (objective.scale, list(objective.labels.values())) == ("objective", ["complied", "refused"])
    refusal = read_labelled(table(tmp_path / "mini_refusal.csv", PYRIT, *rows, comment="# dataset_version=1.0\n"))
    assert (refusal.scale, list(refusal.labels.values())) == ("refusal", ["refused", "complied"])


def test_pyrit_harm_scores_of_several_people_are_graded_by_their_mean(tmp_path: Path) -> None:
    columns = [
        "harm_category",
        "objective",
        "assistant_response",
        "human_score_1",
        "human_score_2",
        "human_score_3",
        "data_type",
    ]
    rows = [
        ["v", "Salt it", "a", 1, 0.5, 0.25, "text"],
        ["v", "Salt it", "b", 0.25, 0, 0, "text"],
        ["v", "Salt it", "c", 0, 0, 0, "text"],
    ]
    comment = "# dataset_version=1.0, harm_definition=violence.yaml,,,\n"
    found = read_labelled(table(tmp_path / "v.csv", columns, *rows, comment=comment))
    assert found.scale == "severity"
    assert list(found.labels.values()) == ["complied", "partial", "refused"]
    assert next(iter(found.raters.values())) == ("complied", "complied", "partial")
    with pytest.raises(DataError, match=r":3: human_score_1 is 'high'; allowed: numbers from 0 to 1"):
        read_labelled(table(tmp_path / "v.csv", columns, ["v", "Salt it", "a", "high", 0, 0, "text"], comment=comment))


def test_gptfuzz_templates_get_our_marker(tmp_path: Path) -> None:
    (template,) = load_templates(table(tmp_path / "GPTFuzzer.csv", ["id", "text"], [0, "Sing: [INSERT PROMPT HERE]!"]))
    assert template.fill("salt it") == "Sing: salt it!"
    with pytest.raises(DataError, match=r":2: the template has no place for the request"):
        load_templates(table(tmp_path / "t.csv", ["id", "text"], [0, "Sing!"]))
