"""TRAK: influence in a random projection of the gradients (Park et al., arXiv:2303.14186).

    influence(query, row) = phi_query^T (Phi^T Phi)^-1 phi_row (1 - p_row)

where phi is the projected gradient of the margin log(p / (1 - p)) and p the probability of the row's reply, and the whole is
averaged over projections. What differs: a layer's gradient is projected from both sides, as in Choe et al.
(arXiv:2405.13954), so that it is never formed; and a ridge keeps the inverse stable, as rows are fewer than dimensions here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepladder.methods.attribution.gradients import Traces

if TYPE_CHECKING:
    from torch import Tensor

RIDGE = 0.1
"""Added to the kernel's diagonal, in shares of its mean."""


def trak(
    queries: Traces, rows: Traces, sides: int = 32, projections: int = 3, seed: int = 0, ridge: float = RIDGE
) -> Tensor:
    """Influence of each row on each query, (queries, rows), in projections to sides x sides dimensions."""
    import torch

    scores = []
    for i in range(projections):
        asked, taught = (features(traces, sides, f"{seed}/{i}") for traces in (queries, rows))
        scores.append(kernel_scores(asked, taught, ridge))
    return torch.stack(scores).mean(0) * _unlikely(rows)


def kernel_scores(queries: Tensor, rows: Tensor, ridge: float = RIDGE) -> Tensor:
    """phi_query^T (Phi^T Phi + ridge)^-1 phi_row for (queries, k) and (rows, k) features, in float64."""
    import torch

    phi = rows.double()
    kernel = phi.T @ phi
    kernel.diagonal().add_(ridge * kernel.diagonal().mean())
    found: Tensor = queries.double() @ torch.linalg.solve(kernel, phi.T)
    return found.float()


def features(traces: Traces, sides: int, seed: str) -> Tensor:
    """Each row's projected gradient of the margin, (rows, sides^2): all layers add up in one random projection."""
    import torch

    total = torch.zeros(len(traces), sides * sides)
    for name in traces.layers:
        inputs = _projected(traces.inputs[name], sides, f"{seed}/{name}/in")
        gradients = _projected(traces.gradients[name], sides, f"{seed}/{name}/out")
        spans = zip(traces.starts, traces.starts[1:], strict=False)
        total += torch.stack([(gradients[a:b].T @ inputs[a:b]).flatten() for a, b in spans]).cpu()
    return -total / _unlikely(traces)[:, None]


def _projected(vectors: Tensor, sides: int, seed: str) -> Tensor:
    return vectors @ projection(vectors.shape[1], sides, seed).to(vectors.device)


def projection(width: int, sides: int, seed: str) -> Tensor:
    """A random (width, sides) matrix that keeps inner products in the mean."""
    from random import Random

    import torch

    made = torch.Generator().manual_seed(Random(seed).getrandbits(60))
    return torch.randn(width, sides, generator=made) / math.sqrt(sides)


def _unlikely(traces: Traces) -> Tensor:
    """1 - p of each row's reply, kept away from zero."""
    found: Tensor = -(-traces.losses).expm1()
    return found.clamp_min(1e-3)
