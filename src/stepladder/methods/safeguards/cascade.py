"""A two-stage cascade at two moments, and one threshold that bounds the false positives of all of it together.

The moments are the *input* (before the subject is asked) and the *exchange* (after it replied). At each, TF-IDF screens
everything; only what it flags reaches the costly stage, the mean of the TF-IDF and the probe score, as the successor paper
ensembles its probe with an outside classifier. A subject without activations has the screen's score alone.

Scores of different classifiers are put on one scale (standard deviations above the mean of harmless texts), so the whole
cascade has a single score: the larger of its two moments. Calibrating that one score on harmless exchanges bounds the joint
false-positive rate, not only each stage's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepladder import stats

FloatArray = NDArray[np.float64]

INPUT, EXCHANGE = "input", "exchange"
MOMENTS = (INPUT, EXCHANGE)
CLASSIFIERS = ("tfidf_input", "tfidf_exchange", "probe_input", "probe_exchange")
FLOOR = -100.0
"""Score of what the screen let pass; below every standardised score, which is clipped to +-50."""


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of a classifier's scores on harmless texts it was not trained on."""

    mean: float
    deviation: float

    def apply(self, scores: FloatArray) -> FloatArray:
        """Standardised, clipped and rounded, so that the order of a sum cannot change a decision."""
        clipped = np.clip((scores - self.mean) / self.deviation, -50, 50)
        return np.asarray(np.round(clipped, 6), dtype=np.float64)


@dataclass(frozen=True)
class Limits:
    """Where the cascade escalates and where it blocks.

    `screens` holds, per moment, the TF-IDF score above which the costly stage is run; it is empty where there is no costly
    stage. `threshold` is `None` where the guarantee cannot be given, and then nothing is blocked.
    """

    screens: Mapping[str, float]
    threshold: float | None
    threshold_tfidf: float | None


def fit_scale(harmless: FloatArray) -> Scale:
    """Scale of a classifier from its raw scores on held-out harmless texts."""
    return Scale(float(np.mean(harmless)), max(float(np.std(harmless)), 1e-6))


def moment_score(tfidf: FloatArray, probe: FloatArray | None, screen: float | None) -> FloatArray:
    """Score of one moment: the screen's alone, or the ensemble where the screen flags and `FLOOR` where it does not."""
    if probe is None or screen is None:
        return tfidf
    return np.where(tfidf > screen, np.round((tfidf + probe) / 2, 6), FLOOR)


def cascade_scores(scores: Mapping[str, FloatArray], screens: Mapping[str, float]) -> dict[str, FloatArray]:
    """Score of each moment from the standardised scores of the classifiers (`CLASSIFIERS`, those that there are)."""
    return {m: moment_score(scores[f"tfidf_{m}"], scores.get(f"probe_{m}"), screens.get(m)) for m in MOMENTS}


def joint(moments: Mapping[str, FloatArray]) -> FloatArray:
    """Score of the whole cascade: it blocks where this exceeds its threshold."""
    return np.maximum(moments[INPUT], moments[EXCHANGE])


def fit_limits(
    tune: Mapping[str, FloatArray],
    calibration: Mapping[str, FloatArray],
    *,
    rate: float,
    confidence: float,
    screen_rate: float,
) -> Limits:
    """Screens from `tune`, thresholds from `calibration` (both harmless, standardised, and never trained on).

    The screens are fixed before the calibration scores are looked at, so the joint score of a calibration exchange is that
    of any other harmless exchange and the bound of `stats.conformal_threshold` holds for it.
    """
    screened = "probe_input" in tune
    screens = {m: float(np.quantile(tune[f"tfidf_{m}"], 1 - screen_rate)) for m in MOMENTS} if screened else {}
    whole = joint(cascade_scores(calibration, screens))
    plain = joint(cascade_scores(calibration, {}))
    return Limits(screens, _threshold(whole, rate, confidence), _threshold(plain, rate, confidence))


def decide(moments: Mapping[str, float], threshold: float | None) -> str | None:
    """The moment that blocks (the input comes first), or `None`."""
    if threshold is None:
        return None
    return next((moment for moment in MOMENTS if moment in moments and moments[moment] > threshold), None)


def _threshold(scores: Sequence[float] | FloatArray, rate: float, confidence: float) -> float | None:
    value = float(stats.conformal_threshold(scores, rate, confidence=confidence))
    return value if np.isfinite(value) else None
