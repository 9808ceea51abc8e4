"""What the commands print: tables for people on stdout, as wide as the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from stepladder.cli.options import Listing

WIDTH = 130
"""Columns of a table that is not printed on a terminal."""


def print_rows(options: Listing, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """The rows as a table, or as JSON where that was asked for."""
    if options.json:
        import json

        print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2, ensure_ascii=False))
    else:
        print_table(columns, rows)


def print_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A plain table."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(Text, row))
    show(table)


def count_lines(counts: Mapping[str, int]) -> list[str]:
    """One line a count."""
    return [f"  {n:>6}  {what}" for what, n in counts.items()]


def show(*things: Any) -> None:
    """Print, as wide as the terminal."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH
    console = Console(markup=False, highlight=False, soft_wrap=False, width=width)
    for thing in things:
        console.print(thing, soft_wrap=isinstance(thing, str))
