"""Multiple-choice sets as their authors publish them, read into the battery's items.

anthropics/evals (persona, advanced-ai-risk) and what follows its format (sycophancy A/B, CAA), Winogenerated, BBQ and
TruthfulQA, recognised by their columns. Rows that repeat an earlier one, and rows that lack what their score needs, are
left out and counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepladder.data.battery_sets import ChoiceItem, ChoiceSet, Framing, load_choice_set
from stepladder.data.questions import Question, read_questions
from stepladder.data.tables import Format, Row, Table, normalised, read_table, recognise, row_number

_CHOICE = re.compile(r"^ ?\(([A-Z])\) ?(.*(?:\n(?! ?\([A-Z]\)).*)*)$", re.MULTILINE)
_LETTER = re.compile(r"^ ?\(([A-Z])\)$")
_SAME = {"f": "female", "woman": "female", "girl": "female", "m": "male", "man": "male", "boy": "male"}


@dataclass(frozen=True)
class _Entry:
    """An item, or `None` where the row cannot be used, and the set that it belongs to."""

    set: str
    item: ChoiceItem | None


def read_choices(path: Path) -> tuple[ChoiceSet, ...]:
    """The sets of a file: our YAML, or any published format above; any other raises a `DataError` that lists them."""
    if path.suffix.lower() in (".yaml", ".yml"):
        return (load_choice_set(path),)
    table = read_table(path)
    known = recognise(table, FORMATS)
    if known.name == "anthropic_evals":
        return _anthropic_sets(path)
    return _sets(table, known.name, [entry for row in table.rows for entry in known.read(row)])


def _sets(table: Table, name: str, entries: Sequence[_Entry]) -> tuple[ChoiceSet, ...]:
    found = []
    for part in dict.fromkeys(entry.set for entry in entries):
        rows = [entry.item for entry in entries if entry.set == part]
        items = _distinct([item for item in rows if item])
        found.append(ChoiceSet(part, SHOWS[part], items, part, len(rows) - len(items)))
    return tuple(found)


def _distinct(items: Sequence[ChoiceItem]) -> tuple[ChoiceItem, ...]:
    kept: dict[tuple[str, ...], ChoiceItem] = {}
    for item in items:
        framing = item.framings[0]
        kept.setdefault((normalised(framing.question), *sorted(map(normalised, framing.answers))), item)
    return tuple(kept.values())


def _anthropic_sets(path: Path) -> tuple[ChoiceSet, ...]:
    read = read_questions(path)
    by_set: dict[str, list[Question]] = {}
    for question in read.questions:
        by_set.setdefault(question.behaviour, []).append(question)
    return tuple(
        ChoiceSet(name, "the answer that the set's authors say matches it", items, "anthropic_evals", len(rows) - len(items))
        for name, rows in by_set.items()
        if (items := tuple(item for q in rows if (item := _anthropic_item(q))))
    )


def _anthropic_item(question: Question) -> ChoiceItem | None:
    """Letters that point at choices within the question become the choices' texts, so that their order can be changed."""
    letter = _LETTER.match(question.matching)
    if letter is None:
        answers = tuple(text.strip() for text in (question.matching, *question.not_matching))
        return ChoiceItem(question.id, (Framing(question.question.strip(), answers),), question.behaviour)
    choices = {m[1]: " ".join(m[2].split()) for m in _CHOICE.finditer(question.question)}
    named = {letter[1], *(m[1] for text in question.not_matching if (m := _LETTER.match(text)))}
    if len(choices) < 2 or not named <= set(choices) or len(set(choices.values())) < len(choices):
        return None
    first = _CHOICE.search(question.question)
    assert first is not None
    stem = question.question[: first.start()].rstrip().removesuffix("Choices:").rstrip()
    shows = (list(choices).index(letter[1]),)
    return ChoiceItem(question.id, (Framing(stem, tuple(choices.values()), shows),), question.behaviour)


def _bbq(row: Row) -> Iterator[_Entry]:
    """The biased answer is the stereotyped group where the question is negative, and the other group where it is not."""
    answers = tuple(row.text(f"ans{i}") for i in range(3))
    info, metadata = row.fields["answer_info"], row.fields["additional_metadata"]
    if not isinstance(info, Mapping) or not isinstance(metadata, Mapping):
        raise row.error("answer_info and additional_metadata need objects, as in BBQ's jsonl")
    tags = [[_tag(text) for text in info[f"ans{i}"]] for i in range(3)]
    unknown = [i for i in range(3) if "unknown" in tags[i]]
    stereotyped = {_tag(text) for text in metadata.get("stereotyped_groups", ())}
    targets = [i for i in range(3) if i not in unknown and stereotyped & set(tags[i])]
    if len(unknown) != 1 or len(targets) != 1:
        yield _Entry("bbq", None)
        return
    other = ({0, 1, 2} - {*unknown, *targets}).pop()
    biased = targets[0] if row.text("question_polarity") == "neg" else other
    text = f"{row.text('context')} {row.text('question')}"
    framing = Framing(text, answers, (biased,), _index(row, "label", 3), unknown[0])
    # Contexts come in both polarities and conditions; rows of one template are not independent.
    group = f"{row.text('category')}/{row.text('question_index')}"
    yield _Entry("bbq", ChoiceItem(f"bbq-{row_number(row)}", (framing,), group, condition=row.text("context_condition")))


def _tag(text: Any) -> str:
    plain = str(text).casefold().replace(" ", "").replace("-", "")
    return _SAME.get(plain, plain)


def _index(row: Row, column: str, count: int) -> int:
    text = row.text(column)
    if text not in map(str, range(count)):
        raise row.error(f"{column} is {text!r}; allowed: 0 to {count - 1}")
    return int(text)


def _truthfulqa(row: Row) -> Iterator[_Entry]:
    for name in ("mc1", "mc2"):
        choices, labels = _targets(row, f"{name}_targets")
        shows = tuple(i for i, label in enumerate(labels) if label)
        framing = Framing(row.text("question"), choices, shows)
        usable = 0 < len(shows) < len(choices)
        item = ChoiceItem(f"truthfulqa-{row_number(row)}", (framing,), row.optional("category"))
        yield _Entry(f"truthfulqa_{name}", item if usable else None)


def _targets(row: Row, column: str) -> tuple[tuple[str, ...], tuple[bool, ...]]:
    """Choices with their labels: two lists, or a mapping from choice to label as in the authors' mc_task.json."""
    value = row.fields[column]
    if isinstance(value, Mapping) and {"choices", "labels"} <= set(value):
        pairs = list(zip(value["choices"], value["labels"], strict=True))
    elif isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        raise row.error(f"{column} needs an object with choices and labels")
    return tuple(str(text) for text, _ in pairs), tuple(bool(label) for _, label in pairs)


def _winogenerated(row: Row) -> Iterator[_Entry]:
    options, sentence = row.fields["pronoun_options"], row.text("sentence_with_blank")
    if not isinstance(options, list) or len(options) != 3:
        raise row.error("pronoun_options needs a list of three: masculine, feminine, neutral")
    if sentence.count("_") != 1:
        yield _Entry("winogenerated", None)
        return
    share = float(row.text("BLS_percent_women_2019")) / 100
    framing = Framing(sentence, tuple(map(str, options)), (1,))
    yield _Entry("winogenerated", ChoiceItem(f"wino-{row_number(row)}", (framing,), row.text("occupation"), reference=share))


SHOWS = {
    "bbq": "the answer that the stereotype suggests",
    "truthfulqa_mc1": "the one true answer",
    "truthfulqa_mc2": "a true answer",
    "winogenerated": "the feminine pronoun",
}
FORMATS: tuple[Format[Iterator[_Entry]], ...] = (
    Format(
        "anthropic_evals", ("question", "answer_matching_behavior", "answer_not_matching_behavior"), lambda row: iter(())
    ),
    Format("bbq", ("context", "question", "ans0", "ans1", "ans2", "label", "answer_info"), _bbq),
    Format("truthfulqa", ("question", "mc1_targets", "mc2_targets"), _truthfulqa),
    Format("winogenerated", ("sentence_with_blank", "pronoun_options", "BLS_percent_women_2019"), _winogenerated),
)
