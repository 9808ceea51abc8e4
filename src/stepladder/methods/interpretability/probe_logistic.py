"""Logistic regression for many labels in one pass over the activations.

All labels (and all subsets of rows: a weight of 0 leaves a row out) are columns of one problem, and every product with the
activations serves them all. Newton's method with conjugate gradients (Steihaug's truncation, without the Hessian ever being
formed), preconditioned by the one matrix that the labels share, x'x: each label's Hessian is x' diag(p (1 - p)) x, so that
after it few steps are needed. Step lengths are free: the logits along a direction are known from one product.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stepladder.methods.interpretability.probe_fits import Floats, Linear
from stepladder.models.local.linear import fast_products

INNER, OUTER = 60, 40


def fit_logistic(
    x: Floats | Tensor,
    y: Floats | Tensor,
    strength: float = 1.0,
    rows: Floats | Tensor | None = None,
    tolerance: float = 1e-5,
) -> Linear:
    """Probes of every column of `y` (n, m), each the minimum of sum_i rows_i log-loss_i + |w|^2 / (2 strength).

    As scikit-learn's `LogisticRegression(C=strength)`: the bias is not penalised. `x` is (n, d), used as it is
    (see `standardised`); `rows` (n, m) weighs rows in each problem. Stops where every gradient is below `tolerance` times
    its first.
    """
    data, labels = _tensor(x), _tensor(y)
    labels = labels[:, None] if labels.dim() == 1 else labels
    weights = torch.ones_like(labels) if rows is None else _tensor(rows).expand_as(labels)
    with fast_products():
        solution = _Problem(data, labels, weights, 1 / strength).solve(tolerance)
    return Linear(solution[:-1].numpy(), solution[-1].numpy())


def standardised(x: Floats) -> tuple[Floats, Floats, Floats]:
    """x with mean 0 and variance 1 in every coordinate, the means and the scales; what does not vary is only centred."""
    mean = x.mean(0, dtype=np.float64)
    normal = np.subtract(x, mean.astype(x.dtype), dtype=np.float32)
    scale = np.sqrt((normal**2).mean(0, dtype=np.float64))
    scale = np.where(scale > 1e-6 * max(float(np.abs(mean).max(initial=0.0)), float(scale.max(initial=0.0))), scale, 1.0)
    normal /= scale.astype(np.float32)
    return normal, mean, scale


def raw(probe: Linear, mean: Floats, scale: Floats) -> Linear:
    """The probe on raw activations that scores as `probe` does on standardised ones."""
    weights = (probe.weights.T / scale).T
    return Linear(weights, probe.bias - mean @ weights)


class _Problem:
    """The m regressions; coefficients are (d + 1, m), the bias in the last row."""

    def __init__(self, x: Tensor, y: Tensor, rows: Tensor, penalty: float) -> None:
        self.x, self.y, self.rows = x, y, rows
        self.penalty = torch.full((x.shape[1] + 1, 1), penalty)
        self.penalty[-1] = 0
        gram = self._back(torch.cat((x, torch.ones(len(x), 1)), 1))
        self.spectrum, self.basis = torch.linalg.eigh(gram.double())

    def solve(self, tolerance: float) -> Tensor:
        coefficients = torch.zeros(self.x.shape[1] + 1, self.y.shape[1])
        logits = torch.zeros_like(self.y)
        first = None
        for _ in range(OUTER):
            chance = torch.sigmoid(logits)
            gradient = self._back(self.rows * (chance - self.y)) + self.penalty * coefficients
            size = gradient.norm(dim=0)
            first = size.clamp_min(1e-30) if first is None else first
            if bool((size <= tolerance * first).all()):
                break
            curvature = self.rows * chance * (1 - chance)
            step = self._newton_step(gradient, curvature, (size / first).sqrt().clamp(max=0.3))
            move = self._logits(step)
            length = self._length(coefficients, step, logits, move)
            coefficients += length * step
            logits += length * move
        return coefficients

    def _newton_step(self, gradient: Tensor, curvature: Tensor, precision: Tensor) -> Tensor:
        """Conjugate gradients on H step = -gradient, until each residual is `precision` of its gradient."""
        soften = self._preconditioner(curvature)
        step, residual = torch.zeros_like(gradient), -gradient
        smooth = soften(residual)
        direction, product = smooth.clone(), (residual * smooth).sum(0)
        goal = precision * gradient.norm(dim=0)
        for _ in range(INNER):
            open_ones = residual.norm(dim=0) > goal
            if not bool(open_ones.any()):
                break
            bent = self._back(curvature * self._logits(direction)) + self.penalty * direction
            size = torch.where(open_ones, product / (direction * bent).sum(0).clamp_min(1e-30), 0.0)
            step += size * direction
            residual -= size * bent
            smooth = soften(residual)
            product, before = (residual * smooth).sum(0), product
            direction = smooth + product / before.clamp_min(1e-30) * direction
        return step

    def _preconditioner(self, curvature: Tensor):  # type: ignore[no-untyped-def]
        """The inverse of (mean curvature) x'x + penalty, in the eigenvectors of x'x."""
        level = curvature.mean(0).double().clamp_min(1e-12)
        scale = (self.spectrum.clamp_min(0)[:, None] * level + float(self.penalty[0]) + 1e-12).reciprocal()
        return lambda residual: (self.basis @ (scale * (self.basis.T @ residual.double()))).float()

    def _length(self, coefficients: Tensor, step: Tensor, logits: Tensor, move: Tensor) -> Tensor:
        """The step length that minimises each loss along its direction, by safeguarded Newton in one dimension."""
        length = torch.ones(step.shape[1])
        bent, pull = (self.penalty * step * step).sum(0), (self.penalty * coefficients * step).sum(0)
        low, high = torch.zeros_like(length), torch.full_like(length, torch.inf)
        for _ in range(12):
            chance = torch.sigmoid(logits + length * move)
            slope = (self.rows * (chance - self.y) * move).sum(0) + pull + length * bent
            curve = (self.rows * chance * (1 - chance) * move * move).sum(0) + bent
            low, high = torch.where(slope < 0, length, low), torch.where(slope < 0, high, length)
            if bool((slope.abs() * length <= 0.1 * curve * length**2 + 1e-12).all()):
                break
            newton = length - slope / curve.clamp_min(1e-30)
            halved = torch.where(high.isinf(), 2 * length, (low + high) / 2)
            length = torch.where((newton > low) & (newton < high), newton, halved)
        return length

    def _logits(self, coefficients: Tensor) -> Tensor:
        return torch.addmm(coefficients[-1], self.x, coefficients[:-1])

    def _back(self, values: Tensor) -> Tensor:
        return torch.cat(((values.T @ self.x).T, values.sum(0, keepdim=True)))


def _tensor(values: Floats | Tensor) -> Tensor:
    return values.float() if isinstance(values, Tensor) else torch.from_numpy(np.ascontiguousarray(values, np.float32))
