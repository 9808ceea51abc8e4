"""Linear probes in closed form, and LEACE; functions of arrays that know no model.

Symbols: `x` (n, d) activations, `y` (n,) labels that are True or False. A probe is a `Linear`; its score is the log-odds of
True where the method gives log-odds, else a score with its threshold at 0.

Papers: Marks and Tegmark, The Geometry of Truth (arXiv:2310.06824), mass-mean probes; Belrose et al., LEACE: Perfect linear
concept erasure in closed form (arXiv:2306.03819); Ledoit and Wolf (2004, doi:10.1016/S0047-259X(03)00096-4), shrinkage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Linear:
    """Scores `x @ weights + bias`: weights (d,) and a number, or (d, m) and (m,) for m probes at once."""

    weights: Floats
    bias: Floats

    def score(self, x: Floats) -> Floats:
        """(n,) or (n, m)."""
        scores: Floats = x @ self.weights + self.bias
        return scores


def mass_mean(x: Floats, y: Bools) -> Linear:
    """The difference of the class means, with the threshold half-way between them."""
    true, false = _means(x, y)
    return _through_middle(true - false, true, false)


def whitened_mass_mean(x: Floats, y: Bools) -> Linear:
    """The difference of means times the inverse within-class covariance: Fisher's discriminant, log-odds of two Gaussians.

    The covariance is shrunk as Ledoit and Wolf prescribe, so that there may be fewer rows than dimensions.
    """
    true, false = _means(x, y)
    centred = x - np.where(y[:, None], true, false)
    covariance = shrunk_covariance(centred)
    floor = 1e-9 * np.trace(covariance) / len(covariance) + 1e-30  # rows that are all alike have no covariance to divide by
    direction = np.linalg.solve(covariance + floor * np.eye(len(covariance)), true - false)
    return _through_middle(direction, true, false)


def shrunk_covariance(centred: Floats) -> Floats:
    """(1 - s) S + s (tr S / d) I of centred rows, with the s that Ledoit and Wolf estimate to be best in squared error."""
    rows, width = centred.shape
    sample = centred.T @ centred / rows
    level = np.trace(sample) / width
    distance = ((sample - level * np.eye(width)) ** 2).sum() / width
    # The mean over rows of |z z' - S|^2 is mean |z|^4 - |S|^2.
    noise = (((centred**2).sum(1) ** 2).mean() - (sample**2).sum()) / rows / width
    share = 1.0 if distance <= 0 else float(np.clip(noise / distance, 0.0, 1.0))
    shrunk: Floats = (1 - share) * sample + share * level * np.eye(width)
    return shrunk


@dataclass(frozen=True, eq=False)
class Eraser:
    """x -> x - left @ right @ (x - mean), of all affine maps without linear trace of the concept the one that moves x least.

    `left` (d, k) and `right` (k, d) span the oblique projection W^+ P W, k being at most the number of concept columns.
    """

    left: Floats
    right: Floats
    mean: Floats

    def erase(self, x: Floats) -> Floats:
        """(n, d) without linear trace of the concept."""
        erased: Floats = x - (x - self.mean) @ self.right.T @ self.left.T
        return erased


def fit_leace(x: Floats, z: Floats, tolerance: float = 1e-7) -> Eraser:
    """LEACE (Theorem 4.3) for the concept z, (n,) or (n, c): W = Sigma_xx^(-1/2), P onto the columns of W Sigma_xz.

    Directions in which x does not vary (relative variance below `tolerance`) are left alone.
    """
    x = np.asarray(x, np.float64)
    z = np.asarray(z, np.float64).reshape(len(x), -1)
    mean = x.mean(0)
    centred = x - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(x))
    kept = values > tolerance * values.max(initial=0.0)
    root, basis = np.sqrt(values[kept]), vectors[:, kept]
    cross = centred.T @ (z - z.mean(0)) / len(x)
    found, sizes, _ = np.linalg.svd((basis.T @ cross) / root[:, None], full_matrices=False)
    found = found[:, sizes > tolerance * sizes.max(initial=0.0)] if sizes.size else found
    return Eraser((basis * root) @ found, (basis / root @ found).T, mean)


def cosine(one: Floats, other: Floats) -> float:
    """Cosine between two vectors; 0 where one has no length."""
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length else 0.0


def _means(x: Floats, y: Bools) -> tuple[Floats, Floats]:
    return x[y].mean(0, dtype=np.float64), x[~y].mean(0, dtype=np.float64)


def _through_middle(direction: Floats, true: Floats, false: Floats) -> Linear:
    return Linear(direction, np.asarray(-direction @ (true + false) / 2))
