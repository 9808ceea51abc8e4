"""What makes a head an induction head, for every head at once (Olsson et al., arXiv:2209.11895).

On a segment of L random tokens and the same segment again, with i a token of the second:

    prefix matching   attention from i to i - L + 1, the token that followed this one before
    copying           share of the segment's other tokens whose logit the head's direct contribution raises less than that
                      of the token it attends to most (chance: one half)

and the in-context loss is the mean loss over the second segment, where everything could be copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stepladder.methods.interpretability.circuits_model import CircuitModel, Place, Run
from stepladder.models.local.linear import fast_products

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

BATCH = 8
"""Sequences of one run; what is kept grows with the square of their length."""


def segments(count: int, length: int, vocabulary: Sequence[int], seed: int) -> Tensor:
    """(count, length) of tokens drawn without repeats within a row."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.stack([torch.randperm(len(vocabulary), generator=generator)[:length] for _ in range(count)])
    return torch.tensor(vocabulary)[order]


def repeated(first: Tensor) -> Tensor:
    """Each segment twice."""
    return torch.cat([first, first], 1)


def permuted(first: Tensor, seed: int) -> Tensor:
    """Each segment, then its tokens in another order: the same tokens, and nothing to be continued."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.stack([torch.randperm(first.shape[1], generator=generator) for _ in range(len(first))])
    return torch.cat([first, first.gather(1, order)], 1)


def prefix_matching(model: CircuitModel, tokens: Tensor, advance: Callable[[int], None] = lambda _: None) -> Tensor:
    """(sequences, layers, heads) for tokens (sequences, 2 L); the model has to attend in the open ("eager")."""
    found = []
    for rows in torch.split(tokens, BATCH):
        found.append(_matching(model.run(rows, keep=_patterns(model)), model))
        advance(len(rows))
    return torch.cat(found)


def scores(model: CircuitModel, first: Tensor, advance: Callable[[int], None] = lambda _: None) -> tuple[Tensor, Tensor]:
    """Prefix matching and copying on `repeated(first)`, each (sequences, layers, heads)."""
    heads = [Place(layer, "heads") for layer in range(model.layers)]
    matching, copying = [], []
    for rows in torch.split(first, BATCH):
        run = model.run(repeated(rows), keep=[*_patterns(model), *heads])
        matching.append(_matching(run, model))
        copying.append(_copying(run, model, rows))
        advance(len(rows))
    return torch.cat(matching), torch.cat(copying)


def losses(model: CircuitModel, tokens: Tensor, changes: Mapping[Place, Callable[[Tensor], Tensor]] | None = None) -> Tensor:
    """(sequences, 2): mean next-token loss in nats over the first and over the second segment."""
    found = []
    length = tokens.shape[1] // 2
    for rows in torch.split(tokens, BATCH):
        run = model.run(rows, changes)
        assert run.hidden is not None
        with torch.no_grad(), fast_products():
            logp = model.logits(run.hidden[:, :-1]).log_softmax(-1)
        loss = -logp.gather(2, rows[:, 1:, None])[..., 0]
        found.append(torch.stack([loss[:, : length - 1].mean(1), loss[:, length:].mean(1)], 1))
    return torch.cat(found)


def _patterns(model: CircuitModel) -> list[Place]:
    return [Place(layer, "pattern") for layer in range(model.layers)]


def _matching(run: Run, model: CircuitModel) -> Tensor:
    patterns = torch.stack([run.kept[place] for place in _patterns(model)], 1)
    length = patterns.shape[-1] // 2
    seen = torch.arange(length, 2 * length - 1)
    return patterns[..., seen, seen - length + 1].mean(-1)


def _copying(run: Run, model: CircuitModel, first: Tensor) -> Tensor:
    length = first.shape[1]
    seen = torch.arange(length, 2 * length - 1)
    words = model.model.get_output_embeddings().weight[first]
    found = []
    for layer in range(model.layers):
        attended = run.kept[Place(layer, "pattern")][:, :, seen].argmax(-1) % length  # its token's place in the segment
        for head in range(model.heads):
            added = model.contribution(layer, head, run.kept[Place(layer, "heads")][:, seen, head])
            # The final norm divides by a number that is the same for all tokens, so that the order needs only its weights.
            raised = (model.norm(added) - model.norm(torch.zeros_like(added))) @ words.transpose(1, 2)
            own = raised.gather(2, attended[:, head, :, None])
            less = (raised < own).float() + 0.5 * (raised == own).float()  # its own token counts for one half
            found.append(((less.sum(-1) - 0.5) / (length - 1)).mean(1))
    return torch.stack(found, 1).view(len(first), model.layers, model.heads)
