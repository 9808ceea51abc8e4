"""The whole matrix: filled, summed up, stored in the ledger, and read again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from stepladder.calibration.fill import CELL, DETECTOR, Grow, fill
from stepladder.calibration.picture import draw_matrix
from stepladder.calibration.plan import JUDGE, Plan, cell_key, version
from stepladder.calibration.shipped import shipped_calibrations
from stepladder.calibration.summary import calibrations
from stepladder.calibration.values import Calibration, Cell, Detector, Matrix
from stepladder.core import Method, StepladderError
from stepladder.judges import get_judge
from stepladder.methods import CATALOGUE
from stepladder.organisms import Recipe, grow
from stepladder.store import Store

SUMMARY = "summary"
FOLDER = "calibration"


def calibrate(store: Store, plan: Plan, grow: Grow = grow) -> Matrix:
    """Fill the plan's cells, sum up all that the store holds of its techniques, and draw it into <store>/calibration.

    What was measured is summed up and drawn also where the run is stopped (Ctrl-C, a spent budget).
    """
    try:
        fill(store, plan, grow)
    finally:
        matrix = read_matrix(store, tuple(dict.fromkeys((*CATALOGUE, *plan.methods))))
        for calibration in matrix.calibrations:
            store.save_calibration(SUMMARY, f"{calibration.method}/{calibration.behaviour}", calibration)
        draw_matrix(matrix, store.folder / FOLDER)
    return matrix


def read_matrix(store: Store, methods: Sequence[Method] = CATALOGUE) -> Matrix:
    """What the store holds of these techniques as they are now; cells of earlier code are left out."""
    versions = {version(method, get_judge(JUDGE)): method.name for method in methods}
    cells = [cell for cell in store.calibrations(CELL, Cell).values() if cell.version in versions and _current(cell)]
    detectors = [d for d in store.calibrations(DETECTOR, Detector).values() if d.version in versions]
    today = datetime.now(UTC).date().isoformat()
    return Matrix(
        date=today,
        calibrations=calibrations(cells, today),
        silent={d.method: d.reason for d in detectors if not d.behaviours},
        refused={subject_words(cell): cell.reason for cell in cells if cell.outcome == "refused"},
        failed={f"{cell.method} on {subject_words(cell)}": cell.reason for cell in cells if cell.outcome == "failed"},
    )


def known_calibrations(store: Store) -> tuple[Calibration, ...]:
    """What this store measured, and what is shipped of the rest: for `correct`."""
    own = store.calibrations(SUMMARY, Calibration).values()
    return tuple(_first_of_each((*own, *shipped_calibrations())))


def subject_words(cell: Cell) -> str:
    """What a cell's subject was: "sycophancy (smollm2, lora, dose 1, seed 0)"."""
    twin = "twin of " if cell.clean else ""
    return f"{twin}{cell.kind} ({cell.base}, {cell.how}, dose {cell.dose:g}, seed {cell.seed})"


def _first_of_each(every: Iterable[Calibration]) -> Iterable[Calibration]:
    known: dict[tuple[str, str], Calibration] = {}
    for calibration in every:
        known.setdefault((calibration.method, calibration.behaviour), calibration)
    return known.values()


def _current(cell: Cell) -> bool:
    """Whether the organism would be grown by the same code today; a kind whose file is gone is not."""
    recipe = Recipe(
        kind=cell.kind, base=cell.base, how=cell.how, dose=cell.dose, seed=cell.seed, clean=cell.clean
    )  # fmt: skip
    try:
        return cell.key == cell_key(cell.version, recipe)
    except StepladderError:
        return False
