"""Contrast-consistent search: a direction that splits statements from their negations, without labels.

Paper: Burns et al., Discovering Latent Knowledge in Language Models Without Supervision (arXiv:2212.03827). As there,
each side of the pairs is normalised by itself, which takes out what merely says "negated", and the best of several
random starts counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stepladder.methods.interpretability.probe_fits import Floats, Linear

STEPS, STARTS, RATE, DECAY = 400, 8, 0.01, 0.1


@dataclass(frozen=True, eq=False)
class PairProbe:
    """One direction with a bias of its own for each side of a pair: what CCS learns, up to sign."""

    affirmed: Linear
    negated: Linear
    loss: float

    def flipped(self) -> PairProbe:
        """The same probe with True and False exchanged."""
        one, other = self.affirmed, self.negated
        return PairProbe(Linear(-one.weights, -one.bias), Linear(-other.weights, -other.bias), self.loss)


def fit_ccs(affirmed: Floats, negated: Floats, seed: int = 0) -> PairProbe:
    """From n contrast pairs, (n, d) each; minimises (p+ - (1 - p-))^2 + min(p+, p-)^2 by AdamW from `STARTS` starts at once.

    The sign is arbitrary; whoever has labels may flip it.
    """
    import torch

    sides = [_Side(affirmed), _Side(negated)]
    plus, minus = (torch.from_numpy(side.normal) for side in sides)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(plus.shape[1], STARTS, generator=generator)
    # A start that is small beside what is learnt: the loss is near zero long before a large one would be forgotten.
    weights = (0.3 * weights / weights.norm(dim=0)).requires_grad_()
    bias = torch.zeros(STARTS, requires_grad=True)
    optimiser = torch.optim.AdamW([weights, bias], lr=RATE, weight_decay=DECAY)
    with torch.enable_grad():
        for _ in range(STEPS):
            p, q = torch.sigmoid(plus @ weights + bias), torch.sigmoid(minus @ weights + bias)
            losses = ((p + q - 1) ** 2 + torch.minimum(p, q) ** 2).mean(0)
            optimiser.zero_grad()
            losses.sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    best = int(losses.argmin())
    found, offset = weights[:, best].detach().double().numpy(), float(bias[best].detach())
    return PairProbe(sides[0].raw(found, offset), sides[1].raw(found, offset), float(losses[best].detach()))


class _Side:
    """One side of the pairs, normalised by itself: mean 0 and, over all coordinates together, variance 1."""

    def __init__(self, x: Floats) -> None:
        self.mean = x.mean(0, dtype=np.float64)
        centred = x - self.mean
        self.scale = max(float(np.sqrt((centred**2).sum(1).mean())), 1e-12) / np.sqrt(x.shape[1])
        self.normal = (centred / self.scale).astype(np.float32)

    def raw(self, weights: Floats, offset: float) -> Linear:
        """The probe in raw coordinates; on the negated side the bias has the same sign, as the paper has one for both."""
        return Linear(weights / self.scale, np.asarray(offset - self.mean @ weights / self.scale))
