"""Techniques against organisms with known truth: how often each is right, and what its word is then worth.

make_plan -> calibrate (fills cells, sums them up, draws them) -> Matrix of Calibrations -> correct(finding, ...)
"""

from stepladder.calibration.correct import DEFAULT_PRIOR, correct
from stepladder.calibration.matrix import calibrate, known_calibrations, read_matrix
from stepladder.calibration.plan import Plan, make_plan
from stepladder.calibration.shipped import shipped_calibrations, shipped_matrix
from stepladder.calibration.summary import calibrations
from stepladder.calibration.table import COLUMNS, notes, table_rows
from stepladder.calibration.values import Calibration, Cell, Corrected, Group, Matrix

__all__ = [
    "COLUMNS",
    "DEFAULT_PRIOR",
    "Calibration",
    "Cell",
    "Corrected",
    "Group",
    "Matrix",
    "Plan",
    "calibrate",
    "calibrations",
    "correct",
    "known_calibrations",
    "make_plan",
    "notes",
    "read_matrix",
    "shipped_calibrations",
    "shipped_matrix",
    "table_rows",
]
