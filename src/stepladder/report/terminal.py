"""The short before/after table that ends a run in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from stepladder.core import Finding, Measurement
from stepladder.report.comparison import CONDITIONS, Comparison, headline
from stepladder.report.document import ReportInput
from stepladder.report.escape import visible
from stepladder.report.numbers import interval, label_words, number, words

if TYPE_CHECKING:
    from rich.table import Table

HEADS = ("Quantity", "Condition", "Value [95% interval]", "n", "Unmeasured", "Baseline")
Line = tuple[str, str, str, str, str, str]
PAGE_ONLY = frozenset(["attack_success_cell"])
"""Measurements of which there are hundreds: the page and the JSON have them."""


def table_lines(given: ReportInput | Mapping[str, Finding]) -> list[Line]:
    """The cells of the table, escape sequences and unseen characters made visible.

    Findings that have no quantity to compare are listed with all their measurements.
    """
    findings = given.findings if isinstance(given, ReportInput) else given
    rows = headline(findings)
    lines = [line for row in rows for line in _comparison_lines(row)] if rows else _all_lines(findings)
    return [_clean(line) for line in lines]


def _comparison_lines(row: Comparison) -> list[Line]:
    shown = [key for key in CONDITIONS if key in row.cells]
    return [_line(row.quantity if key == shown[0] else "", CONDITIONS[key], row.cells[key]) for key in shown]


def _all_lines(findings: Mapping[str, Finding]) -> list[Line]:
    shown = (m for finding in findings.values() for m in finding.measurements if m.name not in PAGE_ONLY)
    return [_line(words(m.name), label_words(m.labels), m) for m in shown]


def _line(quantity: str, condition: str, m: Measurement) -> Line:
    """The cells of one measurement; the baseline without its interval, which the page and the JSON have."""
    value = f"unmeasured: {m.reason}" if m.value is None else f"{number(m.value, m.unit)} {interval(m.interval, m.unit)}"
    base = m.baseline
    baseline = "" if base is None else f"{base.name}: {'unmeasured' if base.value is None else number(base.value, m.unit)}"
    return (quantity, condition, value, str(m.n), str(m.unmeasured), baseline)


def _clean(line: Line) -> Line:
    q, c, v, n, u, b = (visible(cell).replace("\n", " ").replace("\t", " ") for cell in line)
    return (q, c, v, n, u, b)


def console_table(given: ReportInput | Mapping[str, Finding]) -> Table:
    """A rich table for the terminal; its cells are plain text, so that nothing in them is read as markup."""
    return _table(table_lines(given))


def finding_table(finding: Finding) -> Table:
    """The same table with every measurement of one finding."""
    return _table([_clean(line) for line in _all_lines({finding.method: finding})])


def _table(lines: Sequence[Line]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in HEADS:
        table.add_column(head, justify="right" if head in ("n", "Unmeasured") else "left")
    for line in lines:
        table.add_row(*map(Text, line))
    return table


def to_text(given: ReportInput | Mapping[str, Finding]) -> str:
    """The same table as plain text with aligned columns."""
    lines = [HEADS, *table_lines(given)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADS))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)
