"""How far raters agree beyond chance.

Intervals: the large-sample variance is turned into an effective number of items for the observed agreement, Wilson's bounds
of that are carried to the coefficient's scale. So perfect agreement on few items is not taken for certainty.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from stepladder.core.values import Interval
from stepladder.stats.estimate import (
    Estimate,
    Floats,
    cluster_index,
    make_interval,
    normal_quantile,
    require_level,
    require_same_length,
    score_bounds,
    t_quantile,
)
from stepladder.stats.proportions import wilson


def agreement(a: Sequence[Hashable], b: Sequence[Hashable], level: float = 0.95) -> Estimate:
    """Share of items that two raters label alike, with Wilson's interval."""
    require_same_length(a=a, b=b)
    same = sum(x == y for x, y in zip(a, b, strict=True))
    return Estimate(same / len(a), wilson(same, len(a), level), len(a))


def cohen_kappa(a: Sequence[Hashable], b: Sequence[Hashable], level: float = 0.95) -> Estimate | None:
    """Cohen's kappa of two raters on the same items: 0 at chance, 1 when they always agree.

    Variance of Fleiss, Cohen and Everitt (1969). `None` where both use one and the same label throughout, so that chance
    explains everything. Raises `ValueError` for unequal lengths or no items.
    """
    require_same_length(a=a, b=b)
    require_level(level)
    index, count = cluster_index([*a, *b])
    if count == 1:
        return None
    from statsmodels.stats.inter_rater import cohens_kappa

    table = np.zeros((count, count))
    np.add.at(table, (index[: len(a)], index[len(a) :]), 1)
    chance = float(table.sum(0) @ table.sum(1)) / len(a) ** 2
    with np.errstate(invalid="ignore"):  # perfect agreement has no estimated variance
        result = cohens_kappa(table)
    return _estimate(float(result.kappa), chance, float(result.var_kappa), len(a), level, "kappa on Wilson's scale")


def krippendorff_alpha(matrix: Sequence[Sequence[Hashable | None]], level: float = 0.95) -> Estimate | None:
    """Krippendorff's alpha for nominal labels: one row a rater, one column an item, `None` where a rater gave nothing.

    `n` counts the items with two labels or more; the variance is the jackknife's over them. `None` where no item has two
    labels or all labels are the same. Raises `ValueError` for rows of different lengths.
    """
    require_same_length(**{f"rater {position}": row for position, row in enumerate(matrix, 1)})
    require_level(level)
    coincidences = _coincidences(matrix)
    n = len(coincidences)
    totals = coincidences.sum(0)
    chance = _expected_agreement(totals)
    if n == 0 or chance is None:
        return None
    alpha = _alpha(totals)
    left_out = np.array([_alpha(totals - unit, chance) for unit in coincidences])
    variance = float((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    return _estimate(alpha, chance, variance, n, level, "alpha on Wilson's scale")


def _coincidences(matrix: Sequence[Sequence[Hashable | None]]) -> Floats:
    """For each item with m >= 2 labels, counts of ordered pairs of labels over m - 1; shape (items, labels, labels)."""
    items = [[label for label in item if label is not None] for item in zip(*matrix, strict=True)]
    items = [item for item in items if len(item) >= 2]
    index, count = cluster_index([label for item in items for label in item])
    ends = np.cumsum([len(item) for item in items])
    counts = [np.bincount(part, minlength=count).astype(np.float64) for part in np.split(index, ends[:-1])] if items else []
    pairs = [(np.outer(c, c) - np.diag(c)) / (c.sum() - 1) for c in counts]
    return np.array(pairs).reshape(len(items), count, count)


def _expected_agreement(totals: Floats) -> float | None:
    """Chance that two labels drawn without replacement agree; `None` where they always do."""
    marginal = totals.sum(0)
    n = marginal.sum()
    if n < 2 or marginal.max() == n:
        return None
    return float((marginal * (marginal - 1)).sum() / (n * (n - 1)))


def _alpha(totals: Floats, fallback: float | None = None) -> float:
    """Alpha from summed coincidences; `fallback` is the chance agreement where these alone have none."""
    expected = _expected_agreement(totals)
    chance = fallback if expected is None else expected
    size = totals.sum()
    if chance is None or size == 0:
        return 1.0
    return float(1 - (1 - np.trace(totals) / size) / (1 - chance))


def _estimate(value: float, chance: float, variance: float, n: int, level: float, method: str) -> Estimate:
    observed = float(np.clip(1 - (1 - value) * (1 - chance), 0, 1))
    spread = variance * (1 - chance) ** 2
    known = 0 < observed < 1 and spread > 0
    effective = min(2.0 * n, observed * (1 - observed) / spread) if known else float(n)
    interval: Interval | None = None
    if n > 1:
        effective *= (normal_quantile(level) / t_quantile(level, n - 1)) ** 2
        low, high = ((bound - chance) / (1 - chance) for bound in score_bounds(observed, effective, level))
        interval = make_interval(max(-1.0, min(low, value)), min(1.0, max(high, value)), level, method)
    return Estimate(value, interval, n)
