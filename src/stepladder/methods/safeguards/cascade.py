"""A two-stage cascade, and one threshold that bounds the false positives of all of it together.

The *screen* reads every request before the subject is asked: the probe on the subject's activations, as in the successor
paper, or TF-IDF where there are none. What it flags reaches the costly stage once the reply is there: the mean of every
classifier of the request and of the *exchange*, as that paper ensembles its probe with outside classifiers. Either blocks.

Scores of different classifiers are put on one scale (standard deviations above the mean of harmless texts), so the whole
cascade has a single score: the larger of its two stages. Calibrating that one score on harmless exchanges bounds the joint
false-positive rate, not only each stage's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepladder import stats

FloatArray = NDArray[np.float64]
Scores = Mapping[str, FloatArray]
"""Standardised scores by classifier, one per text; NaN for an exchange without a reply."""

INPUT, EXCHANGE = "input", "exchange"
MOMENTS = (INPUT, EXCHANGE)
CLASSIFIERS = ("tfidf_input", "tfidf_exchange", "probe_input", "probe_exchange")
FLOOR = -100.0
"""Score of the costly stage for what never reaches it; below every standardised score, which is clipped to +-50."""


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of scores on harmless texts that nothing was trained on."""

    mean: float
    deviation: float

    def apply(self, scores: FloatArray) -> FloatArray:
        """Standardised, clipped and rounded, so that the order of a sum cannot change a decision."""
        clipped = np.clip((scores - self.mean) / self.deviation, -50, 50)
        return np.asarray(np.round(clipped, 6), dtype=np.float64)


@dataclass(frozen=True)
class Bounds:
    """What the limits have to keep: the guaranteed rate, its confidence, and the share of harmless texts escalated."""

    rate: float
    confidence: float
    screen_rate: float


@dataclass(frozen=True)
class Limits:
    """Where the cascade escalates and blocks: above `screen` the costly stage is run, whose mean is put on `ensemble`.

    `threshold` is `None` where the guarantee cannot be given, and then nothing is blocked.
    """

    screen: float
    ensemble: Scale
    threshold: float | None

    def input_scores(self, scores: Scores) -> FloatArray:
        """Score of the screen."""
        return scores[screen_of(scores)]

    def exchange_scores(self, scores: Scores) -> FloatArray:
        """Score of the costly stage: `FLOOR` where the screen did not flag, or there is no reply."""
        whole = self.ensemble.apply(ensemble_mean(scores))
        return np.where((self.input_scores(scores) > self.screen) & ~np.isnan(whole), whole, FLOOR)

    def joint(self, scores: Scores) -> FloatArray:
        """Score of the cascade: it blocks where this exceeds the threshold."""
        return np.maximum(self.input_scores(scores), self.exchange_scores(scores))

    def blocks(self, scores: FloatArray) -> list[bool]:
        """Whether a stage of these scores blocks; a tie passes."""
        return [self.threshold is not None and bool(score > self.threshold) for score in scores]


def screen_of(scores: Mapping[str, object]) -> str:
    """The classifier that screens."""
    return "probe_input" if "probe_input" in scores else "tfidf_input"


def ensemble_mean(scores: Scores) -> FloatArray:
    """Mean of all classifiers, always added up in the same order."""
    names = [name for name in CLASSIFIERS if name in scores]
    return np.asarray(sum(scores[name] for name in names) / len(names), dtype=np.float64)


def text_only(scores: Scores) -> dict[str, FloatArray]:
    """The TF-IDF classifiers alone: what the baseline guard has."""
    return {name: scores[name] for name in ("tfidf_input", "tfidf_exchange")}


def fit_scale(harmless: FloatArray) -> Scale:
    """Scale of scores on held-out harmless texts."""
    return Scale(float(np.mean(harmless)), max(float(np.std(harmless)), 1e-6))


def fit_limits(tune: Scores, calibration: Scores, bounds: Bounds) -> Limits:
    """Screen and scale from `tune`, threshold from `calibration` (both harmless, standardised, and never trained on).

    The screen is fixed before the calibration scores are looked at, so the joint score of a calibration exchange is that of
    any other harmless exchange and the bound of `stats.conformal_threshold` holds for it.
    """
    screen = float(np.quantile(tune[screen_of(tune)], 1 - bounds.screen_rate))
    draft = Limits(screen, fit_scale(ensemble_mean(tune)), None)
    threshold = float(stats.conformal_threshold(draft.joint(calibration).tolist(), bounds.rate, bounds.confidence))
    return Limits(screen, draft.ensemble, threshold if np.isfinite(threshold) else None)
