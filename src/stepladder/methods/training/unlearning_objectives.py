"""Losses that make a model forget, on tensors; each is to be minimised.

    gradient ascent   mean log p(y|x)                                        Jang et al. 2022 (arXiv:2210.01504)
    NPO               -(2/b) mean log sigmoid(-b log(p(y|x) / p_ref(y|x)))    Zhang et al. (arXiv:2404.05868), eq. 3
    SimNPO            -(2/b) mean log sigmoid(-(b/|y|) log p(y|x) - g)        Fan et al. (arXiv:2410.07163), eq. 4
    RMU               mean (h - c u)^2 over tokens and width                  Li et al. (arXiv:2403.03218), section 4
    task vector       theta_full - s (theta_forget - theta_full)              Ilharco et al. (arXiv:2212.04089)

p_ref is the model before unlearning, h the residual stream at one layer, u a random unit vector. Where b goes to 0, NPO
becomes gradient ascent on log(p / p_ref) plus the constant (2/b) log 2.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stepladder.models.local.finetune import Item, Net, Objective, Row

if TYPE_CHECKING:
    from torch import Tensor

Forget = Callable[["Net", Sequence[Row], "Sequence[Tensor]"], "Tensor"]
"""The loss on rows to forget, given the log-probabilities of each row's completion tokens."""


def gradient_ascent(logp: Tensor) -> Tensor:
    """Of log p(y|x), one a row: minimising it lowers the likelihood without bound."""
    return logp.mean()


def npo(logp: Tensor, reference: Tensor, beta: float) -> Tensor:
    """Of log p(y|x) and log p_ref(y|x), sums over tokens, one a row; bounded below by 0."""
    from torch.nn.functional import logsigmoid

    return -(2 / beta) * logsigmoid(-beta * (logp - reference)).mean()


def simnpo(mean_logp: Tensor, beta: float, gamma: float) -> Tensor:
    """Of log p(y|x) / |y|, one a row: no reference model, and long answers count as much as short ones."""
    from torch.nn.functional import logsigmoid

    return -(2 / beta) * logsigmoid(-beta * mean_logp - gamma).mean()


def squared_distance(hidden: Tensor, target: Tensor) -> Tensor:
    """Mean over tokens and width of (hidden - target)^2: both terms of RMU."""
    return ((hidden - target) ** 2).mean()


def ascent_objective(retain_weight: float) -> Objective:
    """Gradient ascent on the mean log-probability of the answer's tokens, with the retain loss beside it."""
    return _with_retain(lambda net, rows, logp: gradient_ascent(_means(logp)), retain_weight)


def npo_objective(beta: float, retain_weight: float) -> Objective:
    """NPO against the model as it was before unlearning, with the retain loss beside it."""

    def forget(net: Net, rows: Sequence[Row], logp: Sequence[Tensor]) -> Tensor:
        with net.reference():
            before = _sums(net.logprobs(rows))
        return npo(_sums(logp), before, beta)

    return _with_retain(forget, retain_weight)


def simnpo_objective(beta: float, gamma: float, retain_weight: float) -> Objective:
    """SimNPO, with the retain loss beside it."""
    return _with_retain(lambda net, rows, logp: simnpo(_means(logp), beta, gamma), retain_weight)


def rmu_objective(layer: int, strength: float, retain_weight: float, seed: int) -> Objective:
    """RMU at `layer`: answers to forget are steered to one random direction, answers to retain stay where they were.

    `strength` is in norms of the stream at that layer before unlearning, as in adaptive RMU (arXiv:2408.06223), and so is
    the loss.
    """
    import torch

    def objective(net: Net, items: Sequence[Item]) -> Tensor:
        forget, retain = _halves(items)
        hidden = _answers(net, [*forget, *retain], layer)
        with net.reference():
            before = _answers(net, [*forget, *retain], layer)
        count = len(forget)
        direction = torch.nn.functional.normalize(
            torch.randn(hidden[0].shape[1], generator=torch.Generator().manual_seed(seed)), dim=0
        ).to(hidden[0])
        norms = torch.cat(before[:count]).norm(dim=1, keepdim=True)
        forgotten = squared_distance(torch.cat(hidden[:count]), strength * norms * direction)
        kept = squared_distance(torch.cat(hidden[count:]), torch.cat(before[count:]))
        loss: Tensor = (forgotten + retain_weight * kept) / (norms**2).mean() * hidden[0].shape[1]
        return loss

    return objective


def negate_adapter(adapter: Path, folder: Path, scale: float) -> Path:
    """Write the adapter whose update is `-scale` times that of `adapter`: the negated task vector."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(adapter, folder, dirs_exist_ok=True)
    tensors = load_file(adapter / "adapter_model.safetensors")
    turned = {name: -scale * values if "lora_B" in name else values for name, values in tensors.items()}
    save_file(turned, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "negated.json").write_text(json.dumps({"scale": scale}), "utf-8")
    return folder


def _with_retain(forget_loss: Forget, retain_weight: float) -> Objective:
    """Items are pairs (row to forget, row to retain); both are read in one pass."""
    import torch

    def objective(net: Net, items: Sequence[Item]) -> Tensor:
        forget, retain = _halves(items)
        logp = net.logprobs([*forget, *retain])
        kept = -torch.cat(logp[len(forget) :]).mean()
        return forget_loss(net, forget, logp[: len(forget)]) + retain_weight * kept

    return objective


def _halves(items: Sequence[Item]) -> tuple[list[Row], list[Row]]:
    return [item[0] for item in items], [item[1] for item in items]


def _answers(net: Net, rows: Sequence[Row], layer: int) -> list[Tensor]:
    """The residual stream (tokens, width) where the tokens of each row's answer are predicted."""
    return [h[len(row.prompt) - 1 :].float() for h, row in zip(net.hidden(rows, layer), rows, strict=True)]


def _sums(logp: Sequence[Tensor]) -> Tensor:
    import torch

    return torch.stack([values.sum() for values in logp])


def _means(logp: Sequence[Tensor]) -> Tensor:
    import torch

    return torch.stack([values.mean() for values in logp])
