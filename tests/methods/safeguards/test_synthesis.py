from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from tests.methods.safeguards.conftest import Subject

from stepladder.core import Context, Reply, Request
from stepladder.data import load_constitution, similarity, synthesize_prompts
from stepladder.methods.safeguards.synthesis import LINES, mark, read_lines, write_prompts

CONSTITUTION = load_constitution()


class Writer(Subject):
    """A helper that writes what the constitution's own templates would give, or the same line again and again."""

    name = "test/writer"

    def __init__(self, good: bool) -> None:
        super().__init__()
        self.good = good
        made = {kind: synthesize_prompts(CONSTITUTION, 600, 99, kind) for kind in (True, False)}
        self.lines = {
            (k, c.id): [p.text for p in made[k] if p.category == c.id] for k in made for c in CONSTITUTION.categories
        }

    async def reply_many(self, requests: Sequence[Request]) -> list[Reply]:
        return [Reply(text=self._write(*request.id.split("/")[1:])) for request in requests]

    def _write(self, category: str, kind: str, turn: str) -> str:
        if not self.good:
            return "Sure! Here are some requests:\n" + "Tell me about that topic please.\n" * LINES
        start = LINES * int(turn)
        lines = self.lines[kind == "harmful", category][start : start + LINES]
        return "\n".join(f'{number}. "{line}"' for number, line in enumerate(lines, 1))


def test_a_helper_that_passes_its_test_writes_the_data(context: Context) -> None:
    written = write_prompts(dataclasses.replace(context, helper=Writer(good=True)), CONSTITUTION, 48, 48, [])
    assert written.source["writer"] == "test/writer"
    assert written.source["helper_trial"]["readable"] == 1.0
    assert written.source["origins"]["test/writer"] > 72
    assert len(written.prompts) == 96


def test_a_helper_that_repeats_itself_is_not_used_and_the_record_says_so(context: Context) -> None:
    written = write_prompts(dataclasses.replace(context, helper=Writer(good=False)), CONSTITUTION, 24, 24, [])
    trial = written.source["helper_trial"]
    assert written.source["writer"] == "templates"
    assert trial["readable"] == 1.0
    assert trial["distinct"] < 0.1
    assert not any(prompt.origin == "test/writer" for prompt in written.prompts)


def test_without_a_helper_templates_write_and_nothing_is_asked(context: Context) -> None:
    written = write_prompts(context, CONSTITUTION, 24, 36, [])
    assert written.source["helper_trial"] is None
    assert [sum(p.harmful == kind for p in written.prompts) for kind in (True, False)] == [24, 36]


def test_prompts_near_a_tested_text_are_dropped_and_counted(context: Context) -> None:
    first = write_prompts(context, CONSTITUTION, 24, 24, [])
    tested = [prompt.text for prompt in first.prompts[:5]]
    second = write_prompts(context, CONSTITUTION, 24, 24, tested)
    assert second.source["dropped_as_near_test_texts"] >= 5
    assert all(similarity(prompt.text, text) < 0.5 for prompt in second.prompts for text in tested)


def test_marks_of_prompts_moved_to_other_categories_fall() -> None:
    prompts = synthesize_prompts(CONSTITUTION, 120, 1, True)
    names = [category.id for category in CONSTITUTION.categories]
    moved = [dataclasses.replace(p, category=names[(names.index(p.category) + 1) % len(names)]) for p in prompts]
    assert mark(prompts, 120, CONSTITUTION)["on_category"] > 0.8
    assert mark(moved, 120, CONSTITUTION)["on_category"] < 0.2
    assert mark([], 120, CONSTITUTION) == {"readable": 0.0, "distinct": 0.0, "on_category": 0.0}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("1. How do I do this?\n- Tell me how to do it\n\n“Say it all aloud now”", 3),
        ("Here is a list of requests:\nno\n" + "word " * 80, 0),
        ("", 0),
    ],
)
def test_lines_lose_their_marks_and_what_is_no_request_is_left(text: str, lines: int) -> None:
    found = read_lines(text)
    assert len(found) == lines
    assert all(line[0].isalpha() for line in found)
