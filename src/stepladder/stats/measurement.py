"""From values per unit, some of them unmeasured, to a `Measurement`: the two functions that every technique calls.

Unmeasured is never safe and never dropped in silence: it is counted, bounded in the note by its worst cases, and above
the limit there is no value but the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stepladder.core.values import Baseline, Labels, Measurement
from stepladder.stats.calibration import JudgeErrors, corrected_difference, rogan_gladen
from stepladder.stats.clustered import clustered_rate, rate_and_effective_rows
from stepladder.stats.estimate import Estimate, Floats, numbers, require_same_length
from stepladder.stats.paired import paired_difference

Values = Sequence[float | None]


def rate_measurement(
    name: str,
    values: Values,
    clusters: Sequence[Hashable],
    *,
    unit: str = "share",
    baseline: Baseline | None = None,
    errors: JudgeErrors | None = None,
    labels: Labels | None = None,
    max_unmeasured: float = 0.2,
    note: str = "",
    level: float = 0.95,
) -> Measurement:
    """Mean of values in [0, 1], one a row, `None` for unmeasured; rows of the same cluster are not independent.

    Where more than `max_unmeasured` of the rows, or all, are unmeasured there is no value but a reason. `errors` (the judge
    against people) fill `corrected`. Raises `ValueError` for values outside [0, 1] or unequal lengths.
    """
    measured = _measured(values, clusters)
    known = numbers([v for v in values if v is not None], "values", 0, 1)
    groups = [cluster for cluster, keep in zip(clusters, measured, strict=True) if keep]
    unmeasured = len(values) - len(known)
    make = partial(Measurement, name=name, unit=unit, n=len(set(groups)), unmeasured=unmeasured, labels=dict(labels or {}))
    reason = unmeasured_reason(unmeasured, len(values), max_unmeasured)
    if reason:
        return make(value=None, reason=reason, baseline=baseline, note=note)
    estimate = clustered_rate(known, groups, level)
    least, most = known.sum() / len(values), (known.sum() + unmeasured) / len(values)
    return make(
        value=estimate.value,
        interval=estimate.interval,
        baseline=baseline,
        corrected=_corrected_rate(make, known, groups, errors, level) if errors else None,
        note=_joined(note, _worst_case(unmeasured, len(values), least, most, "failures or all as successes")),
    )


def difference_measurement(
    name: str,
    before: Values,
    after: Values,
    clusters: Sequence[Hashable],
    *,
    unit: str = "points",
    baseline: Baseline | None = None,
    errors: JudgeErrors | None = None,
    labels: Labels | None = None,
    max_unmeasured: float = 0.2,
    note: str = "",
    level: float = 0.95,
) -> Measurement:
    """Mean of after - before (as a share: 0.1 is ten percentage points), row i of both being the same unit.

    A pair with either side unmeasured is unmeasured. Otherwise as `rate_measurement`; the note carries the paired test.
    """
    first, second = _measured(before, clusters), _measured(after, clusters)
    keep = first & second
    start, end = _filled(before, 0.0), _filled(after, 0.0)
    groups = [cluster for cluster, kept in zip(clusters, keep, strict=True) if kept]
    unmeasured = int((~keep).sum())
    make = partial(Measurement, name=name, unit=unit, n=len(set(groups)), unmeasured=unmeasured, labels=dict(labels or {}))
    reason = unmeasured_reason(unmeasured, len(keep), max_unmeasured, "pairs")
    if reason:
        return make(value=None, reason=reason, baseline=baseline, note=note)
    estimate = paired_difference(start[keep], end[keep], groups, level)
    least, most = float((end - _filled(before, 1.0)).mean()), float((_filled(after, 1.0) - start).mean())
    test = "" if estimate.p_value is None else f"paired sign-flip test p = {estimate.p_value:.2g}"
    return make(
        value=estimate.value,
        interval=estimate.interval,
        baseline=baseline,
        corrected=_corrected_difference(make, estimate, np.append(start[keep], end[keep]), errors) if errors else None,
        note=_joined(note, test, _worst_case(unmeasured, len(keep), least, most, "the worst or all the best way")),
    )


def unmeasured_reason(unmeasured: int, total: int, limit: float, what: str = "") -> str | None:
    """Why there is no value, or `None` where enough was measured: "31 of 40 unmeasured (limit 20%)"."""
    if not 0 <= limit <= 1:
        raise ValueError(f"max_unmeasured must lie in [0, 1], got {limit}")
    if total == 0:
        return "nothing to measure"
    if unmeasured == total or unmeasured > limit * total + 1e-9:
        return f"{unmeasured} of {total}{what and ' ' + what} unmeasured (limit {100 * limit:g}%)"
    return None


def _measured(values: Values, clusters: Sequence[Hashable]) -> NDArray[np.bool_]:
    if len(values) != len(clusters):
        require_same_length(values=values, clusters=clusters)
    return np.array([value is not None for value in values], dtype=bool)


def _filled(values: Values, missing: float) -> Floats:
    return numbers([missing if value is None else value for value in values], "values", 0, 1)


def _worst_case(unmeasured: int, total: int, low: float, high: float, how: str) -> str:
    if not unmeasured:
        return ""
    return f"{unmeasured} of {total} unmeasured: worst-case bounds, counting all as {how}, are [{low:.3f}, {high:.3f}]"


def _joined(*notes: str) -> str:
    return "; ".join(part for part in notes if part)


def _corrected_rate(
    make: Callable[..., Measurement], known: Floats, groups: Sequence[Hashable], errors: JudgeErrors, level: float
) -> Measurement:
    """The rate with the judge's errors taken out, from as many rows as the clustered ones are worth."""
    reason = _uncorrectable(known, errors)
    if reason:
        return make(value=None, reason=reason)
    rate, effective, _ = rate_and_effective_rows(known, groups, level)
    estimate = rogan_gladen(rate * (effective or 1), effective or 1, errors, level)
    assert estimate is not None  # the judge's errors are correctable
    interval = estimate.interval if effective is not None else None
    return make(value=estimate.value, interval=interval, note=_calibration_note(errors))


def _corrected_difference(
    make: Callable[..., Measurement], estimate: Estimate, known: Floats, errors: JudgeErrors
) -> Measurement:
    reason = _uncorrectable(known, errors)
    corrected = None if reason else corrected_difference(estimate, errors)
    if corrected is None:
        return make(value=None, reason=reason or "a single cluster: no interval to correct")
    return make(value=corrected.value, interval=corrected.interval, note=_calibration_note(errors))


def _uncorrectable(known: Floats, errors: JudgeErrors) -> str | None:
    """Why the judge's errors cannot be taken out, or `None` where they can."""
    if not np.isin(known, (0.0, 1.0)).all():
        return "graded verdicts cannot be corrected with a calibration of yes and no"
    if not errors.positives or not errors.negatives:
        return "the judge's calibration lacks a class"
    return None if errors.correctable else "the judge was no better than chance on its calibration"


def _calibration_note(errors: JudgeErrors) -> str:
    return (
        f"judge against people: sensitivity {errors.true_positive}/{errors.positives}, "
        f"specificity {errors.true_negative}/{errors.negatives}"
    )
