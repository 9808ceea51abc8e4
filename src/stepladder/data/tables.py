"""Tables (csv, json, jsonl) whose format is recognised by their columns.

Every failure is a `DataError` with the file, the line where there is one, and what is allowed.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from stepladder.core import DataError
from stepladder.data.files import read_text

R = TypeVar("R")


@dataclass(frozen=True)
class Row:
    """One row of a table: the line where it begins (`None` within a json list) and its number, counted from 0."""

    path: Path
    line: int | None
    fields: Mapping[str, Any]
    number: int = 0

    def error(self, problem: str) -> DataError:
        """The error to raise about this row."""
        return DataError(self.path, problem if self.line else f"entry {self.number + 1}: {problem}", self.line)

    def text(self, column: str, blank: bool = False) -> str:
        """The text in `column`; a blank one is an error unless `blank` allows it."""
        value = self.fields.get(column)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.error(f"column {column!r} needs a text")
        if not blank and not str(value).strip():
            raise self.error(f"column {column!r} is blank")
        return str(value)

    def optional(self, column: str) -> str:
        """The text in `column`, or an empty text where there is none."""
        return self.text(column, blank=True) if self.fields.get(column) is not None else ""


@dataclass(frozen=True)
class Table:
    """The rows of a csv, json or jsonl file, its columns, and the comment (`# ...`) that some csv files begin with."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    comment: str = ""


def read_table(path: Path) -> Table:
    """Read a table by its file name's ending: .csv, .json (a list of objects) or .jsonl."""
    readers = {".csv": _csv_rows, ".json": _json_rows, ".jsonl": _jsonl_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(path, f"unknown kind of table {path.suffix!r}; allowed: {', '.join(readers)}")
    text = read_text(path)
    comment = text.splitlines()[0] if reader is _csv_rows and text.startswith("#") else ""
    rows = tuple(replace(row, number=number) for number, row in enumerate(reader(path, text)))
    if not rows:
        raise DataError(path, "has no rows")
    columns = dict.fromkeys(name for row in rows for name in row.fields)
    return Table(path, tuple(columns), rows, comment)


def _csv_rows(path: Path, text: str) -> Iterator[Row]:
    skipped = 1 if text.startswith("#") else 0
    body = text.split("\n", 1)[-1] if skipped else text
    reader = csv.reader(io.StringIO(body, newline=""), strict=True)
    header: list[str] | None = None
    line = skipped + 1
    try:
        for cells in reader:
            if header is None:
                header = _header(path, line, cells)
            elif cells:
                if len(cells) != len(header):
                    raise DataError(path, f"row has {len(cells)} cells, the header has {len(header)}", line)
                yield Row(path, line, dict(zip(header, cells, strict=True)))
            line = skipped + reader.line_num + 1
    except csv.Error as error:
        raise DataError(path, f"is not csv: {error}", line) from None


def _header(path: Path, line: int, cells: list[str]) -> list[str]:
    repeated = {name for name in cells if cells.count(name) > 1}
    if repeated:
        raise DataError(path, f"column {sorted(repeated)[0]!r} is given twice", line)
    return cells


def _jsonl_rows(path: Path, text: str) -> Iterator[Row]:
    for line, content in enumerate(text.split("\n"), start=1):
        if content.strip():
            yield _row(path, line, _json(path, content, line))


def _json_rows(path: Path, text: str) -> Iterator[Row]:
    rows = _json(path, text, 1)
    if not isinstance(rows, list):
        raise DataError(path, "a json file needs a list of objects; one object a line is .jsonl", 1)
    for number, fields in enumerate(rows, start=1):
        if not isinstance(fields, dict):
            raise DataError(path, f"entry {number} of the list is not an object")
        yield Row(path, None, fields)


def _json(path: Path, text: str, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(path, f"is not json: {error.msg}", line + error.lineno - 1) from None
    except (ValueError, RecursionError) as error:
        raise DataError(path, f"is not json: {error}", line) from None


def _row(path: Path, line: int, fields: Any) -> Row:
    if not isinstance(fields, dict):
        raise DataError(path, "each line needs a json object", line)
    return Row(path, line, fields)


@dataclass(frozen=True)
class Format(Generic[R]):
    """A known format: the columns that tell it from others, and how one of its rows is read."""

    name: str
    columns: tuple[str, ...]
    read: Callable[[Row], R]


def recognise(table: Table, formats: tuple[Format[R], ...]) -> Format[R]:
    """The first of `formats` all of whose columns the table has; otherwise a `DataError` that lists them."""
    for known in formats:
        if set(known.columns) <= set(table.columns):
            return known
    listed = "; ".join(f"{known.name} ({', '.join(known.columns)})" for known in formats)
    raise DataError(table.path, f"columns {', '.join(table.columns)} are of no known format; recognised: {listed}")


def normalised(text: str) -> str:
    """`text` in lower case with single spaces: what counts as the same text."""
    return " ".join(text.casefold().split())


def row_number(row: Row) -> str:
    """The row's own number where it has one (`_id`), else its place in the file."""
    return row.optional("_id") or str(row.number)
