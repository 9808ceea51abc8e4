"""What all of the room shares: the `Estimate`, checks of input, quantiles, and the score interval for an effective n."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepladder.core.values import Interval

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Numbers = Sequence[float] | Floats


@dataclass(frozen=True)
class Estimate:
    """A value, its interval (`None` where none can be formed), the number of independent units, and a p-value if tested."""

    value: float
    interval: Interval | None
    n: int
    p_value: float | None = None


def numbers(values: Numbers, name: str, low: float = -np.inf, high: float = np.inf) -> Floats:
    """`values` as a one-dimensional float array; `ValueError` where one is not finite or not in [low, high]."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected one dimension, got {array.ndim}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: all values must be finite numbers")
    if array.size and (array.min() < low or array.max() > high):
        raise ValueError(f"{name}: values must lie in [{low:g}, {high:g}], got {array.min():g} to {array.max():g}")
    return array


def require_same_length(**columns: Sequence[object] | NDArray[np.generic]) -> None:
    """Raise `ValueError` that names the lengths unless all columns are equally long and not empty."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError("lengths differ: " + ", ".join(f"{name} {length}" for name, length in lengths.items()))
    if 0 in lengths.values():
        raise ValueError(f"{', '.join(lengths)}: no values")


def require_level(level: float) -> None:
    """Raise `ValueError` unless 0 < level < 1."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")


def cluster_index(clusters: Sequence[Hashable]) -> tuple[Integers, int]:
    """For each row the number of its cluster (0, 1, ... in order of appearance), and how many clusters there are."""
    known: dict[Hashable, int] = {}
    index = np.array([known.setdefault(cluster, len(known)) for cluster in clusters], dtype=np.intp)
    return index, len(known)


def normal_quantile(level: float) -> float:
    """Two-sided critical value of the normal distribution."""
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))


def t_quantile(level: float, df: float) -> float:
    """Two-sided critical value of Student's t with (possibly fractional) `df` degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(df, (1 + level) / 2))


def make_interval(low: float, high: float, level: float, method: str) -> Interval | None:
    """An `Interval`, or `None` where the two ends are not finite or do not differ."""
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        return None
    return Interval(low=float(low), high=float(high), level=level, method=method)


def score_bounds(rate: float, n: float, level: float) -> tuple[float, float]:
    """Wilson's score bounds for an observed `rate` on an effective sample size `n` > 0, which need not be whole.

    Always contains `rate` and always has a width; exactly 0 (1) at the end where the rate is 0 (1).
    """
    extra = normal_quantile(level) ** 2 / n
    centre = (rate + extra / 2) / (1 + extra)
    half = np.sqrt(extra * rate * (1 - rate) + extra**2 / 4) / (1 + extra)
    low = 0.0 if rate <= 0 else min(max(centre - half, 0.0), rate)
    high = 1.0 if rate >= 1 else max(min(centre + half, 1.0), rate)
    return float(low), float(high)
