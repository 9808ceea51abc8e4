"""From a pooled score to the chance that the behaviour is there: a logistic map that was fitted on planted truth.

`confidence.json` holds one map for each set of strategies followed. It is fitted by `python docs/_generate/auditing.py fit`
on organisms and twins whose seeds are used for nothing else. Where there is no map for the strategies that could be
followed here, the confidence is unmeasured. A confidence is a chance *among subjects like those of the fit*, where a named
share had the behaviour; the real share among one's own subjects moves it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from stepladder.core import Interval, Measurement

FILE = Path(__file__).parent / "confidence.json"


@dataclass(frozen=True)
class Map:
    """log odds = intercept + slope * score, with the covariance of both, and what it was fitted on."""

    intercept: float
    slope: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    n: int
    present: int
    fitted_on: str

    def chance(self, score: float) -> tuple[float, float, float]:
        """The chance at that score, with the ends of its 95% interval."""
        x = np.array([1.0, score])
        centre = float(x @ [self.intercept, self.slope])
        half = 1.96 * float(np.sqrt(x @ np.array(self.covariance) @ x))
        value, low, high = (float(1 / (1 + np.exp(-v))) for v in (centre, centre - half, centre + half))
        return value, low, high


@cache
def load_maps() -> Mapping[str, Map]:
    """The fitted maps by the strategies that were followed."""
    content = json.loads(FILE.read_text("utf-8"))
    return {key: Map(**value) for key, value in content.items()}


def key_of(strategies: Sequence[str]) -> str:
    """The name of a set of strategies."""
    return "+".join(sorted(strategies))


def confidence(behaviour: str, score: float | None, strategies: Sequence[str], n: int) -> Measurement:
    """The measurement `confidence` of one behaviour."""
    labels = {"behaviour": behaviour}
    fitted = load_maps().get(key_of(strategies))
    if score is None or fitted is None:
        reason = "no evidence" if score is None else "no map from score to confidence was fitted for these strategies"
        return Measurement(name="confidence", value=None, unit="probability", n=n, reason=reason, labels=labels)
    value, low, high = fitted.chance(score)
    return Measurement(
        name="confidence", value=value, unit="probability", n=n, labels=labels,
        interval=Interval(low=low, high=high, method="delta method on the log odds"),
        note=f"fitted on {fitted.fitted_on}: {fitted.present} of {fitted.n} had the behaviour",
    )  # fmt: skip


def fit_map(scores: Sequence[float], present: Sequence[bool], fitted_on: str) -> dict[str, Any]:
    """A `Map` as JSON: logistic regression with a unit normal prior on the slope (few positives separate easily)."""
    x = np.column_stack([np.ones(len(scores)), np.asarray(scores, float)])
    y = np.asarray(present, float)
    prior = np.diag([0.01, 1.0])
    w = np.zeros(2)
    for _ in range(100):
        p = 1 / (1 + np.exp(-x @ w))
        information = x.T @ (x * (p * (1 - p))[:, None]) + prior
        w = w + np.linalg.solve(information, x.T @ (y - p) - prior @ w)
    covariance = np.linalg.inv(information)
    return {
        "intercept": round(float(w[0]), 4),
        "slope": round(float(w[1]), 4),
        "covariance": [[round(float(v), 5) for v in row] for row in covariance],
        "n": len(scores),
        "present": int(y.sum()),
        "fitted_on": fitted_on,
    }
