"""Activations made of a known dictionary, and how much of it training finds: the test that real activations cannot give.

Each row is a sum of a few features with positive strengths (the model of superposition: Elhage et al. 2022; scored as in
Sharkey et al. 2022, "mean max cosine similarity"). A trained dictionary is right up to permutation and to latents to spare.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Planted:
    """Known features: what is read, (features, d_in), and what a transcoder should write for them, (features, d_out)."""

    read: Tensor
    written: Tensor
    active: int

    def batches(self, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Endless pairs of rows read (size, d_in) and written (size, d_out), with strengths between 1 and 2."""
        generator = torch.Generator().manual_seed(seed)
        while True:
            chosen = torch.rand(size, len(self.read), generator=generator).topk(self.active, dim=1).indices
            strengths = 1 + torch.rand(chosen.shape, generator=generator)
            codes = torch.zeros(size, len(self.read)).scatter_(1, chosen, strengths)
            yield codes @ self.read, codes @ self.written


@dataclass(frozen=True)
class Recovery:
    """How near a dictionary comes to the planted one."""

    mean_max_cosine: float
    """Mean over planted features of the largest cosine with any latent."""
    matched_cosine: float
    """Mean cosine of the best one-to-one matching (Hungarian method)."""
    found: float
    """Share of planted features whose matched latent has a cosine above 0.9."""


def plant(features: int, d_in: int, active: int, seed: int, d_out: int | None = None) -> Planted:
    """Random unit features; of an autoencoder (no d_out) what is written is what is read."""
    generator = torch.Generator().manual_seed(seed)

    def rows(width: int) -> Tensor:
        return torch.nn.functional.normalize(torch.randn(features, width, generator=generator), dim=1)

    read = rows(d_in)
    return Planted(read, read if d_out is None else rows(d_out), active)


def recovery(decoder: Tensor, planted: Tensor) -> Recovery:
    """Score decoder rows (latents, d) against planted features (features, d), at least as many latents as features."""
    from scipy.optimize import linear_sum_assignment

    unit = torch.nn.functional.normalize
    cosines = unit(planted, dim=1) @ unit(decoder, dim=1).t().cpu()
    features, latents = linear_sum_assignment(cosines.numpy(), maximize=True)
    matched = cosines[features, latents]
    return Recovery(float(cosines.amax(1).mean()), float(matched.mean()), float((matched > 0.9).double().mean()))
