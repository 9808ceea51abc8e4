"""What optimising a proxy does to the gold reward: best-of-n exactly, peaks, and how much is lost after them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from stepladder.core.values import Interval
from stepladder.methods.training.reward_models import Floats
from stepladder.stats import bca, clustered_mean


def best_of_n_kl(n: int) -> float:
    """KL of best-of-n from the policy that samples: log n - (n - 1)/n, exact where no two rewards are equal."""
    return math.log(n) - (n - 1) / n


def best_of_n(by: Floats, of: Floats, n: int) -> float:
    """Unbiased estimate of E[`of` the best by `by` among n samples], from N >= n samples in all.

    The sample of rank i (1 the worst) is the best of a random n-subset with chance C(i - 1, n - 1) / C(N, n); samples of
    equal `by` share what their ranks have.
    """
    total = len(by)
    order = np.argsort(by, kind="stable")
    weights = np.array([comb(rank, n - 1) / comb(total, n) for rank in range(total)])
    values, where = np.unique(by[order], return_inverse=True)
    shared = np.bincount(where, weights) / np.bincount(where)
    return float(shared[where] @ of[order]) if len(values) else float("nan")


@dataclass(frozen=True)
class Curve:
    """Rewards (units, points) at each KL: a row is an independent unit, in standard deviations from where it began."""

    kl: tuple[float, ...]
    rewards: Floats

    @property
    def mean(self) -> Floats:
        """Over the units."""
        return np.asarray(self.rewards.mean(axis=0), np.float64)

    def at(self, point: int) -> tuple[float, Interval | None]:
        """The mean at one point with a t interval over the units."""
        estimate = clustered_mean(self.rewards[:, point], range(len(self.rewards)))
        return estimate.value, estimate.interval


def peak(curve: Curve) -> tuple[float, Interval | None]:
    """KL at which the mean curve is highest, with a bootstrap interval over the units (none for fewer than eight)."""

    def highest(units: Floats) -> float:
        return curve.kl[int(np.argmax(curve.rewards[units.astype(int)].mean(axis=0)))]

    estimate = bca(highest, list(range(len(curve.rewards))), clusters=range(len(curve.rewards)))
    return estimate.value, estimate.interval


def lost_after_peak(curve: Curve) -> tuple[float, Interval | None]:
    """Gold at the peak minus gold at the end; each unit's peak is chosen by the others, so that noise adds nothing."""
    total = curve.rewards.sum(axis=0)
    drops = [row[int(np.argmax(total - row))] - row[-1] for row in curve.rewards]
    estimate = clustered_mean(drops, range(len(drops)))
    return estimate.value, estimate.interval


def standardised(values: Floats) -> Floats:
    """Rewards (prompts, samples) from each prompt's mean, in units of the spread within prompts; 0 where none differ."""
    centred = values - values.mean(axis=1, keepdims=True)
    spread = float(np.sqrt((centred**2).mean()))
    return np.asarray(centred / spread if spread > 1e-12 else centred)


def best_of_n_curve(by: Floats, of: Floats, sizes: Sequence[int]) -> Floats:
    """(prompts, sizes): `best_of_n` of every prompt (a row of `by` and `of`) at every n."""
    return np.array([[best_of_n(b, o, n) for n in sizes] for b, o in zip(by, of, strict=True)])
