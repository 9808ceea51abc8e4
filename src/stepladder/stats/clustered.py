"""Rates and means of rows that come in clusters, with few clusters in mind.

Rows of one cluster (samples of one behaviour, turns of one conversation) are not independent; clusters are. The variance is
the bias-reduced sandwich CR2 with the degrees of freedom of Bell and McCaffrey (2002), which for an intercept have the
closed forms below. A mean gets a t interval. A rate gets Wilson's interval on the effective sample size (Korn and Graubard
1998, with Wilson in place of Clopper-Pearson, which covers more than it says), so that it never leaves [0, 1] and never
has zero width.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

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
    score_bounds,
    t_quantile,
)


def cluster_sums(values: Floats, clusters: Sequence[Hashable]) -> tuple[Floats, Floats]:
    """Total of the values and number of rows of each cluster, each of shape (clusters,)."""
    index, count = cluster_index(clusters)
    totals = np.bincount(index, weights=values, minlength=count).astype(np.float64)
    return totals, np.bincount(index, minlength=count).astype(np.float64)


def cluster_robust(totals: Floats, sizes: Floats) -> tuple[float, float]:
    """CR2 variance of the mean over all rows and its Bell-McCaffrey degrees of freedom; needs two clusters.

    With h = sizes / rows, the leverage of a cluster: V = sum_k (S_k - m_k mean)^2 / (1 - h_k) / rows^2, unbiased for
    independent rows. The degrees of freedom are (tr C)^2 / ||C||^2 for C the covariance of the adjusted residual sums.
    Equal clusters give the ordinary variance of the cluster means and clusters - 1.
    """
    rows = sizes.sum()
    slack = 1 - sizes / rows
    variance = ((totals - sizes * totals.sum() / rows) ** 2 / slack).sum() / rows**2
    cross = sizes**2 / (rows * slack)
    df = rows**2 / ((sizes**2).sum() + cross.sum() ** 2 - (cross**2).sum())
    return float(variance), float(df)


def effective_rows(variance: float, df: float, sizes: Floats, bound: float, level: float) -> float:
    """How many independent rows the clustered ones are worth.

    `bound` is the variance of one row at its largest: rate (1 - rate) for values in [0, 1]. The design effect never counts
    below 1, and the fewer degrees of freedom behind it are paid for by the squared ratio of t quantiles. Where all rows
    agree the data say nothing about the clustering, and each cluster counts as one row (Kish's n for unequal ones).
    """
    rows = float(sizes.sum())
    if bound < 1e-12:
        return rows**2 / float((sizes**2).sum())
    design_effect = max(1.0, variance / (bound / (rows - 1)))
    return rows / design_effect * (t_quantile(level, rows - 1) / t_quantile(level, df)) ** 2


def rate_and_effective_rows(values: Floats, clusters: Sequence[Hashable], level: float) -> tuple[float, float | None, int]:
    """Share, effective number of rows (`None` for a single cluster), and number of clusters."""
    totals, sizes = cluster_sums(values, clusters)
    rate = float(np.clip(totals.sum() / sizes.sum(), 0.0, 1.0))
    if len(sizes) < 2:
        return rate, None, len(sizes)
    variance, df = cluster_robust(totals, sizes)
    return rate, effective_rows(variance, df, sizes, rate * (1 - rate), level), len(sizes)


def clustered_rate(values: Numbers, clusters: Sequence[Hashable], level: float = 0.95) -> Estimate:
    """Mean over all rows of values in [0, 1], with Wilson's interval on the effective sample size.

    Rows that are each their own cluster give the plain Wilson interval. Graded values are treated as if they were as
    variable as yes and no of the same mean, which is conservative. `n` is the number of clusters; one cluster has no
    interval. Raises `ValueError` for values outside [0, 1], unequal lengths or no values.
    """
    array = numbers(values, "values", 0, 1)
    require_same_length(values=array, clusters=clusters)
    require_level(level)
    rate, effective, count = rate_and_effective_rows(array, clusters, level)
    if effective is None:
        return Estimate(rate, None, count)
    bounds = score_bounds(rate, effective, level)
    method = "Wilson" if count == len(array) else "Wilson on the effective n of clusters"
    return Estimate(rate, make_interval(*bounds, level, method), count)


def clustered_mean(values: Numbers, clusters: Sequence[Hashable], level: float = 0.95) -> Estimate:
    """Mean over all rows of any numbers, with a t interval from the clusters (CR2, Bell-McCaffrey).

    No interval for one cluster, or where the clusters do not vary. Raises `ValueError` for unequal lengths or no values.
    """
    array = numbers(values, "values")
    require_same_length(values=array, clusters=clusters)
    require_level(level)
    totals, sizes = cluster_sums(array, clusters)
    mean = float(totals.sum() / sizes.sum())
    if len(sizes) < 2:
        return Estimate(mean, None, len(sizes))
    variance, df = cluster_robust(totals, sizes)
    half = t_quantile(level, df) * np.sqrt(variance)
    return Estimate(mean, make_interval(mean - half, mean + half, level, "clustered t (CR2)"), len(sizes))
