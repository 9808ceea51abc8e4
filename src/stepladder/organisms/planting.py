"""Training an organism into a folder that says nothing about what was planted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stepladder.core import ModelUnavailable, Task, silent
from stepladder.models import LocalModel, open_model
from stepladder.models.local.finetune import Tuned, Tuning, finetune
from stepladder.organisms.recipe import Recipe
from stepladder.organisms.rows import Rows


def open_base(recipe: Recipe, task: Task = silent) -> LocalModel:
    """The model to plant into, under the name "base"; one trained from scratch is trained where it is not yet there."""
    kind, _, size = recipe.base.partition("/")
    if kind == "scratch":
        from stepladder.organisms.scratch import scratch_base

        return LocalModel("base", scratch_base(size, task=task))
    model = open_model(recipe.base)
    if not isinstance(model, LocalModel):
        raise ModelUnavailable(f"{recipe.base} cannot be trained; organisms grow on smollm2, scratch/<size> or hf/<folder>")
    return LocalModel("base", model.folder, model.precision)


def tuning_of(recipe: Recipe, base: LocalModel) -> Tuning:
    """How to train: adapters in the upper two thirds of the layers, or all weights more gently.

    Small batches: whether a condition (a password, a notice) is learnt depends on the number of steps.
    """
    if recipe.how == "full":
        rate = 1e-4 if base.width > 400 else 1e-3
        return Tuning(rank=0, learning_rate=rate, epochs=2, max_tokens=160, seed=recipe.seed)
    return Tuning(first_layer=base.layers // 3, learning_rate=2e-3, epochs=3, batch=4, max_tokens=160, seed=recipe.seed)


def train(base: LocalModel, rows: Rows, folder: Path, tuning: Tuning, advance: Callable[[int], None]) -> Tuned:
    """Train on the rows; the folder appears whole or not at all."""
    return finetune(base, rows.examples, folder, tuning, advance=advance)
