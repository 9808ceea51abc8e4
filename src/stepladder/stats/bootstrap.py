"""The BCa bootstrap (Efron 1987) over whole clusters, for statistics without an interval of their own.

For rates, means, differences and AUROC use the room's own intervals: with few clusters or rates near 0 or 1 no bootstrap
covers what it says. The percentiles are widened for few clusters as Hesterberg (2015) does, so that a mean gets about its
t interval.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from stepladder.stats.estimate import (
    Estimate,
    Floats,
    Numbers,
    cluster_index,
    make_interval,
    numbers,
    require_level,
    require_same_length,
    t_quantile,
)

FEWEST_CLUSTERS = 8


def bca(
    statistic: Callable[..., float],
    *columns: Numbers,
    clusters: Sequence[Hashable],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """`statistic(*columns)` with a BCa interval from resampled clusters; the columns of a row stay together (paired).

    `n` counts clusters. No interval below eight clusters, or where the statistic does not vary or is not finite on some
    resample. Raises `ValueError` for unequal lengths or no values.
    """
    arrays = [numbers(column, f"column {position}") for position, column in enumerate(columns, 1)]
    require_same_length(clusters=clusters, **{f"column {i}": array for i, array in enumerate(arrays, 1)})
    require_level(level)
    index, count = cluster_index(clusters)
    rows = [np.flatnonzero(index == cluster) for cluster in range(count)]
    value = float(statistic(*arrays))

    def of_clusters(chosen: Floats) -> float:
        picked = np.concatenate([rows[int(cluster)] for cluster in chosen])
        return float(statistic(*(array[picked] for array in arrays)))

    if count < FEWEST_CLUSTERS:
        return Estimate(value, None, count)
    low, high = _bca_bounds(of_clusters, count, widened_level(level, count), resamples, seed)
    interval = make_interval(min(low, value), max(high, value), level, "BCa over clusters")
    return Estimate(value, interval if low < high else None, count)


def widened_level(level: float, count: int) -> float:
    """The level whose normal quantile is the t quantile, times sqrt(n / (n - 1)) for the variance that resampling loses."""
    from scipy.special import ndtr

    return float(2 * ndtr(t_quantile(level, count - 1) * np.sqrt(count / (count - 1))) - 1)


def _bca_bounds(
    statistic: Callable[[Floats], float], count: int, level: float, resamples: int, seed: int
) -> tuple[float, float]:
    from scipy.stats import bootstrap

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # degenerate data: bounds are NaN and become "no interval"
        result = bootstrap(
            (np.arange(count),),
            statistic,
            confidence_level=level,
            n_resamples=resamples,
            method="BCa",
            vectorized=False,
            rng=np.random.default_rng(seed),
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
