"""What the model holds at the end of a statement: the activations that probes read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stepladder.core.method import Task, silent
from stepladder.methods.interpretability.probe_fits import Floats

if TYPE_CHECKING:
    from stepladder.models import LocalModel

CHUNK = 128


def last_tokens(model: LocalModel, texts: Sequence[str], layers: Sequence[int], task: Task = silent) -> Floats:
    """(texts, len(layers), width) float32: the residual stream at the last token of each plain text.

    Texts are read as documents, without a chat template, behind the token that begins a text where the model has one.
    """
    start = model.chat_format.tokenizer.bos_token_id
    before = [] if start is None else [start]
    found = np.zeros((len(texts), len(layers), model.width), np.float32)
    with task("reading statements", len(texts)) as advance:
        for first in range(0, len(texts), CHUNK):
            part = texts[first : first + CHUNK]
            tokens = [[*before, *model.chat_format.tokens(text)] for text in part]
            for row, values in enumerate(model.read(tokens, layers), first):
                found[row] = values[-1]
            advance(len(part))
    return found


def spread_layers(count: int, most: int) -> tuple[int, ...]:
    """At most `most` of `count` layers, evenly spaced, the last among them."""
    return tuple(sorted({round((i + 1) * count / min(most, count)) - 1 for i in range(min(most, count))}))
