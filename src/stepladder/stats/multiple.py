"""Many tests at once."""

from __future__ import annotations

from typing import Literal, get_args

from stepladder.stats.estimate import Numbers, numbers

Adjustment = Literal["holm", "fdr_bh", "bonferroni"]


def adjust_p_values(p: Numbers, method: Adjustment = "holm") -> list[float]:
    """Adjusted p-values, in order.

    `holm` (Holm 1979) and `bonferroni` bound the chance of any false rejection; `fdr_bh` (Benjamini and Hochberg 1995) the
    expected share of false ones among the rejected. Raises `ValueError` for values outside [0, 1] or another method.
    """
    if method not in get_args(Adjustment):
        raise ValueError(f"method {method!r}; allowed: {', '.join(get_args(Adjustment))}")
    values = numbers(p, "p", 0, 1)
    if not values.size:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(value) for value in multipletests(values, method=method)[1]]
