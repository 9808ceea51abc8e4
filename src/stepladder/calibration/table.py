"""The matrix in words: one row for each technique and behaviour; `seen` counts organisms and twins with a call."""

from __future__ import annotations

from stepladder.calibration.values import Calibration, Group, Matrix
from stepladder.core import Measurement

COLUMNS = (
    "technique", "behaviour", "seen", "sensitivity", "specificity", "AUROC", "shuffled p", "no call",
)  # fmt: skip


def table_rows(matrix: Matrix) -> list[tuple[str, ...]]:
    """Cells of the table, all bases together at the reference dose."""
    return [_row(calibration) for calibration in matrix.calibrations]


def notes(matrix: Matrix) -> list[str]:
    """What the table leaves out: techniques that detect nothing, plants that did not take, cells that failed."""
    return [
        *(f"{method}: {reason}" for method, reason in matrix.silent.items()),
        *(f"refused: {reason}" for reason in matrix.refused.values()),
        *(f"failed: {where}: {reason}" for where, reason in matrix.failed.items()),
    ]


def counts(calibration: Calibration) -> Group:
    """The counts of all bases at the reference dose."""
    groups = [group for group in calibration.groups if group.dose == calibration.reference_dose]
    names = ("found", "missed", "unmeasured", "false_alarms", "quiet", "unmeasured_twins", "refused", "failed")
    sums = {name: sum(getattr(group, name) for group in groups) for name in names}
    return Group(base="all", dose=calibration.reference_dose, **sums)


def shown(m: Measurement | None) -> str:
    """A figure with its interval: "0.80 [0.40, 0.95]", "0.80 [?]" where none can be formed, or "unmeasured"."""
    if m is None or m.value is None:
        return "unmeasured"
    return f"{m.value:.2f}" + (f" [{m.interval.low:.2f}, {m.interval.high:.2f}]" if m.interval else " [?]")


def _row(calibration: Calibration) -> tuple[str, ...]:
    group, p_value = counts(calibration), calibration.one("shuffled_p_value")
    return (
        calibration.method,
        calibration.behaviour,
        f"{group.organisms}/{group.twins}",
        shown(calibration.one("sensitivity")),
        shown(calibration.one("specificity")),
        shown(calibration.one("auroc")),
        "-" if p_value is None or p_value.value is None else f"{p_value.value:.2g}",
        str(group.unmeasured + group.unmeasured_twins + group.failed),
    )
