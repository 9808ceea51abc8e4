"""An attribution graph: which tokens and features made the model prefer one answer to another, and through which others.

Nodes are the target (a difference of logits), the features that matter most to it, and the prompt's tokens. With A the
absolute edges, each row divided by its sum over everything that its target reads (features left out and errors too), the
influence of a node on the target is its entry of the target's row of A + A^2 + A^3 + ...

    replacement score    influence of the tokens / (influence of the tokens and of what is left out)
    completeness         mean share of what a node reads that is in the graph, weighted by the node's influence
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stepladder.methods.interpretability.frozen import Frozen

AT_ONCE = 8
"""Features taken in before influences are counted again."""


@dataclass(frozen=True, order=True)
class Feature:
    """Feature `index` of a layer's MLP at a token."""

    layer: int
    token: int
    index: int


@dataclass(frozen=True)
class Graph:
    """Row 0 of (1 + features, n + features) is what the target reads, the others what features do.

    Columns are the tokens, then the features. `weights` are the signed edges, `shares` their absolute values as shares of
    all that the row's node reads. `influence` is that of the target (1) and of each feature on the target, by row.
    """

    features: tuple[Feature, ...]
    weights: Tensor
    shares: Tensor
    influence: Tensor

    @property
    def tokens(self) -> Tensor:
        """(n,): influence of each token."""
        return self.influence @ self.shares[:, : self.shares.shape[1] - len(self.features)]

    @property
    def replacement_score(self) -> float:
        """See the module's docstring."""
        left_out = float(self.influence @ (1 - self.shares.sum(1)))
        reached = float(self.tokens.sum())
        return reached / (reached + left_out)

    @property
    def completeness(self) -> float:
        """See the module's docstring."""
        return float(self.influence @ self.shares.sum(1) / self.influence.sum())

    def pruned(self, share: float) -> list[tuple[int, int]]:
        """The fewest edges (row, column) that carry that share of all influence, strongest first."""
        flow = self.influence[:, None] * self.shares
        order = flow.flatten().argsort(descending=True)
        carried = flow.flatten()[order].cumsum(0)
        count = int((carried < share * carried[-1]).sum()) + 1
        return [divmod(int(i), self.shares.shape[1]) for i in order[:count]]


@dataclass(frozen=True)
class _Row:
    tokens: Tensor
    features: Tensor
    total: float


def build_graph(frozen: Frozen, direction: Tensor, size: int) -> Graph:
    """The graph of `final[last token] . direction` with the `size` features of most influence, taken in greedily.

    Features of the first token count as left out: attention rests there where it has nothing to look at, its stream is many
    times as long as any other, and what it writes is of every answer alike.
    """
    rows = [_row(frozen, frozen.final[-1] @ direction)]
    chosen: list[Feature] = []
    while len(chosen) < size:
        influence = _influence(rows, chosen)
        reach = sum(w * row.features.abs() / row.total for w, row in zip(influence.tolist(), rows, strict=True))
        assert isinstance(reach, Tensor)
        reach[:, 0] = 0
        for feature in chosen:
            reach[feature.layer, feature.token, feature.index] = 0
        best = reach.flatten().topk(min(AT_ONCE, size - len(chosen))).indices
        found = [Feature(*map(int, torch.unravel_index(i, reach.shape))) for i in best]
        rows += [_row(frozen, frozen.value(f.layer, f.token, f.index)) for f in found]
        chosen += found
    return _graph(rows, chosen)


def graph_of(frozen: Frozen, direction: Tensor, chosen: Sequence[Feature]) -> Graph:
    """The same with features that are given."""
    rows = [_row(frozen, frozen.final[-1] @ direction)]
    rows += [_row(frozen, frozen.value(f.layer, f.token, f.index)) for f in chosen]
    return _graph(rows, chosen)


def _row(frozen: Frozen, scalar: Tensor) -> _Row:
    tokens, features, errors = frozen.edges(scalar)
    total = float(tokens.abs().sum() + features.abs().sum()) + errors
    return _Row(tokens, features, max(total, 1e-30))


def _influence(rows: Sequence[_Row], chosen: Sequence[Feature]) -> Tensor:
    """Of the target and each chosen feature: later layers first, as edges only lead upwards."""
    shares = _between(rows, chosen).abs() / torch.tensor([[row.total] for row in rows])
    influence = torch.zeros(len(rows))
    influence[0] = 1
    for i in sorted(range(len(chosen)), key=lambda i: -chosen[i].layer):
        influence[1 + i] = influence @ shares[:, i]
    return influence


def _between(rows: Sequence[_Row], chosen: Sequence[Feature]) -> Tensor:
    """Signed edges (rows, chosen)."""
    place = tuple(torch.tensor([getattr(f, name) for f in chosen], dtype=torch.long) for name in ("layer", "token", "index"))
    return torch.stack([row.features[place] for row in rows])


def _graph(rows: Sequence[_Row], chosen: Sequence[Feature]) -> Graph:
    weights = torch.cat([torch.stack([row.tokens for row in rows]), _between(rows, chosen)], 1)
    shares = weights.abs() / torch.tensor([[row.total] for row in rows])
    return Graph(tuple(chosen), weights, shares, _influence(rows, chosen))
