"""Difference of two paired differences: what changed here, minus what changed in the comparison, unit by unit."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from stepladder.core.values import Interval, Measurement
from stepladder.stats import paired_difference
from stepladder.stats.measurement import unmeasured_reason

Values = Sequence[float | None]
MAX_UNMEASURED = 0.2


@dataclass(frozen=True)
class Change:
    """A paired change: row i of both is the same unit."""

    before: Values
    after: Values


def excess_measurement(
    name: str,
    change: Change,
    control: Change,
    clusters: Sequence[Hashable],
    *,
    labels: Mapping[str, str],
    level: float = 0.95,
    note: str = "",
) -> Measurement:
    """Mean of (after - before) - (control after - control before) for values in [0, 1], in points.

    Half of it is a paired difference of two means that lie in [0, 1], (before + control after) / 2 and (after + control
    before) / 2, so that the interval is Bonett and Price's, which has a width where all units agree. A unit with any of
    the four unmeasured is unmeasured.
    """
    rows = list(zip(change.before, change.after, control.before, control.after, clusters, strict=True))
    whole = [(b, a, d, c, k) for b, a, d, c, k in rows if not (b is None or a is None or d is None or c is None)]
    missing = len(rows) - len(whole)
    groups = [row[4] for row in whole]
    n = len(set(groups))
    reason = unmeasured_reason(missing, len(rows), MAX_UNMEASURED, "units")
    if reason:
        return Measurement(
            name=name, value=None, unit="points", n=n, unmeasured=missing, reason=reason, labels=dict(labels), note=note
        )
    first = [(before + control_after) / 2 for before, _, _, control_after, _ in whole]
    second = [(after + control_before) / 2 for _, after, control_before, _, _ in whole]
    estimate = paired_difference(first, second, groups, level)
    return Measurement(
        name=name, value=2 * estimate.value, unit="points", interval=_doubled(estimate.interval), n=n, unmeasured=missing,
        labels=dict(labels), note=note,
    )  # fmt: skip


def _doubled(interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    return Interval(low=2 * interval.low, high=2 * interval.high, level=interval.level, method=interval.method)


def lower(measurement: Measurement) -> float | None:
    """The lower end of its interval, or `None` where it has none."""
    return measurement.interval.low if measurement.interval else None
