"""The calibration that ships with the package, and how it is made from a store.

python -m stepladder.calibration.shipped runs [FILE]
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from stepladder.calibration.values import Calibration, Matrix

FILE = Path(__file__).parent / "results.json"


def shipped_matrix(path: Path = FILE) -> Matrix:
    """The shipped matrix; an empty one where none is shipped. Raises `StoreError` for a file that is none."""
    return Matrix.from_json(path.read_bytes()) if path.is_file() else Matrix()


@cache
def shipped_calibrations() -> tuple[Calibration, ...]:
    """The shipped calibrations of all techniques."""
    return shipped_matrix().calibrations
