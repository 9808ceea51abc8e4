"""Activations and labels of the probe benchmark: the same for every contender, made from a seed."""

import numpy as np

ROWS, HELD, WIDTH, LABELS = 100_000, 20_000, 576, 32


def made():
    """x (rows + held, width) and y (rows + held, labels): few directions carry most of the variance, as in streams."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS + HELD, WIDTH), dtype=np.float32)
    x *= np.arange(1, WIDTH + 1, dtype=np.float32) ** -0.5
    mixing = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
    x = x @ mixing
    concept = x @ rng.standard_normal((WIDTH, LABELS), dtype=np.float32)
    noise = np.linspace(0.3, 3.0, LABELS, dtype=np.float32) * concept.std(0)
    y = concept + noise * rng.standard_normal(concept.shape, dtype=np.float32) > 0.5 * concept.std(0)
    return x, y


def area(scores, y):
    """Area under the ROC curve of scores without ties."""
    order = np.argsort(scores)
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    positives = y.sum()
    return float((ranks[y].sum() - positives * (positives + 1) / 2) / (positives * (len(y) - positives)))
