"""Ship what a store holds: `python -m stepladder.calibration STORE [FILE]`; FILE is the shipped one by default."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from stepladder.calibration.matrix import read_matrix
from stepladder.calibration.shipped import FILE
from stepladder.core import StepladderError
from stepladder.store import open_store, save_text


def main(arguments: Sequence[str]) -> int:
    """Write what the store holds of the catalogue's techniques to a file that `correct` reads everywhere."""
    if not 1 <= len(arguments) <= 2:
        print("usage: python -m stepladder.calibration STORE [FILE]", file=sys.stderr)
        return 2
    target = Path(arguments[1]) if len(arguments) == 2 else FILE
    try:
        with open_store(arguments[0]) as store:
            matrix = read_matrix(store)
        save_text(target, matrix.model_dump_json(indent=1, exclude_defaults=True) + "\n")
    except StepladderError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{target}: {len(matrix.calibrations)} calibrations")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
