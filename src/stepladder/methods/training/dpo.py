"""Direct preference optimisation: make the chosen reply likelier than the rejected one, measured from where training began.

    loss = - log sigmoid( beta [ (log p(chosen) - log p_ref(chosen)) - (log p(rejected) - log p_ref(rejected)) ] )

Rafailov et al., Direct Preference Optimization (arXiv:2305.18290), equation 7; `beta` is the price of moving away from the
reference. Equal to TRL's DPOTrainer on the same batch (the tests compare them).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from stepladder.models.local.finetune import Item, Net, Objective


def dpo(beta: float) -> Objective:
    """The objective over items (chosen, rejected)."""

    def loss(net: Net, items: Sequence[Item]) -> Tensor:
        import torch

        rows = [item[0] for item in items] + [item[1] for item in items]
        with net.reference():
            reference = _sums(net.logprobs(rows))
        chosen, rejected = (_sums(net.logprobs(rows)) - reference).chunk(2)
        return -torch.nn.functional.logsigmoid(beta * (chosen - rejected)).mean()

    return loss


def _sums(logprobs: Sequence[Tensor]) -> Tensor:
    import torch

    return torch.stack([values.sum() for values in logprobs])
