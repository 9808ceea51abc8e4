"""Do single latents stand for concepts, and where do they fail to: sparse probing, absorption, splitting. Pure functions.

* Sparse probing (Gurnee et al., arXiv:2305.01610): a logistic regression on the k latents whose mean differs most between
  the classes, against one on the activations and one on k random latents.
* Absorption (Chanin et al., arXiv:2409.14507; the fraction as in SAEBench, arXiv:2503.09532): a latent for "begins with s"
  stays silent on "snake" because the latent for snakes brings that direction along.
* Splitting: one latent of a small dictionary becomes several in a larger one, each for a part of where it was active.

Codes are (n, d_sae) arrays, zero where a latent is inactive; labels are booleans (n).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepladder.core import Baseline, Measurement
from stepladder.stats import auroc, rate_measurement

Array = NDArray[np.float32] | NDArray[np.float64]
Flags = NDArray[np.bool_]

SPLIT_GAIN = 0.03
"""Another latent belongs to the concept if it raises F1 by this much (Chanin et al., section 4)."""
MOST_LATENTS = 5
"""How many latents a concept is looked for in, at most."""
COSINE, FULL_COSINE, FULL_SHARE, ABSORBERS = 0.1, 0.025, 0.4, 3
"""SAEBench's: cosine of an absorbing latent with the probe (in part, in full), share of the projection, how many at most."""


@dataclass(frozen=True)
class Probe:
    """A logistic regression: scores are x @ direction + offset."""

    direction: Array
    offset: float

    def scores(self, x: Array) -> Array:
        """(n) scores of rows (n, width); positive means the concept is there."""
        return x @ self.direction + self.offset


def fit_probe(x: Array, labels: Flags, penalty: float = 1.0) -> Probe:
    """Logistic regression on standardised columns with classes weighted equally, in the columns' own units."""
    from sklearn.linear_model import LogisticRegression

    scale = x.std(0)
    scale = np.where(scale > 1e-8, scale, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged after 200 steps is near enough for a ranking
        fitted = LogisticRegression(C=1 / penalty, max_iter=200, class_weight="balanced").fit(x / scale, labels)
    return Probe(fitted.coef_[0] / scale, float(fitted.intercept_[0]))


def f1(predicted: Flags, labels: Flags) -> float:
    """2 true positives / (predicted + labelled); 0 where nothing is right."""
    both = int((predicted & labels).sum())
    return 2 * both / max(int(predicted.sum()) + int(labels.sum()), 1)


def latents_by_difference(codes: Array, labels: Flags) -> NDArray[np.intp]:
    """All latents, those first whose mean is higher on the concept by most."""
    return np.argsort(-(codes[labels].mean(0) - codes[~labels].mean(0)), kind="stable")


def sparse_probe_auc(
    train: Array, train_labels: Flags, test: Array, test_labels: Flags, columns: Sequence[int] | NDArray[np.intp]
) -> float:
    """AUROC on test rows of a logistic regression on those columns."""
    return auroc_of(fit_probe(train[:, columns], train_labels).scores(test[:, columns]), test_labels)


def auroc_of(scores: Array, labels: Flags) -> float:
    """AUROC; one half where a class is missing."""
    found = auroc(np.asarray(scores, np.float64), labels.astype(int).tolist())
    return 0.5 if found is None else found.value


def concept_latents(codes: Array, labels: Flags) -> list[int]:
    """The latents of a concept: the one that differs most, and further ones as long as each raises F1 by `SPLIT_GAIN`."""
    order, chosen, best = latents_by_difference(codes, labels), 1, -1.0
    for k in range(1, min(MOST_LATENTS, codes.shape[1]) + 1):
        columns = order[:k]
        reached = f1(fit_probe(codes[:, columns], labels).scores(codes[:, columns]) > 0, labels)
        if reached < best + SPLIT_GAIN:
            break
        chosen, best = k, reached
    return [int(latent) for latent in order[:chosen]]


def absorption(
    x: Array, codes: Array, decoder: Array, direction: Array, latents: Sequence[int]
) -> tuple[NDArray[np.float64], Flags]:
    """For rows that have the concept: the share of it that other latents bring along (n), and where they bring all (n).

    `x` (n, width) are activations less the decoder's bias, `decoder` (d_sae, width), `direction` (width) a probe's for the
    concept, `latents` the concept's own. A latent contributes its code times the projection of its row on the direction.
    In full: the concept's latents are silent, and the largest contribution is from a row of cosine `FULL_COSINE` or more
    and is at least `FULL_SHARE` of the projection of x. In part: what up to `ABSORBERS` rows of cosine `COSINE` or more
    contribute, of that and what the concept's latents do; 0 where the latter suffice.
    """
    unit = direction / np.linalg.norm(direction)
    along = decoder @ unit
    cosines = along / np.maximum(np.linalg.norm(decoder, axis=1), 1e-12)
    given, wanted = codes * along, x @ unit
    own = given[:, list(latents)].sum(1)
    others = given.copy()
    others[:, list(latents)] = -np.inf
    rows, best = np.arange(len(x)), others.argmax(1)
    top = others[rows, best]
    full = (codes[:, list(latents)] <= 0).all(1) & (cosines[best] >= FULL_COSINE) & (wanted > 0)
    full &= top >= FULL_SHARE * wanted
    allowed = np.where(cosines >= COSINE, np.maximum(others, 0), 0)
    absorbing = np.sort(allowed, axis=1)[:, ::-1][:, :ABSORBERS].sum(1)
    share = absorbing / np.maximum(absorbing + np.maximum(own, 0), 1e-12)
    share[(own >= wanted) | (absorbing <= 0)] = 0.0
    return share, full


PART, COVER, SUBSET = 0.05, 0.8, 0.8


def split_counts(small: Flags, large: Flags) -> list[int | None]:
    """Into how many latents of a larger dictionary each latent of a small one has split.

    `small` (n, latents) and `large` (n, latents) say which latents are active at the same tokens. A part of a latent is one
    that is active almost only where it is (`SUBSET` of the time) and at more than `PART` of its tokens. The count is how
    many parts, the largest first, it takes to cover `COVER` of its tokens: 1 where it was kept, more where it split, `None`
    where its parts never cover it. Latents that are never active have no entry.
    """
    joint = small.T.astype(np.float32) @ large.astype(np.float32)
    sizes, parts = small.sum(0), large.sum(0)
    counts: list[int | None] = []
    for latent in np.flatnonzero(sizes):
        fits = (joint[latent] >= SUBSET * np.maximum(parts, 1)) & (joint[latent] > PART * sizes[latent])
        counts.append(_cover(small[:, latent], large[:, np.flatnonzero(fits)]))
    return counts


def split_measurement(
    counts: Sequence[int | None], by_chance: Sequence[int | None], labels: Mapping[str, str] | None = None
) -> Measurement:
    """Share of a small dictionary's latents that split in two or more, of those that are found again at all.

    `by_chance` are the counts with the large dictionary's tokens shuffled: how many latents are then found again is in the
    note. The unit is a latent; one whose parts do not cover it is unmeasured.
    """
    values = [None if count is None else float(count > 1) for count in counts]
    again = [sum(count is not None for count in part) for part in (counts, by_chance)]
    note = f"{again[0]} of {len(counts)} latents are found again; with shuffled tokens {again[1]} of {len(by_chance)}"
    kept = Baseline(name="every latent kept as it is", value=0.0)
    units = list(range(len(values)))
    return rate_measurement("split_share", values, units, baseline=kept, labels=labels, note=note, max_unmeasured=0.9)


def _cover(whole: Flags, parts: Flags) -> int | None:
    """How many of the parts, chosen greedily, cover `COVER` of the whole."""
    left, count = whole.copy(), 0
    while left.sum() > (1 - COVER) * whole.sum():
        gains = (parts & left[:, None]).sum(0) if parts.size else np.zeros(1)
        if gains.max() == 0:
            return None
        left &= ~parts[:, int(gains.argmax())]
        count += 1
    return count
