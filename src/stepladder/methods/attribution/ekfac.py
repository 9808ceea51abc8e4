"""EK-FAC influence: gradients compared under the inverse of an eigenvalue-corrected Kronecker-factored curvature.

Papers: George et al. (arXiv:1806.03884) for the correction, Grosse et al. (arXiv:2308.03296) for influence by it. For each
layer W (d_out x d_in), with inputs a and output gradients g of all tokens:

    E[a a^T] = U diag U^T,  E[g g^T] = V diag V^T,  values = mean over rows of (V^T D U)^2,  D = a row's gradient of W
    influence(query, row) = sum over layers of < (V^T D_query U) / (values + damping), V^T D_row U >

A positive influence says that training on the row made what the query says likelier. Tokens are rotated, not gradients:
2 tokens (d_in^2 + d_out^2) products a layer for all rows together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepladder.methods.attribution.gradients import Traces, products, row_gradients, stacked

if TYPE_CHECKING:
    from torch import Tensor

DAMPING = 0.1
"""Added to the curvature's values, in shares of a layer's mean value: the choice of Grosse et al."""


@dataclass(frozen=True, eq=False)
class Rotated:
    """One layer in the eigenbasis of its factors: `inputs_basis` U (d_in, d_in), `gradients_basis` V (d_out, d_out).

    `inputs` (tokens, d_in) and `gradients` (tokens, d_out) are the rows' tokens rotated; `values` is (d_out, d_in).
    """

    inputs_basis: Tensor
    gradients_basis: Tensor
    inputs: Tensor
    gradients: Tensor
    values: Tensor


def rotated(rows: Traces, name: str, shared: Rotated | None = None) -> Rotated:
    """The layer's factors fitted to the rows; `shared` is a layer that reads the same inputs."""
    inputs, gradients = rows.inputs[name], rows.gradients[name]
    basis = shared.inputs_basis if shared else eigenbasis(inputs)
    turned = shared.inputs if shared else inputs @ basis
    other = eigenbasis(gradients)
    turned_gradients = gradients @ other
    return Rotated(basis, other, turned, turned_gradients, curvature(turned, turned_gradients, rows))


def eigenbasis(vectors: Tensor) -> Tensor:
    """Eigenvectors, as columns, of the second moment of (n, width) vectors."""
    import torch

    found: Tensor = torch.linalg.eigh(vectors.T @ vectors / len(vectors))[1]
    return found


def curvature(inputs: Tensor, gradients: Tensor, rows: Traces) -> Tensor:
    """Mean over rows of each entry of the row's gradient squared: (d_out, d_in)."""
    import torch

    values = torch.zeros(gradients.shape[1], inputs.shape[1], device=inputs.device)
    for _, made in row_gradients(inputs, gradients, rows.starts):
        for one in made:
            values.addcmul_(one, one)
    return values / len(rows)


def ekfac(queries: Traces, rows: Traces, damping: float = DAMPING) -> Tensor:
    """Influence of each row on each query, (queries, rows), from factors fitted to the rows; one layer at a time.

    `damping` is relative to each layer's mean value. Layers whose values are all zero have no say.
    """
    import torch

    total = torch.zeros(len(queries), len(rows))
    last: tuple[Tensor, Rotated] | None = None
    for name in rows.layers:
        shared = last[1] if last and last[0] is rows.inputs[name] else None
        layer = rotated(rows, name, shared)
        last = rows.inputs[name], layer
        if layer.values.any():
            asked = preconditioned(queries, name, layer, damping)
            total += products(asked, layer.inputs, layer.gradients, rows.starts).cpu()
    return total


def preconditioned(queries: Traces, name: str, layer: Rotated, damping: float = DAMPING) -> Tensor:
    """The queries' gradients in the eigenbasis, divided by the damped curvature: (queries, d_out, d_in)."""
    inputs, gradients = queries.inputs[name] @ layer.inputs_basis, queries.gradients[name] @ layer.gradients_basis
    return stacked(inputs, gradients, queries.starts) / (layer.values + damping * layer.values.mean())
