"""TracIn: inner products of gradients, summed over checkpoints of training (Pruthi et al., arXiv:2002.08484).

With one checkpoint it is the plain inner product of gradients. A positive value says that a step on the row would have
lowered the query's loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stepladder.methods.attribution.gradients import Traces, products, stacked

if TYPE_CHECKING:
    from torch import Tensor


def gradient_dot(queries: Traces, rows: Traces) -> Tensor:
    """Inner product of each query's and each row's gradient over all layers: (queries, rows)."""
    import torch

    total = torch.zeros(len(queries), len(rows))
    for name in rows.layers:
        asked = stacked(queries.inputs[name], queries.gradients[name], queries.starts)
        total += products(asked, rows.inputs[name], rows.gradients[name], rows.starts).cpu()
    return total


def tracin(checkpoints: Sequence[tuple[Traces, Traces]], rates: Sequence[float] | None = None) -> Tensor:
    """TracInCP: the inner products at each checkpoint (queries' and rows' traces there), times its learning rate (1)."""
    import torch

    weights = rates or [1.0] * len(checkpoints)
    parts = [rate * gradient_dot(*pair) for rate, pair in zip(weights, checkpoints, strict=True)]
    return torch.stack(parts).sum(0)
