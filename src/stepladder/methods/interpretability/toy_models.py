"""Toy models of superposition, hundreds at once: ReLU(W^T W x + b) trained to give back sparse features x.

Elhage et al., Toy Models of Superposition (https://transformer-circuits.pub/2022/toy_model/index.html). Each of n features
is 0 or, with probability `density`, uniform on [0, 1]; the model has fewer hidden dimensions m than features, and the
squared error of feature i counts `importance[i]` times. Models of one shape are trained together, as batched matrix
products, on gradients written out by hand. Like all small networks they fall into local optima, so a unit can be the best
of several starts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

EVALUATED = 4096
LEARNING_RATE = 0.03


@dataclass(frozen=True)
class Setting:
    """One kind of data and model: importance of each feature, density, hidden dimensions, and whether there is a ReLU."""

    importance: tuple[float, ...]
    density: float
    hidden: int
    relu: bool = True


@dataclass(frozen=True)
class Toys:
    """Trained models: W (settings, units, n, m) with a feature a row, b (settings, units, n), loss (settings, units)."""

    W: Tensor
    b: Tensor
    loss: Tensor


def sample(density: Tensor, size: int, units: int, features: int, generator: torch.Generator) -> Tensor:
    """Sparse features (settings, units, size, n); settings share their draws, units do not."""
    strength, active = (torch.rand(units, size, features, generator=generator) for _ in range(2))
    return torch.where(active < density.view(-1, 1, 1, 1), strength, 0.0)


def train_toys(
    settings: Sequence[Setting], units: int, restarts: int, steps: int, batch: int = 128, seed: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> Toys:  # fmt: skip
    """Train units x restarts models of each setting, all of one shape; of the restarts the one of lowest loss is kept."""
    n, m, groups = len(settings[0].importance), settings[0].hidden, len(settings)
    generator = torch.Generator().manual_seed(seed)
    shape = (groups, units, restarts)
    W = (torch.randn(*shape, n, m, generator=generator) / n**0.5).flatten(0, 2)
    b = torch.zeros(len(W), 1, n)
    density = torch.tensor([setting.density for setting in settings])
    importance = torch.tensor([setting.importance for setting in settings]).repeat_interleave(units * restarts, 0)[:, None]
    linear = torch.tensor([not s.relu for s in settings]).repeat_interleave(units * restarts)[:, None, None]
    optimizer = torch.optim.Adam([W, b], lr=LEARNING_RATE)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, 20 * (step + 1) / steps) * (1 - step / steps)
        x = sample(density, batch, units, n, generator).repeat_interleave(restarts, 1).flatten(0, 1)
        W.grad, b.grad = gradients(W, b, x, importance, linear)
        optimizer.step()
        advance(1)
    x = sample(density, EVALUATED, units, n, generator)
    losses = torch.stack([
        _losses(W.view(*shape, n, m)[:, :, i], b.view(*shape, 1, n)[:, :, i], x, settings) for i in range(restarts)
    ], 2)  # fmt: skip
    best = losses.argmin(2, keepdim=True)
    kept = best[..., None, None].expand(-1, -1, -1, n, m)
    return Toys(
        W.view(*shape, n, m).gather(2, kept)[:, :, 0],
        b.view(*shape, n).gather(2, best[..., None].expand(-1, -1, -1, n))[:, :, 0],
        losses.gather(2, best)[..., 0],
    )


def gradients(W: Tensor, b: Tensor, x: Tensor, importance: Tensor, linear: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the mean over the batch of sum_i I_i (x'_i - x_i)^2 in W (models, n, m) and b (models, 1, n).

    With h = x W, z = h W^T + b, x' = relu(z) and e = 2 I (x' - x) where z > 0: dW = e^T h + x^T (e W), db = sum e.
    """
    h = x @ W
    z = torch.baddbmm(b, h, W.transpose(1, 2))
    on = (z > 0) | linear
    e = z.sub_(x).mul_(on).mul_(importance * (2 / x.shape[1]))
    return e.transpose(1, 2) @ h + x.transpose(1, 2) @ (e @ W), e.sum(1, keepdim=True)


def _losses(W: Tensor, b: Tensor, x: Tensor, settings: Sequence[Setting]) -> Tensor:
    """Loss of each model, (settings, units), on x (settings, units, size, n)."""
    z = x @ W @ W.transpose(-1, -2) + b
    linear = torch.tensor([not s.relu for s in settings])[:, None, None, None]
    importance = torch.tensor([s.importance for s in settings])[:, None, None, :]
    return (importance * (torch.where(linear, z, z.relu()) - x).square()).sum(-1).mean(-1)


def dimensionality(W: Tensor) -> Tensor:
    """|W_i|^2 / sum_j (W_i/|W_i| . W_j)^2 of each feature, (..., n): how much of a dimension it has to itself.

    1 for a direction of its own, 1/2 for each of an antipodal pair, 2/5 in a pentagon; about 0 where it is not represented.
    """
    norms = W.norm(dim=-1)
    overlaps = ((W / norms.clamp(min=1e-9)[..., None]) @ W.transpose(-1, -2)).square().sum(-1)
    share: Tensor = norms.square() / overlaps.clamp(min=1e-9)
    return share


def interference(W: Tensor) -> Tensor:
    """sum over j != i of (W_i/|W_i| . W_j)^2 of each feature, (..., n): 0 where it shares its direction with none."""
    norms = W.norm(dim=-1)
    overlaps = ((W / norms.clamp(min=1e-9)[..., None]) @ W.transpose(-1, -2)).square()
    others: Tensor = overlaps.sum(-1) - overlaps.diagonal(dim1=-2, dim2=-1)
    return others
