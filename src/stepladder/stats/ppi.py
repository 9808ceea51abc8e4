"""Prediction-powered inference for a mean (PPI++, Angelopoulos, Duchi and Zrnic, arXiv:2311.01453).

Few labels by people, many by a machine, one valid interval. The weight of the machine is tuned to its worth on the
labelled items, so a useless labeller costs next to nothing and a good one narrows the interval. Departures from the paper,
all for small samples: the weight stays within [0, 1]; Student's t and a residual variance with n - 2 degrees of freedom
in place of the normal limit; and for shares Wilson's interval on the effective sample size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stepladder.stats.estimate import (
    Estimate,
    Floats,
    Numbers,
    make_interval,
    numbers,
    require_level,
    require_same_length,
    score_bounds,
    t_quantile,
)


@dataclass(frozen=True)
class _Powered:
    """The tuned estimate with its variance (`None` for fewer than three labels) and degrees of freedom."""

    mean: float
    variance: float | None
    df: int
    n: int


def power_weight(labels: Floats, predictions: Floats, unlabelled: Floats) -> float:
    """The weight lambda of the machine that minimises the variance: cov(Y, f) / ((1 + n/N) var(f)), within [0, 1]."""
    spread = float(np.concatenate([predictions, unlabelled]).var(ddof=1))
    if spread <= 0:
        return 0.0
    covariance = float(np.cov(labels, predictions, ddof=1)[0, 1])
    weight = covariance / ((1 + len(labels) / len(unlabelled)) * spread)
    return min(weight, 1.0) if weight > 1e-9 else 0.0


def _powered(labels: Floats, predictions: Floats, unlabelled: Floats) -> _Powered:
    require_same_length(labels=labels, predictions_labelled=predictions)
    if not len(unlabelled):
        raise ValueError("predictions_unlabelled: no values")
    n = len(labels)
    if n < 3:
        return _Powered(float(labels.mean()), None, 0, n)
    weight = power_weight(labels, predictions, unlabelled)
    mean = float(labels.mean() + weight * (unlabelled.mean() - predictions.mean()))
    residual = labels - weight * predictions
    df = n - 2 if weight > 0 else n - 1  # a weight that was fitted costs one more
    variance = float(((residual - residual.mean()) ** 2).sum() / df / n)
    return _Powered(mean, variance + weight**2 * float(unlabelled.var()) / len(unlabelled), df, n)


def ppi_mean(
    labels: Numbers,
    predictions_labelled: Numbers,
    predictions_unlabelled: Numbers,
    level: float = 0.95,
) -> Estimate:
    """Mean of the labels over the whole population; any numbers, independent items, labelled ones drawn at random.

    `labels` and `predictions_labelled` are of the same items. `n` counts labels. No interval for fewer than three labels or
    where nothing varies. Raises `ValueError` for unequal lengths or no values.
    """
    require_level(level)
    powered = _powered(
        numbers(labels, "labels"),
        numbers(predictions_labelled, "predictions_labelled"),
        numbers(predictions_unlabelled, "predictions_unlabelled"),
    )
    if powered.variance is None:
        return Estimate(powered.mean, None, powered.n)
    half = t_quantile(level, powered.df) * np.sqrt(powered.variance)
    return Estimate(powered.mean, make_interval(powered.mean - half, powered.mean + half, level, "PPI++ t"), powered.n)


def ppi_rate(
    labels: Numbers,
    predictions_labelled: Numbers,
    predictions_unlabelled: Numbers,
    level: float = 0.95,
) -> Estimate:
    """`ppi_mean` for labels and predictions in [0, 1]: the interval stays inside and always has a width."""
    require_level(level)
    powered = _powered(
        numbers(labels, "labels", 0, 1),
        numbers(predictions_labelled, "predictions_labelled", 0, 1),
        numbers(predictions_unlabelled, "predictions_unlabelled", 0, 1),
    )
    rate = float(np.clip(powered.mean, 0, 1))
    if powered.variance is None:
        return Estimate(rate, None, powered.n)
    rows = float(powered.n)
    ceiling = rows + len(predictions_unlabelled)
    known = 0 < rate < 1 and powered.variance > 0
    effective = min(ceiling, rate * (1 - rate) / powered.variance) if known else rows
    effective *= (t_quantile(level, ceiling) / t_quantile(level, powered.df)) ** 2
    return Estimate(rate, make_interval(*score_bounds(rate, effective, level), level, "PPI++ on Wilson's scale"), powered.n)
