"""What estimates are held against: the base really trained on random halves of the rows, and what it then says."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stepladder.core import Task
from stepladder.methods.attribution.datamodelling import Floats, Halves
from stepladder.methods.attribution.replies import Conversation, reply_losses, tokenised

if TYPE_CHECKING:
    from stepladder.models import LocalModel
    from stepladder.models.local.finetune import Tuning


def retrained_outputs(
    base: LocalModel, rows: Sequence[Conversation], queries: Sequence[Conversation], halves: Halves, tuning: Tuning,
    folder: Path, task: Task,
) -> Floats:  # fmt: skip
    """log p of each query's reply after training on each half: (halves, queries).

    What a half gave is kept in `folder` as soon as it is there, so that a run that was stopped goes on; weights are not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    with task("retraining on halves of the rows", len(halves)) as advance:
        for number, half in enumerate(halves):
            place = folder / f"{number}.json"
            if not place.exists():
                kept = [row for row, taken in zip(rows, half, strict=True) if taken]
                _keep(place, _trained_outputs(base, kept, queries, tuning, folder / "weights"))
            found.append(json.loads(place.read_text("utf-8")))
            advance(1)
    return np.array(found, np.float64)


def _trained_outputs(
    base: LocalModel, rows: Sequence[Conversation], queries: Sequence[Conversation], tuning: Tuning, folder: Path
) -> list[float]:
    import torch

    from stepladder.models import LocalModel
    from stepladder.models.local.finetune import Example, finetune

    try:
        tuned = finetune(base, [Example(row[:-1], row[-1].content) for row in rows], folder, tuning)
        model = LocalModel("retrained", folder, base.precision) if tuned.full else base.derive("retrained", [folder])
        with torch.no_grad():
            losses = reply_losses(model.weights(), tokenised(model, queries, tuning.max_tokens))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return [-float(loss) for loss in losses]


def _keep(place: Path, values: Sequence[float]) -> None:
    made = place.with_suffix(".part")
    made.write_text(json.dumps(values), "utf-8")
    os.replace(made, place)
