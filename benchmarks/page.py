"""The docs page of figures, made from results.json and the notes beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.rows import RESULTS, ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
NOTES = Path(__file__).with_name("notes.md")

HEAD = """# Figures against peers

Made by `make bench` from `benchmarks/results.json`: ratios within one run on one machine, each peer in an environment of its
own. A ratio above 1 means ours is better. The share of peak is the arithmetic that the useful tokens need over the measured
bf16 matrix product.

| figure | peer | ours | theirs | unit | ratio | share of peak | note |
|---|---|---|---|---|---|---|---|
"""


def write() -> None:
    """Write the page; `docs/benchmarks.md` holds no figure that is not in results.json."""
    rows = json.loads(RESULTS.read_text())
    table = "".join(f"| {' | '.join(_cells(row))} |\n" for row in rows)
    made = sorted({(row["date"], row["machine"]) for row in rows})
    where = "".join(f"\nMeasured {date} on {machine}.\n" for date, machine in made)
    PAGE.write_text(HEAD + table + where + "\n" + NOTES.read_text("utf-8"), encoding="utf-8")


def _cells(row: dict[str, Any]) -> list[str]:
    def shown(value: float | None, form: str = "{:.4g}") -> str:
        return "" if value is None else form.format(value)

    return [
        row["name"], row["peer"], shown(row["ours"]), shown(row["theirs"]), row["unit"], shown(row["ratio"], "{:.1f}×"),
        shown(row["share_of_peak"], "{:.1%}"), row["note"],
    ]  # fmt: skip
