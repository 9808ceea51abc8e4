"""Choosing the next tokens: greedy, or by inverting the cumulative distribution at one uniform number a token.

A request's uniform numbers come from a generator of its own, seeded by its seed and its prompt. So what it draws does not
depend on which other requests share its batch, two prompts with the same seed draw independently, and a row costs one number
a step rather than one for each word of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from stepladder.core.keys import digest

if TYPE_CHECKING:
    from torch import Tensor


BLOCK = 256
"""Tokens whose probabilities are summed at once when one is drawn."""


@dataclass(frozen=True)
class Job:
    """One continuation to generate.

    `bias` maps token ids to what is added to their logits before choosing. `conversation` says that the prompt continues
    an earlier exchange, so that its beginning may have been read before.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    bias: Mapping[int, float] = field(default_factory=dict)
    conversation: bool = False

    def uniforms(self) -> np.ndarray:
        """`max_tokens` numbers in [0, 1) that depend on seed and prompt alone."""
        seed = int(digest([self.seed, self.prompt]), 16)
        return np.random.default_rng(seed).random(self.max_tokens)


def choose(logits: Tensor, jobs: Sequence[Job], uniforms: Sequence[float]) -> tuple[list[int], list[float]]:
    """A token for each row of `logits` (rows, vocabulary), and its log probability.

    The log probability is the model's own: at temperature 1 and without bias.
    """
    import torch

    biased = _with_bias(logits, jobs)
    tokens = biased.argmax(-1)
    warm = [row for row, job in enumerate(jobs) if job.temperature > 0]
    if warm:
        index = torch.tensor(warm, device=logits.device)
        heat = torch.tensor([jobs[row].temperature for row in warm], device=logits.device)
        at = torch.tensor([uniforms[row] for row in warm], dtype=torch.float64, device=logits.device)
        tokens[index] = invert(torch.softmax(biased[index] / heat[:, None], -1), at)
    chosen = logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
    return tokens.tolist(), chosen.tolist()


def invert(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """First token whose cumulative probability exceeds the uniform number, for each row.

    The sum is searched in two levels, blocks and then the tokens of one block: summing a whole vocabulary token by token
    costs as much as a layer.
    """
    blocks = _blocks(probabilities)
    block, left = _first_above(blocks.double().sum(-1), uniforms)
    inside = blocks[range(len(blocks)), block].double()
    return block * BLOCK + _first_above(inside, left)[0]


def _blocks(probabilities: Tensor) -> Tensor:
    """(rows, blocks, BLOCK), with zeros after the last token."""
    import torch.nn.functional as functional

    rows, tokens = probabilities.shape
    return functional.pad(probabilities, (0, -tokens % BLOCK)).view(rows, -1, BLOCK)


def _first_above(weights: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Where each row's cumulative weight first exceeds that share of its sum, and the share of that weight still to go."""
    import torch

    cumulative = weights.cumsum(-1)
    total = cumulative[:, -1]
    # Just below the last sum at most: rounding must never pick what lies beyond the end or weighs nothing.
    target = torch.minimum(uniforms * total, torch.nextafter(total, torch.zeros_like(total)))
    place = (cumulative <= target[:, None]).sum(-1)
    weight = weights.gather(-1, place[:, None])[:, 0]
    before = cumulative.gather(-1, place[:, None])[:, 0] - weight
    return place, ((target - before) / weight).clamp(0, 1)


def _with_bias(logits: Tensor, jobs: Sequence[Job]) -> Tensor:
    if not any(job.bias for job in jobs):
        return logits
    biased = logits.clone()
    for row, job in enumerate(jobs):
        for token, value in job.bias.items():
            biased[row, token] += value
    return biased
