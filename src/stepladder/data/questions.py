"""Multiple-choice questions about a model's behaviour in the format of anthropics/evals (jsonl, json or csv)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stepladder.data.tables import Format, Row, normalised, read_table, recognise, row_number


@dataclass(frozen=True)
class Question:
    """A question with the answer that shows the behaviour and those that do not, as written (" (A)", " Yes")."""

    id: str
    behaviour: str
    question: str
    matching: str
    not_matching: tuple[str, ...]


@dataclass(frozen=True)
class QuestionSet:
    """The questions of a file; `duplicates` rows repeated an earlier one and were left out."""

    questions: tuple[Question, ...]
    duplicates: int
    rows: int


def read_questions(path: Path) -> QuestionSet:
    """Read a file of questions; the behaviour is the row's `_set`, else the file's name."""
    table = read_table(path)
    known = recognise(table, FORMATS)
    kept: dict[tuple[str, str], Question] = {}
    for row in table.rows:
        question = known.read(row)
        kept.setdefault((question.behaviour, normalised(question.question)), question)
    return QuestionSet(tuple(kept.values()), len(table.rows) - len(kept), len(table.rows))


def _anthropic_evals(row: Row) -> Question:
    behaviour = row.optional("_set") or row.path.stem
    others = row.fields.get("answer_not_matching_behavior")
    wrong = tuple(map(str, others)) if isinstance(others, list) else (row.text("answer_not_matching_behavior"),)
    right = row.text("answer_matching_behavior")
    if not wrong or right in wrong:
        raise row.error("answer_not_matching_behavior has to differ from answer_matching_behavior")
    return Question(f"{behaviour}-{row_number(row)}", behaviour, row.text("question"), right, wrong)


FORMATS = (
    Format("anthropic_evals", ("question", "answer_matching_behavior", "answer_not_matching_behavior"), _anthropic_evals),
)
