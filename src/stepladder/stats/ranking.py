"""How well scores tell two classes apart: area under the ROC curve, and recall at a fixed false-positive rate.

AUROC: the variance of DeLong et al. (1988), with clusters as Obuchowski (1997); the interval is Wilson's on the effective
sample size that this variance implies, since the Wald interval covers 40 to 90% near 1 or with few of one class. Recall at
a fixed false-positive rate: the threshold is estimated too, so the interval runs from Wilson's lower bound at the strictest
threshold that the negatives allow (by their order statistics) to the upper bound at the most lenient. That is wider than
need be for smooth scores and needed for tied ones, where the recall jumps between thresholds.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from stepladder.stats.clustered import rate_and_effective_rows
from stepladder.stats.estimate import (
    Estimate,
    Floats,
    Integers,
    Numbers,
    cluster_index,
    make_interval,
    numbers,
    require_level,
    require_same_length,
    score_bounds,
    t_quantile,
)


def auroc(
    scores: Numbers, labels: Sequence[int | bool], level: float = 0.95, clusters: Sequence[Hashable] | None = None
) -> Estimate | None:
    """P(a positive scores above a negative), ties counting half; chance is 0.5.

    `labels` are 0 and 1. `clusters` names what is independent (default: every row). `n` counts clusters. `None` where a
    class is missing; no interval where a class comes from fewer than two clusters. Raises `ValueError` for bad input.
    """
    score, positive, groups = _checked(scores, labels, level, clusters)
    if positive.all() or not positive.any():
        return None
    index, count = cluster_index(groups)
    placed = placements(score, positive)
    area = float(placed[positive].mean())
    independent = [len(np.unique(index[part])) for part in (positive, ~positive)]
    if min(independent) < 2:
        return Estimate(area, None, count)
    variance = delong_variance(placed, positive, index)
    effective = _effective_rows(area, variance, min(positive.sum(), (~positive).sum()), min(independent), level)
    return Estimate(area, make_interval(*score_bounds(area, effective, level), level, "DeLong on Wilson's scale"), count)


def placements(score: Floats, positive: NDArray[np.bool_]) -> Floats:
    """For each row, the share of the other class that it stands on the right side of (ties count half)."""
    high, low = np.sort(score[positive]), np.sort(score[~positive])

    def below(ordered: Floats, values: Floats) -> Floats:
        sides = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
        return np.asarray(sides / (2 * len(ordered)))

    placed = np.empty(len(score))
    placed[positive] = below(low, score[positive])
    placed[~positive] = 1 - below(high, score[~positive])
    return placed


def delong_variance(placed: Floats, positive: NDArray[np.bool_], index: Integers) -> float:
    """Variance of the AUROC: squared influences summed by cluster; DeLong's to the digit where every row is a cluster."""
    influence = np.empty(len(placed))
    for part in (positive, ~positive):
        independent = len(np.unique(index[part]))
        correction = np.sqrt(independent / (independent - 1))
        influence[part] = correction * (placed[part] - placed[part].mean()) / part.sum()
    return float((np.bincount(index, weights=influence) ** 2).sum())


def _effective_rows(area: float, variance: float, rows: int, independent: int, level: float) -> float:
    """Effective n; at most twice the smaller class, because a variance estimated near a perfect score is too small.

    A perfect score has no estimated variance at all: the smaller class's clusters are the independent trials.
    """
    if not 0 < area < 1:
        return float(independent)
    ceiling = 2.0 * rows
    effective = min(ceiling, area * (1 - area) / variance) if variance > 0 else ceiling
    return effective * (t_quantile(level, rows - 1) / t_quantile(level, independent - 1)) ** 2


def recall_at_fpr(
    scores: Numbers,
    labels: Sequence[int | bool],
    fpr: float = 0.01,
    level: float = 0.95,
    clusters: Sequence[Hashable] | None = None,
) -> Estimate | None:
    """Share of positives above the lowest threshold that at most a share `fpr` of the negatives exceed; chance is `fpr`.

    The interval is for the recall at the *population's* threshold. With fewer than about 3.7 / fpr negatives nothing
    bounds that threshold from above, and the interval starts at 0. For the recall of one given threshold use
    `clustered_rate`. `None` where a class is missing; no interval where a class comes from fewer than two clusters. Raises
    `ValueError` for bad input.
    """
    if not 0 < fpr < 1:
        raise ValueError(f"fpr must lie between 0 and 1, got {fpr}")
    score, positive, groups = _checked(scores, labels, level, clusters)
    if positive.all() or not positive.any():
        return None
    count = len(set(groups))
    caught, negatives = score[positive], np.sort(score[~positive])[::-1]
    threshold = negatives[int(np.floor(fpr * len(negatives) + 1e-9))]
    hit = (caught > threshold).astype(np.float64)
    value, rows, _ = rate_and_effective_rows(hit, [g for g, p in zip(groups, positive, strict=True) if p], level)
    others = [g for g, p in zip(groups, positive, strict=True) if not p]
    bracket = _threshold_bracket(score[~positive], others, threshold, fpr, level)
    if rows is None or bracket is None:
        return Estimate(value, None, count)
    lenient, strict = ((caught > end).mean() for end in bracket)
    bounds = score_bounds(float(strict), rows, level)[0], score_bounds(float(lenient), rows, level)[1]
    return Estimate(value, make_interval(*bounds, level, "Wilson over the threshold's order statistics"), count)


def _threshold_bracket(
    negatives: Floats, groups: Sequence[Hashable], threshold: float, fpr: float, level: float
) -> tuple[float, float] | None:
    """Order statistics that enclose the population's threshold; infinite above where the negatives are too few.

    The number of n negatives above the true threshold is Binomial(n, fpr); clusters shrink n to its effective size.
    """
    from scipy.stats import binom

    _, effective, _ = rate_and_effective_rows((negatives > threshold).astype(np.float64), groups, level)
    if effective is None:
        return None
    size = max(1, round(effective))
    fewest, most = binom.ppf([(1 - level) / 2, (1 + level) / 2], size, fpr) * len(negatives) / size
    ordered = np.concatenate([[np.inf], np.sort(negatives)[::-1], [-np.inf]])
    return float(ordered[min(int(np.ceil(most)), len(negatives)) + 1]), float(ordered[int(np.floor(fewest))])


def _checked(
    scores: Numbers, labels: Sequence[int | bool], level: float, clusters: Sequence[Hashable] | None
) -> tuple[Floats, NDArray[np.bool_], Sequence[Hashable]]:
    score = numbers(scores, "scores")
    groups = range(len(score)) if clusters is None else clusters
    require_same_length(scores=score, labels=labels, clusters=groups)
    require_level(level)
    if not set(labels) <= {0, 1}:
        raise ValueError("labels: only 0 and 1 are allowed")
    return score, np.asarray(labels, dtype=bool), groups
