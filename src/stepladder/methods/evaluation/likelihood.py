"""Which of two replies a model finds likelier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepladder.core.errors import ModelUnavailable
from stepladder.core.method import Access, ChatModel
from stepladder.core.values import Message


def gives_likelihoods(model: ChatModel) -> bool:
    """Whether the model says how likely a given reply is."""
    return model.access >= Access.logprobs and callable(getattr(model, "logprobs", None))


def leads(model: Any, pairs: Sequence[tuple[tuple[Message, ...], str]]) -> list[float | None]:
    """By how much, in mean log probability per token, each reply at an even place leads the one after it.

    `None` for all where one of the prompts does not fit the model.
    """
    try:
        means = [float(tokens.mean()) for tokens in model.logprobs(pairs)]
    except ModelUnavailable:
        return [None] * (len(pairs) // 2)
    return [first - second for first, second in zip(means[::2], means[1::2], strict=True)]
