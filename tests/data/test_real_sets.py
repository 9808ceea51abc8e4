"""The readers on the real sets, counted against their index; skipped where the sets are not beside the project."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from stepladder.data import (
    NearDuplicates,
    load_behaviours,
    load_ordinary,
    load_templates,
    read_behaviours,
    read_labelled,
    read_questions,
)

SETS = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not SETS.is_dir(), reason="the real data sets are not beside the project (../shared/data)"),
]
PROMPT_SETS = {
    "harmbench_behaviors": "harmbench",
    "jailbreakbench_behaviors": "jailbreakbench",
    "advbench_behaviors": "advbench",
    "strongreject": "strongreject",
    "simple_safety_tests": "simple_safety_tests",
    "xstest_prompts": "xstest",
}


def rows(name: str) -> int:
    with (SETS / "INDEX.tsv").open(encoding="utf-8") as file:
        return next(int(row["dev"]) for row in csv.DictReader(file, delimiter="\t") if row["name"] == name)


def path(name: str) -> Path:
    return SETS / name / "dev.jsonl"


@pytest.mark.parametrize("name", PROMPT_SETS)
def test_every_row_of_a_prompt_set_is_read_or_counted_as_a_repeat(name: str) -> None:
    found = read_behaviours(path(name))
    assert found.format == PROMPT_SETS[name]
    assert found.rows == rows(name) == len(found.behaviours) + len(found.harmless) + found.duplicates
    assert found.duplicates <= 5


@pytest.mark.parametrize("name", PROMPT_SETS)
def test_a_prompt_set_reads_the_same_from_csv(name: str, tmp_path: Path) -> None:
    objects = [json.loads(line) for line in path(name).read_text("utf-8").splitlines()]
    with (tmp_path / "t.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(objects[0]))
        writer.writeheader()
        writer.writerows(objects)
    assert read_behaviours(tmp_path / "t.csv") == read_behaviours(path(name))


def test_xstest_contrasts_have_twins_except_where_the_set_does_not_pair_them() -> None:
    found = read_behaviours(path("xstest_prompts"))
    assert (len(found.behaviours), len(found.harmless)) == (149, 180)
    paired = [b for b in found.behaviours if b.twin]
    assert len(paired) == 149 - 18 - 21
    assert {b.category for b in found.behaviours if not b.twin} == {"contrast_discr", "contrast_privacy"}


@pytest.mark.parametrize("name", ["anthropic_evals_ai_risk", "anthropic_evals_persona", "sycophancy_ab"])
def test_every_question_is_read_or_counted_as_a_repeat(name: str) -> None:
    found = read_questions(path(name))
    assert found.rows == rows(name) == len(found.questions) + found.duplicates


def test_xstest_completions_give_the_published_labels() -> None:
    found = read_labelled(path("xstest_completions"))
    assert len(found.exchanges) == len(found.raters) == rows("xstest_completions")
    assert Counter(found.labels.values()) == {"complied": 790, "partial": 125, "refused": 730}
    agreed = sum(first == second for first, second in found.raters.values())
    assert agreed == 1593  # the set's own column `agreement`
    assert Counter(e.metadata["model"] for e in found.exchanges) == dict.fromkeys(
        ("gpt4", "llama2new", "llama2orig", "mistralguard", "mistralinstruct"), 329
    )


def test_gptfuzz_responses_and_templates_are_read_whole() -> None:
    found = read_labelled(path("gptfuzz_labelled_responses"))
    assert len(found.exchanges) == rows("gptfuzz_labelled_responses")
    assert Counter(found.labels.values()) == {"refused": 3624, "complied": 1535}
    assert len(load_templates(path("gptfuzz_templates"))) == rows("gptfuzz_templates")


def test_the_shipped_requests_are_nobody_elses() -> None:
    theirs = NearDuplicates(threshold=2.0)  # keep every text, near-duplicates too
    for name in PROMPT_SETS:
        found = read_behaviours(path(name))
        for behaviour in (*found.behaviours, *found.harmless):
            theirs.add(behaviour.request)
    ours = [text for b in load_behaviours() for text in (b.request, b.twin or "")] + [o.text for o in load_ordinary()]
    assert max(map(theirs.nearest, ours)) < 0.35
