"""What a direction of the stream says: the tokens that it makes likelier and unlikelier, read through the logit lens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stepladder.methods.interpretability.circuits_model import CircuitModel
from stepladder.methods.interpretability.explainers import logit_lens
from stepladder.methods.interpretability.success_directions import Array

if TYPE_CHECKING:
    from stepladder.models import LocalModel

TOKENS = 6


class HeadWriter:
    """Gives what a direction of one head's output writes into the stream; `heads` is their number in a layer."""

    def __init__(self, model: LocalModel) -> None:
        self._model = CircuitModel(model.weights())
        self.heads = self._model.heads

    def __call__(self, layer: int, head: int, direction: Array) -> Array:
        """(head width) -> (width): through the output projection, without its bias."""
        import torch

        inputs = torch.zeros(2, self.heads, len(direction))
        inputs[1, head] = torch.from_numpy(direction)
        with torch.no_grad():
            none, written = self._model.projections[layer](inputs.flatten(1))
        return np.asarray((written - none).numpy(), dtype=np.float64)


def labels(model: LocalModel, directions: Sequence[Array]) -> list[str]:
    """For each direction (width) the tokens that it promotes most and least; "" where the final norm is not known."""
    lens = logit_lens(model.weights(), lambda token: model.chat_format.tokenizer.decode([token]))
    if lens is None:
        return [""] * len(directions)
    found = []
    for logits in lens.logits(np.stack(directions).astype(np.float32)):
        up, down = lens.extremes(logits, TOKENS)
        promoted, held_back = (", ".join(f"'{token.strip()}'" for token, _ in part) for part in (up, down))
        found.append(f"promotes {promoted}; holds back {held_back}")
    return found
