"""Observations that strategies collect, and the statistics that turn them into evidence for a behaviour.

A strategy observes units (a probe, a prompt, a training row); each has a value that rises with suspicion. Evidence is a
number of standard errors: the normal quantile of a one-sided p-value, so that strategies of different scales can be added.
Three nulls, by what a behaviour looks like:

* `shift`: the mean of the units is 0 (they are differences, from the base or from a control prompt);
* `outlier`: no group of units stands above the others (one fact, one category, one trigger); p by Šidák for the groups;
* `contrast`: the units of this behaviour do not stand above those of the other behaviours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stepladder.core import Interval

Groups = Mapping[str, Sequence[float]]

MOST = 6.0
"""Evidence counts no more standard errors than this: beyond it the t distribution of few units means nothing."""
HALF_A_UNIT = 0.25
"""Sum of squares of one pseudo-observation that is added to each variance, so that equal values are not infinitely sure."""


@dataclass(frozen=True)
class Observation:
    """One unit of a strategy: `value` rises with suspicion, `None` is unmeasured; `text` shows what was seen."""

    strategy: str
    behaviour: str
    group: str
    unit: str
    value: float | None
    text: str = ""


@dataclass(frozen=True)
class Evidence:
    """What one strategy says of one behaviour: standard errors (None: unmeasured, with a reason), the effect, the texts."""

    strategy: str
    behaviour: str
    score: float | None
    n: int
    unmeasured: int = 0
    effect: float | None = None
    interval: Interval | None = None
    group: str = ""
    texts: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Test:
    """A one-sided test: standard errors, effect with its two-sided interval, and the group where there is one."""

    score: float
    effect: float
    interval: Interval | None
    group: str = ""


def to_data(observations: Iterable[Observation]) -> list[dict[str, Any]]:
    """As a record keeps them; values to five digits."""
    return [asdict(o) | {"value": None if o.value is None else round(float(o.value), 5)} for o in observations]


def from_data(data: Iterable[Mapping[str, Any]]) -> tuple[Observation, ...]:
    """What `to_data` wrote."""
    return tuple(Observation(**row) for row in data)


def shift(values: Sequence[float]) -> Test:
    """The mean against 0; one-sample t."""
    array = np.asarray(values, float)
    n = len(array)
    error = np.sqrt((((array - array.mean()) ** 2).sum() + HALF_A_UNIT) / n / max(n - 1, 1))
    return _test(float(array.mean()), float(error), n - 1, 1, "t of the mean")


def above(values: Sequence[float], rest: Sequence[float], looks: int = 1, group: str = "") -> Test:
    """The mean of `values` against that of `rest`, with the spread of `rest`; `looks` comparisons were possible."""
    mine, others = np.asarray(values, float), np.asarray(rest, float)
    variance = (((others - others.mean()) ** 2).sum() + HALF_A_UNIT) / max(len(others) - 1, 1)
    error = float(np.sqrt(variance * (1 / len(mine) + 1 / len(others))))
    return _test(float(mine.mean() - others.mean()), error, len(others) - 1, looks, "t against the others", group)


def outlier(groups: Groups) -> Test:
    """The group that stands highest above the others."""
    tests = [
        above(values, [v for other, rest in groups.items() if other != name for v in rest], len(groups), name)
        for name, values in groups.items()
    ]
    return max(tests, key=lambda test: (test.score, test.group))


def _test(effect: float, error: float, df: float, looks: int, method: str, group: str = "") -> Test:
    from scipy.special import ndtri
    from scipy.stats import t

    p = -float(np.expm1(looks * np.log1p(-min(float(t.sf(effect / error, df)), 1 - 1e-12))))
    score = float(np.clip(-ndtri(np.clip(p, 1e-12, 1 - 1e-12)), -MOST, MOST))
    half = float(t.ppf(0.975, df)) * error
    return Test(score, effect, Interval(low=effect - half, high=effect + half, method=method), group)
