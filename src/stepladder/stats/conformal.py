"""Split-conformal thresholds: how high a score must be before it is flagged, with a guarantee and no model of the scores.

The calibration scores are of negatives (harmless inputs), exchangeable with those to come, one per independent unit: from
clustered data take each cluster's largest score. Flagging is *strictly* above the threshold, so ties keep the guarantee.
"""

from __future__ import annotations

import numpy as np

from stepladder.stats.estimate import Numbers, numbers


def _require_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {value}")


def threshold_rank(n: int, fpr: float, confidence: float | None = None) -> int:
    """Which of `n` ascending calibration scores (1 to n) is the threshold; n + 1 where none is high enough.

    Without `confidence`: ceil((n + 1) (1 - fpr)), for a false-positive rate of at most `fpr` on average over calibration
    sets (Papadopoulos et al. 2002). With it: the lowest rank whose false-positive rate, distributed at worst as Beta(n - k
    + 1, k), is at most `fpr` with that probability (Vovk 2012), equal to a one-sided Clopper-Pearson bound.
    """
    from scipy.stats import binom

    _require_share("fpr", fpr)
    if confidence is None:
        return int(np.ceil((n + 1) * (1 - fpr) - 1e-9))
    _require_share("confidence", confidence)
    above = np.arange(n)
    enough = binom.sf(above, n, fpr) >= confidence
    return int(n - above[enough].max()) if enough.any() else n + 1


def conformal_threshold(calibration_scores: Numbers, fpr: float, confidence: float | None = None) -> float:
    """The lowest threshold t such that flagging score > t has a false-positive rate of at most `fpr`.

    On average over calibration sets, or with probability `confidence` over them where it is given. Infinity (flag nothing)
    where there are too few scores to promise it. Raises `ValueError` for scores that are not finite or rates outside (0, 1).
    """
    ordered = np.sort(numbers(calibration_scores, "calibration_scores"))
    rank = threshold_rank(len(ordered), fpr, confidence)
    return float(ordered[rank - 1]) if rank <= len(ordered) else float("inf")


def guaranteed_fpr(n: int, fpr: float, confidence: float = 0.95) -> float:
    """With `confidence`, the false-positive rate of `conformal_threshold(scores, fpr)` on `n` scores is at most this.

    The threshold without a confidence keeps `fpr` only on average; this is what its calibration guarantees. 0 where the
    threshold is infinite.
    """
    from scipy.special import betaincinv

    _require_share("confidence", confidence)
    rank = threshold_rank(n, fpr)
    return 0.0 if rank > n else float(betaincinv(n - rank + 1, rank, confidence))
