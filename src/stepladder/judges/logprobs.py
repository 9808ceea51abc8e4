"""What judges read off a model's log probabilities: which of two answers it would give, and what a reply is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from stepladder.core import Access, Message

if TYPE_CHECKING:
    import numpy as np

Turns = tuple[Message, ...]


class ReadingModel(Protocol):
    """A chat model that also says how probable a given reply is."""

    name: str
    access: Access
    fingerprint: str

    def logprobs(self, pairs: Sequence[tuple[Turns, str]]) -> list[np.ndarray]:
        """Log probability of each token of each reply, given the turns before it."""
        ...


def totals(model: ReadingModel, pairs: Sequence[tuple[Turns, str]]) -> list[float]:
    """log p of each reply; each distinct pair is read once."""
    return [float(tokens.sum()) for tokens in _read(model, pairs)]


def means(model: ReadingModel, pairs: Sequence[tuple[Turns, str]]) -> list[float]:
    """log p per token of each reply; each distinct pair is read once."""
    return [float(tokens.mean()) if len(tokens) else 0.0 for tokens in _read(model, pairs)]


def _read(model: ReadingModel, pairs: Sequence[tuple[Turns, str]]) -> list[np.ndarray]:
    distinct = list(dict.fromkeys(pairs))
    known = dict(zip(distinct, model.logprobs(distinct), strict=True))
    return [known[pair] for pair in pairs]


def preference(model: ReadingModel, prompts: Sequence[Turns], answers: tuple[str, str]) -> list[float]:
    """log p(first answer) - log p(second answer) after each prompt."""
    scores = totals(model, [(prompt, answer) for prompt in prompts for answer in answers])
    return [first - second for first, second in zip(scores[::2], scores[1::2], strict=True)]


def first_words(text: str, count: int) -> str:
    """The first `count` words of `text`, on one line."""
    return " ".join(text.split()[:count])
