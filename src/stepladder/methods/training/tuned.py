"""Training inside a technique that makes many models: adapters found again where a run was interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stepladder.core import Context
from stepladder.methods.training.fitting import fit
from stepladder.models.local.finetune import Example, Objective, Tuning, next_token_loss

if TYPE_CHECKING:
    from stepladder.models import LocalModel


def train(
    context: Context,
    model: LocalModel,
    name: str,
    items: Sequence[Example | tuple[Example, ...]],
    tuning: Tuning,
    folder: Path,
    objective: Objective = next_token_loss,
) -> LocalModel:
    """`model` with what it learnt from `items` on top, as an adapter in `folder / name`."""
    return model.derive(name, [train_adapter(context, model, name, items, tuning, folder, objective)])


def train_adapter(
    context: Context,
    model: LocalModel,
    name: str,
    items: Sequence[Example | tuple[Example, ...]],
    tuning: Tuning,
    folder: Path,
    objective: Objective = next_token_loss,
) -> Path:
    """The adapter that `train` adds; not trained again where an earlier run of the same record has left it."""
    place = folder / name
    if not (place / "adapter_model.safetensors").exists():
        fit(context, model, items, place, tuning, f"train {name}", objective)
    return place
