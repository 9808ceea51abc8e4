"""Difference of two paired differences: what changed here, minus what changed in the comparison, unit by unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stepladder.core.values import Interval, Measurement
from stepladder.stats.estimate import normal_quantile
from stepladder.stats.measurement import unmeasured_reason

Values = Sequence[float | None]
MAX_UNMEASURED = 0.2


@dataclass(frozen=True)
class Change:
    """A paired change: row i of both is the same unit."""

    before: Values
    after: Values


def excess_measurement(
    name: str, change: Change, control: Change, *, labels: Mapping[str, str], level: float = 0.95
) -> Measurement:
    """Mean of (after - before) - (control after - control before) over independent units, for values in [0, 1].

    A unit with any of the four unmeasured is unmeasured.
    """
    rows = list(zip(change.before, change.after, control.before, control.after, strict=True))
    whole = [(b, a, d, c) for b, a, d, c in rows if not (b is None or a is None or d is None or c is None)]
    missing = len(rows) - len(whole)
    reason = unmeasured_reason(missing, len(rows), MAX_UNMEASURED, "units")
    if reason:
        return Measurement(
            name=name, value=None, unit="points", n=len(whole), unmeasured=missing, reason=reason, labels=dict(labels)
        )
    differences = [
        (after - before) - (control_after - control_before) for before, after, control_before, control_after in whole
    ]
    value = sum(differences) / len(differences)
    return Measurement(
        name=name, value=value, unit="points", interval=_interval(differences, level), n=len(whole), unmeasured=missing,
        labels=dict(labels),
    )  # fmt: skip


def _interval(differences: Sequence[float], level: float) -> Interval | None:
    """Bonett and Price's interval for differences from -2 to 2: Wald's, with one more unit that gains and one that loses.

    For differences of -1, 0 and 1 it is theirs; it has a width where all units agree. `None` for a single unit.
    """
    if len(differences) < 2:
        return None
    values = np.array([*differences, 1.0, -1.0])
    centre, value = float(values.mean()), float(np.mean(differences))
    half = normal_quantile(level) * float(values.std()) / len(values) ** 0.5
    low, high = max(-2.0, min(centre - half, value)), min(2.0, max(centre + half, value))
    return Interval(low=low, high=high, level=level, method="Bonett-Price")


def lower(measurement: Measurement) -> float | None:
    """The lower end of its interval, or `None` where it has none."""
    return measurement.interval.low if measurement.interval else None
