"""Errors that a user sees: one clear line each that says what is wrong and what is allowed.

Everything a user can cause derives from `StepladderError`; the command line prints its message without a traceback and
exits with `exit_code`. Any other exception is a bug of ours and keeps its traceback.
"""

import math
from pathlib import Path


class StepladderWarning(UserWarning):
    """Something worth knowing that does not stop the work."""


class StepladderError(Exception):
    """A failure that the user can understand and mend."""

    exit_code = 2


class UnknownName(StepladderError):
    """A name that is not in a closed list: a model, judge, method, attack."""

    def __init__(self, kind: str, name: str, allowed: "list[str] | tuple[str, ...]") -> None:
        super().__init__(f"unknown {kind} {name!r}; allowed: {', '.join(allowed)}")


class AccessError(StepladderError):
    """More access was asked for than a model gives."""


class ModelUnavailable(StepladderError):
    """A model cannot be reached, loaded, or answers nonsense."""

    exit_code = 3


class DataError(StepladderError):
    """A file that cannot be read as what it should be; names the file, the line, and what is allowed."""

    def __init__(self, path: "Path | str", problem: str, line: int | None = None) -> None:
        place = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{place}: {problem}")


class StoreError(StepladderError):
    """The store cannot be read or written (read-only folder, full disk, written by a newer version)."""

    exit_code = 4


class BudgetExceeded(StepladderError):
    """The budget ran out; what was done so far is stored, and the same command goes on from there."""

    exit_code = 5


class MissingExtra(StepladderError):
    """An optional dependency is not installed; the message says how to get it."""


def require_between(technique: str, option: str, value: float, least: float, most: float = math.inf) -> None:
    """Raise a `StepladderError` that names the option if its value is not in [least, most]."""
    if not least <= value <= most:
        allowed = f"{least} or more" if most == math.inf else f"{least} to {most}"
        raise StepladderError(f"{technique}: {option} is {value}; allowed: {allowed}")
