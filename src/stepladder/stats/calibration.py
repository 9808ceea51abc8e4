"""A judge's own errors, measured against people, taken out of what it reports (Rogan and Gladen 1978).

The interval carries the uncertainty of the calibration too: at each candidate p the observed rate q is compared with
p Se + (1 - p) (1 - Sp), the Wilson limits of q, Se and Sp being combined as in MOVER (Zou and Donner 2008), and the
candidates that fit are kept. So the interval always contains the corrected point, is never of zero width, grows to [0, 1]
when the judge may be no better than chance, and is Wilson's for a judge known to be perfect. Its assumption, that the
judge errs on these data as often as on its calibration data, no interval can check.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from stepladder.stats.estimate import Estimate, make_interval, require_level, score_bounds
from stepladder.stats.proportions import require_counts


@dataclass(frozen=True)
class JudgeErrors:
    """A judge against human labels: how many of people's positives it called positive and negative, and so on."""

    true_positive: int
    false_negative: int
    true_negative: int
    false_positive: int

    def __post_init__(self) -> None:
        if min(self.true_positive, self.false_negative, self.true_negative, self.false_positive) < 0:
            raise ValueError(f"counts must not be negative: {self}")

    @property
    def positives(self) -> int:
        """How many items people called positive."""
        return self.true_positive + self.false_negative

    @property
    def negatives(self) -> int:
        """How many items people called negative."""
        return self.true_negative + self.false_positive

    @property
    def correctable(self) -> bool:
        """Whether both classes were seen and the judge was better than chance, so that its errors can be taken out."""
        if not (self.positives and self.negatives):
            return False
        return self.true_positive / self.positives + self.true_negative / self.negatives > 1


@dataclass(frozen=True)
class _Rate:
    """A share with the distances to its Wilson bounds."""

    value: float
    down: float
    up: float

    @classmethod
    def of(cls, successes: float, n: float, level: float) -> _Rate:
        low, high = score_bounds(successes / n, n, level)
        return cls(successes / n, successes / n - low, high - successes / n)


def _sensitivity_specificity(errors: JudgeErrors, level: float) -> tuple[_Rate, _Rate]:
    return (
        _Rate.of(errors.true_positive, errors.positives, level),
        _Rate.of(errors.true_negative, errors.negatives, level),
    )


def _last_accepted(accepts: Callable[[float], bool], inside: float, outside: float) -> float:
    """The end of the accepted candidates between `inside` (accepted) and `outside`, by bisection; errs outwards."""
    if accepts(outside):
        return outside
    for _ in range(50):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if accepts(middle) else (inside, middle)
    return outside


def rogan_gladen(positives: float, n: float, errors: JudgeErrors, level: float = 0.95) -> Estimate | None:
    """True share behind `positives` of `n` that a judge with these errors reported, clipped to [0, 1].

    Counts may be fractional (an effective sample size). `None` where the calibration lacks a class or the judge was no
    better than chance on it: then no value of the share can be told from another. Raises `ValueError` for bad counts.
    """
    require_counts(positives, n)
    require_level(level)
    if n <= 0:
        raise ValueError("n must be above 0")
    if not errors.correctable:
        return None
    sensitivity, specificity = _sensitivity_specificity(errors, level)
    observed = _Rate.of(positives, n, level)
    # A rate below what false positives alone give (or above what the judge can find) says 0 (or 1), with its uncertainty.
    rate = min(max(observed.value, 1 - specificity.value), sensitivity.value)
    point = (rate + specificity.value - 1) / (sensitivity.value + specificity.value - 1)
    point = min(max(point, 0.0), 1.0)

    def excess(p: float) -> float:
        return rate - p * sensitivity.value - (1 - p) * (1 - specificity.value)

    def may_be_lower(p: float) -> bool:
        return excess(p) <= math.sqrt(observed.down**2 + (p * sensitivity.up) ** 2 + ((1 - p) * specificity.down) ** 2)

    def may_be_higher(p: float) -> bool:
        return -excess(p) <= math.sqrt(observed.up**2 + (p * sensitivity.down) ** 2 + ((1 - p) * specificity.up) ** 2)

    low, high = _last_accepted(may_be_lower, point, 0.0), _last_accepted(may_be_higher, point, 1.0)
    return Estimate(point, make_interval(low, high, level, "Rogan-Gladen by MOVER"), round(n))


def corrected_difference(difference: Estimate, errors: JudgeErrors) -> Estimate | None:
    """A difference of two rates that the same judge reported, divided by Se + Sp - 1, its uncertainty included.

    Assumes that the judge errs equally often on both sides. `None` as in `rogan_gladen`, and without an interval to start
    from.
    """
    if difference.interval is None or not errors.correctable:
        return None
    level, sign = difference.interval.level, -1.0 if difference.value < 0 else 1.0
    ends = sorted((sign * difference.interval.low, sign * difference.interval.high))
    size = abs(difference.value)
    down, up = size - ends[0], ends[1] - size
    sensitivity, specificity = _sensitivity_specificity(errors, level)
    youden = sensitivity.value + specificity.value - 1
    weaker, stronger = math.hypot(sensitivity.down, specificity.down), math.hypot(sensitivity.up, specificity.up)
    size = min(size, youden)

    def may_be_lower(d: float) -> bool:
        return size - d * youden <= math.hypot(down, d * (stronger if d > 0 else weaker))

    def may_be_higher(d: float) -> bool:
        return d * youden - size <= math.hypot(up, d * weaker)

    low, high = _last_accepted(may_be_lower, size / youden, -1.0), _last_accepted(may_be_higher, size / youden, 1.0)
    low, high = sorted((sign * low, sign * high))
    method = "paired difference over Youden's J by MOVER"
    return Estimate(sign * size / youden, make_interval(low, high, level, method), difference.n, difference.p_value)
