"""The control: what the AUROC is when organisms and twins change names, and how often chance does as well.

Labels are exchanged for whole clusters at a time (an organism becomes the twin and its twin the organism), which under
the null hypothesis changes nothing, whatever the organisms of one planting seed have in common.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from stepladder.stats.estimate import Floats, cluster_index

EXACT = 12
"""Up to so many clusters all exchanges are tried; beyond, `DRAWS` of them."""
DRAWS = 4000


def shuffled_aurocs(scores: Sequence[float], planted: Sequence[bool], clusters: Sequence[Hashable]) -> Floats:
    """The AUROC under every (or many a) way of exchanging the labels of whole clusters; the first is the true one."""
    index, count = cluster_index(clusters)
    flips = _flips(count)[:, index]
    return _aurocs(np.asarray(scores, dtype=np.float64), np.asarray(planted, dtype=bool) ^ flips)


def p_value(aurocs: Floats) -> float:
    """Share of exchanges whose AUROC is at least the true one; one-sided, since a score is to rise with suspicion."""
    return float((aurocs >= aurocs[0] - 1e-12).mean())


def _flips(count: int) -> NDArray[np.bool_]:
    """Which clusters are exchanged, one row a try; the first row exchanges none."""
    if count <= EXACT:
        return np.array(list(product((False, True), repeat=count)), dtype=bool)
    drawn = np.random.default_rng(0).random((DRAWS, count)) < 0.5
    return np.vstack([np.zeros((1, count), dtype=bool), drawn])


def _aurocs(scores: Floats, labels: NDArray[np.bool_]) -> Floats:
    """One AUROC for each row of labels, from the sum of the positives' ranks (Mann and Whitney); ties count half."""
    from scipy.stats import rankdata

    positives = labels.sum(1)
    wins = labels @ rankdata(scores) - positives * (positives + 1) / 2
    return np.asarray(wins / (positives * (len(scores) - positives)))
