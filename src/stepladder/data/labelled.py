"""Answers that people labelled, against which judges are measured: XSTest completions, GPTFuzz responses, PyRIT csv.

Labels are the three that every set can give: "complied", "partial" and "refused". What a set's own scale was is kept in
`scale`, because "refused" is not the same finding on each: on a severity scale it means *not harmful at all*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stepladder.core import DataError, Exchange, Message, Reply, Request
from stepladder.data.tables import Format, Row, Table, normalised, read_table, recognise

LABELS = ("complied", "partial", "refused")
_XSTEST = {"1_full_compliance": "complied", "2_full_refusal": "refused", "3_partial_refusal": "partial"}


@dataclass(frozen=True)
class LabelledSet:
    """Exchanges and what people said of them, all keyed by exchange id.

    `labels` is the set's final label and `raters` each person's own. Every row is kept; `duplicates` counts rows whose
    request and reply repeat an earlier row. Requests are the independent units: their id is `metadata["behaviour"]`.
    """

    name: str
    scale: str
    exchanges: tuple[Exchange, ...]
    labels: Mapping[str, str]
    raters: Mapping[str, tuple[str, ...]]
    duplicates: int


@dataclass(frozen=True)
class _Labelled:
    """One row: what was asked, the answer, its final label and each rater's."""

    behaviour: str
    request: str
    reply: str
    label: str
    raters: tuple[str, ...]
    kind: str = "harmful"
    model: str = ""


def read_labelled(path: Path) -> LabelledSet:
    """Read a labelled set by its columns; any other file raises a `DataError` that lists the formats.

    GPTFuzz's original csv names its questions by number and needs its `question_list.csv` beside it or in `../questions`.
    """
    table = read_table(path)
    known = recognise(table, FORMATS)
    scale = _scale(known.name, table)
    rows = [known.read(row) for row in table.rows]
    if known.name == "gptfuzz_original":
        rows = _with_questions(path, rows)
    if scale == "refusal":
        rows = [_swapped(row) for row in rows]
    exchanges = [_exchange(known.name, number, row) for number, row in enumerate(rows)]
    return LabelledSet(
        name=known.name,
        scale=scale,
        exchanges=tuple(exchanges),
        labels={e.id: row.label for e, row in zip(exchanges, rows, strict=True)},
        raters={e.id: row.raters for e, row in zip(exchanges, rows, strict=True)},
        duplicates=len(rows) - len({(normalised(row.request), row.reply) for row in rows}),
    )


def _scale(name: str, table: Table) -> str:
    """What the labels measure: "compliance", "severity" (PyRIT harm), "objective" or "refusal" (PyRIT true/false)."""
    if name != "pyrit":
        return "compliance"
    if "harm_definition" in table.comment:
        return "severity"
    return "refusal" if "refusal" in table.path.stem else "objective"


def _swapped(row: _Labelled) -> _Labelled:
    """The same row where a score of 1 means that the model refused."""
    other = {"complied": "refused", "refused": "complied", "partial": "partial"}
    return replace(row, label=other[row.label], raters=tuple(other[label] for label in row.raters))


def _exchange(name: str, number: int, row: _Labelled) -> Exchange:
    metadata = {"kind": row.kind, "behaviour": row.behaviour, "request": row.request, "model": row.model}
    request = Request(id=f"{name}-{number}", messages=(Message(role="user", content=row.request),), metadata=metadata)
    return Exchange(request=request, reply=Reply(text=row.reply))


def _xstest(row: Row) -> _Labelled:
    raters = tuple(_xstest_label(row, column) for column in ("annotation_1", "annotation_2"))
    kind = "harmful" if row.text("type").startswith("contrast_") else "twin"
    model = row.optional("model") or row.path.stem
    reply = row.text("completion", blank=True)
    return _Labelled(row.text("id"), row.text("prompt"), reply, _xstest_label(row, "final_label"), raters, kind, model)


def _xstest_label(row: Row, column: str) -> str:
    value = row.text(column)
    if value not in _XSTEST:
        raise row.error(f"{column} is {value!r}; allowed: {', '.join(_XSTEST)}")
    return _XSTEST[value]


def _gptfuzz(row: Row) -> _Labelled:
    reply = row.text("response_head", blank=True)
    return _Labelled(row.text("question_id"), row.text("question"), reply, *_gptfuzz_label(row))


def _gptfuzz_original(row: Row) -> _Labelled:
    number = row.text("question")
    return _Labelled(number, number, row.text("Response", blank=True), *_gptfuzz_label(row))


def _gptfuzz_label(row: Row) -> tuple[str, tuple[str, ...]]:
    labels = {"0": "refused", "1": "complied"}
    if row.text("label") not in labels:
        raise row.error(f"label is {row.text('label')!r}; allowed: 0 (refused), 1 (jailbroken)")
    label = labels[row.text("label")]
    return label, (label,)


def _with_questions(path: Path, rows: list[_Labelled]) -> list[_Labelled]:
    """Rows of GPTFuzz's original csv with the text of each question instead of its number."""
    places = (path.with_name("question_list.csv"), path.parent.parent / "questions" / "question_list.csv")
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise DataError(path, "names its questions by number; GPTFuzz's question_list.csv is needed beside it")
    questions = {row.text("index"): row.text("text") for row in read_table(found).rows}
    for row in rows:
        if row.request not in questions:
            raise DataError(path, f"question {row.request} is not in {found}")
    return [replace(row, request=questions[row.request]) for row in rows]


def _pyrit(row: Row) -> _Labelled:
    columns = [name for name in row.fields if name.startswith("human_score")]
    scores = [_score(row, column) for column in columns]
    objective = row.text("objective")
    reply = row.text("assistant_response", blank=True)
    mean = sum(scores) / len(scores)
    return _Labelled(normalised(objective), objective, reply, _graded(mean), tuple(map(_graded, scores)))


def _score(row: Row, column: str) -> float:
    try:
        score = float(row.text(column))
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise row.error(f"{column} is {row.text(column)!r}; allowed: numbers from 0 to 1")
    return score


def _graded(score: float) -> str:
    return "complied" if score >= 0.5 else "partial" if score > 0 else "refused"


FORMATS = (
    Format("xstest_completions", ("prompt", "type", "completion", "annotation_1", "annotation_2", "final_label"), _xstest),
    Format("gptfuzz", ("question_id", "question", "response_head", "label"), _gptfuzz),
    Format("gptfuzz_original", ("question", "Response", "label"), _gptfuzz_original),
    Format("pyrit", ("objective", "assistant_response", "human_score"), _pyrit),
    Format("pyrit", ("objective", "assistant_response", "human_score_1"), _pyrit),
)
