"""How good a label is, as numbers with an interval: pure functions of what was foretold and what was true.

Accuracy, F1 and AUC of detection and fuzzing are those of delphi (Paulo et al., arXiv:2410.13928), Pearson's r of simulation
is that of Bills et al. (2023). Rows of one document are not independent; documents are.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from stepladder.stats import Estimate, auroc, clustered_rate
from stepladder.stats.estimate import make_interval, t_quantile

Floats = NDArray[np.float64]


def accuracy(truth: Sequence[bool], predicted: Sequence[float], documents: Sequence[Hashable]) -> Estimate:
    """Share of rows on the right side of one half; chance is 0.5 where both classes are equally many."""
    right = [float((p >= 0.5) == bool(t)) for t, p in zip(truth, predicted, strict=True)]
    return clustered_rate(right, documents)


def f1(truth: Sequence[bool], predicted: Sequence[float], documents: Sequence[Hashable]) -> Estimate | None:
    """Harmonic mean of precision and recall at one half; `None` where nothing is true or called.

    F1 = 2 J / (1 + J) for J the share of hits among the rows that are true or called, which is a plain rate: its interval,
    put through the same function, is F1's.
    """
    called = [p >= 0.5 for p in predicted]
    union = [i for i, t in enumerate(truth) if t or called[i]]
    if not union:
        return None
    jaccard = clustered_rate([float(truth[i] and called[i]) for i in union], [documents[i] for i in union])
    ends = jaccard.interval
    interval = ends and make_interval(_from_jaccard(ends.low), _from_jaccard(ends.high), ends.level, ends.method)
    return Estimate(_from_jaccard(jaccard.value), interval, jaccard.n)


def _from_jaccard(share: float) -> float:
    return 2 * share / (1 + share)


def area(truth: Sequence[bool], predicted: Sequence[float], documents: Sequence[Hashable]) -> Estimate | None:
    """Area under the ROC curve, ties counting half; chance is 0.5."""
    return auroc(list(predicted), [int(t) for t in truth], clusters=documents)


def pearson(x: Floats, y: Floats) -> float | None:
    """Pearson's r; `None` where one of them does not vary."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))


def sums(predicted: Floats, true: Floats) -> list[float]:
    """What `correlation` needs of a window: n, the sums of x, y, x^2, y^2 and xy."""
    x, y = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    return [float(len(x)), *(float(part.sum()) for part in (x, y, x * x, y * y, x * y))]


def correlation(rows: Sequence[Sequence[float]], documents: Sequence[Hashable], level: float = 0.95) -> Estimate:
    """Pearson's r over the tokens of all windows, each given by its `sums`.

    A rule that foretells the same everywhere scores 0, as it says nothing. The interval is on Fisher's z, with the variance
    of r from its influence function, zx zy - r (zx^2 + zy^2) / 2, summed within documents (their sums need no single token).
    """
    parts = np.array(rows, np.float64)
    n, mx, my, vx, vy, r = _moments(parts.sum(0))
    if r is None:
        return Estimate(0.0, None, len(set(documents)))
    influence = _influence(parts, mx, my, vx, vy, r) / n
    groups = dict.fromkeys(documents, 0.0)
    for document, value in zip(documents, influence, strict=True):
        groups[document] += value
    count = len(groups)
    if count < 2 or 1 - r * r < 1e-12:
        return Estimate(r, None, count)
    variance = sum(value**2 for value in groups.values()) * count / (count - 1)
    half = t_quantile(level, count - 1) * np.sqrt(variance) / (1 - r * r)
    z = np.arctanh(r)
    low, high = min(np.tanh(z - half), r), max(np.tanh(z + half), r)
    return Estimate(r, make_interval(low, high, level, "Fisher z, clustered by document"), count)


def _moments(total: Floats) -> tuple[float, float, float, float, float, float | None]:
    n, x, y, xx, yy, xy = total
    mx, my = x / n, y / n
    vx, vy = xx / n - mx * mx, yy / n - my * my
    if vx <= 1e-12 * (xx / n + 1e-300) or vy <= 1e-12 * (yy / n + 1e-300):
        return n, mx, my, vx, vy, None
    return n, mx, my, vx, vy, float(np.clip((xy / n - mx * my) / np.sqrt(vx * vy), -1, 1))


def _influence(parts: Floats, mx: float, my: float, vx: float, vy: float, r: float) -> Floats:
    """Sum of the influence function over each window's tokens."""
    n, x, y, xx, yy, xy = parts.T
    cross = (xy - mx * y - my * x + n * mx * my) / np.sqrt(vx * vy)
    square_x = (xx - 2 * mx * x + n * mx * mx) / vx
    square_y = (yy - 2 * my * y + n * my * my) / vy
    result: Floats = cross - r * (square_x + square_y) / 2
    return result
