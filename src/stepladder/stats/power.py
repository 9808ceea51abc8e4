"""How many units a comparison needs."""

from __future__ import annotations

import math


def sample_size_difference(p1: float, p2: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Independent units in *each* of two equal groups to tell rate `p1` from `p2` (two-sided test at `alpha`).

    Fleiss, Tytun and Ury (1980) without continuity correction. For m rows in each cluster with intraclass correlation r
    multiply by 1 + (m - 1) r to get rows. Raises `ValueError` for equal rates or values outside (0, 1) (rates may be 0 or
    1).
    """
    if not (0 <= p1 <= 1 and 0 <= p2 <= 1):
        raise ValueError(f"p1, p2: rates must lie in [0, 1], got {p1} and {p2}")
    if p1 == p2:
        raise ValueError("p1 and p2 are equal: no sample is large enough to tell them apart")
    if not (0 < power < 1 and 0 < alpha < 1):
        raise ValueError(f"power and alpha must lie between 0 and 1, got {power} and {alpha}")
    from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

    size = samplesize_proportions_2indep_onetail(p1 - p2, p2, power, alpha=alpha, alternative="two-sided")
    return max(2, math.ceil(float(size) - 1e-9))
