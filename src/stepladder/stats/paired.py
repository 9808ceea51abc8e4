"""Paired comparison of two rates on the same units: before and after, with and without.

Interval: Bonett and Price (2012), the Wald interval after a pseudo-pair has been added to each kind of disagreement, here on
the effective number of pairs when they come in clusters, so that few or no disagreements still leave a width. Test: clusters
are flipped as a whole (before with after), exactly; for independent pairs of yes and no this is McNemar's exact test.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from stepladder.stats.clustered import cluster_robust, cluster_sums, effective_rows
from stepladder.stats.estimate import (
    Estimate,
    Floats,
    Integers,
    Numbers,
    make_interval,
    normal_quantile,
    numbers,
    require_level,
    require_same_length,
)

DRAWS = 20_000


def bonett_price(gains: float, losses: float, n: float, level: float) -> tuple[float, float]:
    """Bounds for the difference of paired rates, given the shares of pairs that gain and that lose among `n` pairs."""
    up, down = (gains * n + 1) / (n + 2), (losses * n + 1) / (n + 2)
    centre, value = up - down, gains - losses
    half = normal_quantile(level) * np.sqrt((up + down - centre**2) / (n + 2))
    return max(-1.0, min(centre - half, value)), min(1.0, max(centre + half, value))


def sign_flip_p(totals: Floats) -> float:
    """Two-sided p-value of the sum of cluster totals when each total's sign is a fair coin.

    Exact for whole-numbered totals (their distribution by convolution) and for up to 14 others (enumeration); beyond that
    20,000 draws with a fixed seed, counted with the observed one so that p is never 0.
    """
    sizes = np.abs(totals[totals != 0])
    observed = abs(float(totals.sum())) - 1e-9
    if not sizes.size:
        return 1.0
    if np.array_equal(sizes, np.round(sizes)):
        return _convolved_tail(sizes.astype(np.intp), observed)
    if sizes.size <= 14:
        signs = 1 - 2 * ((np.arange(2**sizes.size)[:, None] >> np.arange(sizes.size)) & 1)
        return float(np.mean(np.abs(signs @ sizes) >= observed))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(DRAWS, sizes.size))
    return float((1 + np.sum(np.abs(signs @ sizes) >= observed)) / (1 + DRAWS))


def _convolved_tail(sizes: Integers, observed: float) -> float:
    """P(|sum of +-sizes| >= observed): position i of the distribution is the sum 2 i - total."""
    distribution = np.ones(1)
    for size in sizes:
        shifted = np.zeros(len(distribution) + int(size))
        shifted[: len(distribution)] += distribution / 2
        shifted[int(size) :] += distribution / 2
        distribution = shifted
    sums = 2 * np.arange(len(distribution)) - int(sizes.sum())
    return float(min(1.0, distribution[np.abs(sums) >= observed].sum()))


def _bounds(difference: Floats, clusters: Sequence[Hashable], level: float) -> tuple[float, float] | None:
    """Bonett-Price bounds on the effective number of pairs; `None` for a single cluster."""
    totals, sizes = cluster_sums(difference, clusters)
    if len(sizes) < 2:
        return None
    gains, losses = float(np.maximum(difference, 0).mean()), float(np.maximum(-difference, 0).mean())
    variance, df = cluster_robust(totals, sizes)
    effective = effective_rows(variance, df, sizes, gains + losses - (gains - losses) ** 2, level)
    return bonett_price(gains, losses, effective, level)


def paired_difference(before: Numbers, after: Numbers, clusters: Sequence[Hashable], level: float = 0.95) -> Estimate:
    """Mean of after - before for values in [0, 1], row i of both being the same unit.

    For means of other numbers use `clustered_mean` on the differences. `n` is the number of clusters; one cluster has no
    interval. Raises `ValueError` for values outside [0, 1], unequal lengths or no values.
    """
    first, second = numbers(before, "before", 0, 1), numbers(after, "after", 0, 1)
    require_same_length(before=first, after=second, clusters=clusters)
    require_level(level)
    difference = second - first
    totals, sizes = cluster_sums(difference, clusters)
    bounds = _bounds(difference, clusters, level)
    method = "Bonett-Price" if len(sizes) == len(difference) else "Bonett-Price on the effective n of clusters"
    interval = make_interval(*bounds, level, method) if bounds else None
    p_value = sign_flip_p(totals) if bounds else None
    return Estimate(float(difference.mean()), interval, len(sizes), p_value)


def mcnemar(before: Numbers, after: Numbers, level: float = 0.95) -> Estimate:
    """McNemar's exact test for independent pairs of 0 and 1; the value is the difference of the two rates."""
    if not set(before) | set(after) <= {0, 1}:
        raise ValueError("before, after: McNemar's test takes only 0 and 1")
    return paired_difference(before, after, range(len(before)), level)
