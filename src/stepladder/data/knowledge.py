"""Questions with one right answer and close wrong ones: invented authors in TOFU's layout (arXiv:2401.06121), and facts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stepladder.core import DataError
from stepladder.data.files import HEADER, SHIPPED, Node, check_version, read_yaml
from stepladder.data.synthesis import similarity
from stepladder.data.tables import Format, Row, normalised, read_table, recognise, row_number

PER_AUTHOR = 20
"""Questions about each author in TOFU."""
WRONG = 3
"""Wrong answers taken from other rows where a file has none of its own."""
CONTROL = ("real_author", "world")
"""How TOFU names its rows about the real world: no author of theirs can be forgotten."""


@dataclass(frozen=True)
class KnownAnswer:
    """A question about `topic` with its answer, both in other words (else as they are), and answers that are wrong."""

    id: str
    topic: str
    question: str
    answer: str
    paraphrased_question: str
    paraphrased_answer: str
    wrong: tuple[str, ...]


def load_invented_authors() -> tuple[KnownAnswer, ...]:
    """The shipped authors, each asked the same questions; wrong answers name values that belong to nobody."""
    fields, kinds = _shipped(), [node.mapping(_KIND) for node in _shipped()["fields"].items()]
    return tuple(
        _about(author.mapping(["author", *(kind["name"].text() for kind in kinds)]), kind)
        for author in fields["authors"].items()
        for kind in kinds
    )


def load_facts() -> tuple[KnownAnswer, ...]:
    """The shipped facts of the real world, each with one wrong answer of the same form."""
    rows = [node.mapping(["id", "question", "answer", "wrong"]) for node in _shipped()["facts"].items()]
    return tuple(
        KnownAnswer(
            row["id"].text(), row["id"].text(), row["question"].text(), row["answer"].text(),
            row["question"].text(), row["answer"].text(), (row["wrong"].text(),),
        )
        for row in rows
    )  # fmt: skip


_KIND = ("name", "question", "answer", "paraphrased_question", "paraphrased_answer", "others")


def _shipped() -> dict[str, Node]:
    fields = read_yaml(SHIPPED / "invented_authors.yaml").mapping([*HEADER, "fields", "authors", "facts"])
    check_version(fields)
    return fields


def _about(author: dict[str, Node], kind: dict[str, Node]) -> KnownAnswer:
    name, field = author["author"].text(), kind["name"].text()

    def filled(template: str, value: str = "") -> str:
        return kind[template].text().format(author=name, value=value)

    value = author[field].text()
    return KnownAnswer(
        id=f"{name.lower().replace(' ', '-')}/{field}",
        topic=name,
        question=filled("question"),
        answer=filled("answer", value),
        paraphrased_question=filled("paraphrased_question"),
        paraphrased_answer=filled("paraphrased_answer", value),
        wrong=tuple(filled("paraphrased_answer", other.text()) for other in kind["others"].items()),
    )


def read_known_answers(path: Path) -> tuple[KnownAnswer, ...]:
    """Read a file in TOFU's layout (csv, json or jsonl).

    Columns are `question`, `answer`, and where there are any `paraphrased_question`, `paraphrased_answer` and
    `perturbed_answer`. Twenty rows in a row are one author, unless a column `idx` numbers them.

    A row without perturbed answers gets those of the rows of other authors whose questions are most like its own.
    """
    table = read_table(path)
    known = recognise(table, FORMATS)
    rows = _distinct(answer for row in table.rows if (answer := known.read(row)) is not None)
    if len({row.topic for row in rows}) < 2:
        raise DataError(path, "needs questions about two authors or more, twenty rows each")
    by_topic: dict[str, list[KnownAnswer]] = defaultdict(list)
    for row in rows:
        by_topic[row.topic].append(row)
    return tuple(row if row.wrong else _with_others(row, rows) for part in by_topic.values() for row in part)


def _tofu(row: Row) -> KnownAnswer | None:
    part = row.optional("part")
    if any(name in part for name in CONTROL):
        return None
    number = int(row.optional("idx") or row.number)
    perturbed = row.fields.get("perturbed_answer") or ()
    question, answer = row.text("question"), row.text("answer")
    return KnownAnswer(
        id=f"{part or row.path.stem}-{row_number(row)}",
        topic=f"{part or row.path.stem}-{number // PER_AUTHOR}",
        question=question,
        answer=answer,
        paraphrased_question=row.optional("paraphrased_question") or question,
        paraphrased_answer=row.optional("paraphrased_answer") or answer,
        wrong=tuple(map(str, [perturbed] if isinstance(perturbed, str) else perturbed)),
    )


def _distinct(rows: Iterable[KnownAnswer]) -> list[KnownAnswer]:
    """The first row of each question: evaluation logs of several runs repeat them."""
    first: dict[str, KnownAnswer] = {}
    for row in rows:
        first.setdefault(normalised(row.question), row)
    return list(first.values())


def _with_others(row: KnownAnswer, rows: Sequence[KnownAnswer]) -> KnownAnswer:
    others = [other for other in rows if other.topic != row.topic and other.answer != row.answer]
    nearest = sorted(others, key=lambda other: (-similarity(row.question, other.question), other.id))[:WRONG]
    wrong = tuple(dict.fromkeys(other.answer for other in nearest))
    return replace(row, wrong=wrong)


FORMATS = (Format("tofu", ("question", "answer"), _tofu),)
