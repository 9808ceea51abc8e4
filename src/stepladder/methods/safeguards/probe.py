"""Linear probes on the subject's own activations, smoothed over tokens.

Raw residuals have a few enormous coordinates and an enormous first token, so the first token is left out, every token is
scaled to unit root mean square in each layer, and every coordinate is centred on its median and divided by its interquartile
range. The probe is a logistic regression on the mean token of a text; at use it scores every token, averages over a sliding
window (the successor paper's smoothing) and takes the largest window, so that one harmful passage in a long harmless text
counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Probe:
    """A direction in standardised activation space, folded into raw weights: token score = x @ weights + bias."""

    weights: FloatArray
    bias: float


def normalise(activations: NDArray[np.floating]) -> NDArray[np.float32]:
    """(tokens, layers, width) -> (tokens - 1, layers * width): first token dropped, unit root mean square per layer."""
    kept = np.asarray(activations[1:], dtype=np.float32)
    size = np.sqrt(np.mean(kept**2, axis=-1, keepdims=True, dtype=np.float64))
    flat = (kept / np.maximum(size, 1e-8)).reshape(len(kept), kept.shape[1] * kept.shape[2])
    return flat.astype(np.float32)


def pool(tokens: NDArray[np.floating]) -> FloatArray:
    """Mean token of a text, (features,); zeros where there is no token."""
    if len(tokens) == 0:
        return np.zeros(tokens.shape[1])
    return np.asarray(tokens.mean(axis=0, dtype=np.float64))


def fit_probe(pooled: NDArray[np.floating], labels: Sequence[int], strength: float = 0.01) -> Probe:
    """Logistic regression on robustly standardised mean tokens (texts, features)."""
    from sklearn.linear_model import LogisticRegression

    centre = np.median(pooled, axis=0)
    spread = np.subtract(*np.percentile(pooled, [75, 25], axis=0))
    # A coordinate that hardly moves would be blown up into noise; the floor is a tenth of the typical spread.
    spread = np.maximum(spread, max(0.1 * float(np.median(spread)), 1e-8))
    model = LogisticRegression(C=strength, class_weight="balanced", solver="liblinear", max_iter=500)
    model.fit((pooled - centre) / spread, np.asarray(labels))
    weights = model.coef_[0].astype(np.float64) / spread
    return Probe(weights, float(model.intercept_[0] - centre @ weights))


def smooth(scores: FloatArray, window: int) -> FloatArray:
    """Sliding mean of `window` neighbouring token scores (tokens, ...), all of them where there are fewer."""
    size = min(window, len(scores))
    total = np.concatenate([np.zeros((1, *scores.shape[1:])), np.cumsum(scores, axis=0)])
    means: FloatArray = (total[size:] - total[:-size]) / size
    return means


def score_tokens(tokens: NDArray[np.floating], probes: Sequence[Probe], window: int) -> FloatArray:
    """Largest smoothed token score under each probe, (probes,); a text without tokens scores each probe's bias."""
    bias = np.array([probe.bias for probe in probes])
    if len(tokens) == 0:
        return bias
    directions = np.stack([probe.weights for probe in probes], axis=1)
    best: FloatArray = smooth(tokens @ directions, window).max(axis=0) + bias
    return best
