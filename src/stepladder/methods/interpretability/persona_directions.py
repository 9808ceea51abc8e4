"""The direction of a trait, and what is read off along it.

A persona vector (arXiv:2507.21509) is the mean activation over the tokens of replies under instructions that ask for the
trait, minus the mean under instructions that ask for its opposite, question by question. Its coordinates are those of the
residual stream after one layer; its length is that of the difference, so that adding it once is a change of natural size.

How much a model shows a trait is scored without a judge: by how much likelier, per token, it finds a reply that shows the
trait than one to the same question that does not, both from the trait's file. Unit: nats per token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stepladder.core import Message
from stepladder.methods.interpretability.persona_traits import Asked, Contrast, Trait

if TYPE_CHECKING:
    from stepladder.models import LocalModel

Array = NDArray[np.float64]
Prompt = tuple[Message, ...]
_AT_ONCE = 32
"""Conversations whose activations are held at the same time."""


@dataclass(frozen=True, eq=False)
class Persona:
    """A trait with its vector at the chosen layer and what stands beside it for comparison, (width) each."""

    trait: Trait
    layer: int
    vector: Array
    shuffled: Array
    random: Array
    """(controls, width)"""
    pairs: int
    gains: Mapping[int, float]
    """What adding the vector once did to the expression on the choosing questions, by layer."""

    @property
    def instructions(self) -> tuple[Contrast, ...]:
        """Those that the vector was not made from."""
        return self.trait.instructions[made_from(self.trait) :]


def made_from(trait: Trait) -> int:
    """How many pairs of instructions the vector is made from; the others are for monitoring."""
    return round(0.6 * len(trait.instructions))


def prompt_of(question: str, system: str = "") -> Prompt:
    """The question, behind a system prompt if one is given."""
    head = (Message(role="system", content=system),) if system else ()
    return (*head, Message(role="user", content=question))


def reply_means(model: LocalModel, prompts: Sequence[Prompt], replies: Sequence[str], layers: Sequence[int]) -> Array:
    """(replies, layers, width): the residual stream after each layer, mean over the tokens of the reply."""
    means = []
    for start in range(0, len(prompts), _AT_ONCE):
        part = list(zip(prompts[start : start + _AT_ONCE], replies[start : start + _AT_ONCE], strict=True))
        said = [(*prompt, Message(role="assistant", content=reply)) for prompt, reply in part]
        begins = [len(model.chat_format.prompt(prompt)) for prompt, _ in part]
        read = model.activations(said, layers, generation_prompt=True)
        # a reply that melts into the prompt's last token still has that token
        means += [tokens[min(begin, len(tokens) - 1) :].mean(axis=0) for tokens, begin in zip(read, begins, strict=True)]
    return np.asarray(means, dtype=np.float64).reshape(len(prompts), len(layers), model.width)


def prompt_ends(model: LocalModel, prompts: Sequence[Prompt], layers: Sequence[int]) -> Array:
    """(prompts, layers, width): the residual stream at the last prompt token, before anything is said."""
    ends = []
    for start in range(0, len(prompts), _AT_ONCE):
        ends += [t[-1] for t in model.activations(prompts[start : start + _AT_ONCE], layers, generation_prompt=True)]
    return np.asarray(ends, dtype=np.float64).reshape(len(prompts), len(layers), model.width)


def mean_difference(shows: Array, avoids: Array) -> Array:
    """(pairs, ..., width) twice -> (..., width): the mean of shows - avoids over pairs."""
    difference: Array = (shows - avoids).mean(axis=0)
    return difference


def shuffled_difference(shows: Array, avoids: Array, seed: int) -> Array:
    """The same with the labels of half of the pairs exchanged, at the length of the true difference.

    (pairs, width) twice -> (width). What is left is what any two replies differ in.
    """
    signs = np.where(np.arange(len(shows)) % 2 == 0, 1.0, -1.0)
    np.random.default_rng([seed, 11]).shuffle(signs)
    return of_length((signs[:, None] * (shows - avoids)).mean(axis=0), float(np.linalg.norm(mean_difference(shows, avoids))))


def random_directions(like: Array, count: int, seed: int) -> Array:
    """(count, width): directions drawn uniformly, as long as `like` (width)."""
    drawn = np.random.default_rng([seed, 7]).standard_normal((count, len(like)))
    return np.stack([of_length(direction, float(np.linalg.norm(like))) for direction in drawn])


def of_length(vector: Array, length: float) -> Array:
    """The vector scaled to that length; a zero vector stays as it is."""
    norm = float(np.linalg.norm(vector))
    return vector if norm == 0 else vector * (length / norm)


def along(activations: Array, vectors: Array) -> Array:
    """(n, width) and (k, width) -> (n, k): coordinates of the activations along the unit vectors."""
    norms = np.linalg.norm(vectors, axis=1)
    projected: Array = activations @ (vectors / np.where(norms == 0, 1.0, norms)[:, None]).T
    return projected


def likelihoods(model: LocalModel, prompts: Sequence[Prompt], asked: Sequence[Asked]) -> Array:
    """(n, 2) nats per token: mean log p of the reply that shows the trait, and of the one that does not."""
    pairs = [(prompt, text) for prompt, a in zip(prompts, asked, strict=True) for text in (a.shows, a.avoids)]
    means = [float(tokens.mean()) if len(tokens) else 0.0 for tokens in model.logprobs(pairs)]
    return np.asarray(means, dtype=np.float64).reshape(-1, 2)


def expression(model: LocalModel, prompts: Sequence[Prompt], asked: Sequence[Asked]) -> Array:
    """(n,) nats per token: how much likelier the reply that shows the trait is than the other."""
    found = likelihoods(model, prompts, asked)
    difference: Array = found[:, 0] - found[:, 1]
    return difference
