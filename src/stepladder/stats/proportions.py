"""Intervals for a share of independent units.

Wilson (1927) where a rate is reported; Clopper and Pearson (1934) where a bound must hold at every true rate.
"""

from __future__ import annotations

from stepladder.core.values import Interval
from stepladder.stats.estimate import make_interval, require_level, score_bounds


def require_counts(successes: float, n: float) -> None:
    """Raise `ValueError` unless 0 <= successes <= n."""
    if not 0 <= successes <= n:
        raise ValueError(f"expected 0 <= successes <= n, got {successes} of {n}")


def wilson(successes: int, n: int, level: float = 0.95) -> Interval | None:
    """Wilson's score interval for `successes` of `n` independent units; `None` for n = 0."""
    require_counts(successes, n)
    require_level(level)
    if n == 0:
        return None
    return make_interval(*score_bounds(successes / n, n, level), level, "Wilson")


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> Interval | None:
    """The exact interval of Clopper and Pearson, which covers at least `level` whatever the rate; `None` for n = 0."""
    require_counts(successes, n)
    require_level(level)
    if n == 0:
        return None
    tail = (1 - level) / 2
    low = 1 - clopper_pearson_upper(n - successes, n, 1 - tail)
    return make_interval(low, clopper_pearson_upper(successes, n, 1 - tail), level, "Clopper-Pearson")


def clopper_pearson_upper(successes: int, n: int, confidence: float = 0.95) -> float:
    """The exact one-sided upper bound on a rate: below it with at least `confidence`; 1 where nothing is known (n = 0)."""
    from scipy.special import betaincinv

    require_counts(successes, n)
    require_level(confidence)
    return 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, confidence))
