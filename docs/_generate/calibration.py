"""The pictures and tables of docs/calibration.md, from the shipped results or from a store; types in no figure.

python docs/_generate/calibration.py [STORE]
"""

from __future__ import annotations

import sys
from pathlib import Path

from stepladder.calibration import COLUMNS, Matrix, notes, read_matrix, shipped_matrix, table_rows
from stepladder.calibration.picture import specs, svg
from stepladder.store import open_store

DOCS = Path(__file__).resolve().parents[1]
CAPTIONS = {
    "matrix": "Organisms found of those looked at, then clean twins left alone; blue is right, pale is chance, orange is "
    "worse than chance; grey was never calibrated, or, with counts in it, left too many calls unmade for a figure.",
    "dose": "By dose: sensitivity and AUROC, with 95% intervals over planting seeds.",
    "scale": "By size of the base: sensitivity and AUROC, with 95% intervals over planting seeds.",
}


def main(arguments: list[str]) -> None:
    """Write the pictures, and one page to include with everything on it."""
    matrix = _matrix(arguments)
    for name in CAPTIONS:
        (DOCS / f"calibration_{name}.svg").unlink(missing_ok=True)
    pictures = []
    for name, spec in specs(matrix).items():
        (DOCS / f"calibration_{name}.svg").write_text(svg(spec), "utf-8")
        pictures.append(f"![{CAPTIONS[name]}](calibration_{name}.svg)\n\n{CAPTIONS[name]}\n\n")
    text = "".join(pictures) + _table(matrix) + _notes(matrix) + _source(matrix)
    if not matrix.calibrations:
        text = "No results ship with this version: nothing has been measured on its code yet.\n"
    (DOCS / "_seen_calibration.md").write_text(text, "utf-8")


def _matrix(arguments: list[str]) -> Matrix:
    if not arguments:
        return shipped_matrix()
    with open_store(arguments[0]) as store:
        return read_matrix(store)


def _table(matrix: Matrix) -> str:
    lines = [COLUMNS, ("---",) * len(COLUMNS), *table_rows(matrix)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _source(matrix: Matrix) -> str:
    groups = [group for calibration in matrix.calibrations for group in calibration.groups]
    sizes = {group.base: group.parameters for group in groups if group.parameters}
    bases = dict.fromkeys(group.base for group in groups)
    known = [base + (f" ({sizes[base] / 1e6:.3g} million parameters)" if base in sizes else "") for base in bases]
    doses = sorted({group.dose for group in groups})
    return f"\nMeasured on {matrix.date}; grown on {', '.join(known)}; dose {', '.join(f'{dose:g}' for dose in doses)}.\n"


def _notes(matrix: Matrix) -> str:
    return "\n" + "".join(f"- {note}\n" for note in notes(matrix))


if __name__ == "__main__":
    main(sys.argv[1:])
