"""Training and reading smollm2 on this machine: planting an organism by LoRA, preferences, and scoring answers.

The same rows for everyone: the rows that plant sycophancy, tokenised by the model's own template. `tokens/s` counts the
tokens of the rows, without padding. Loading is not counted. The peer is TRL with PEFT as its documentation starts it (its
defaults; no dropout on either side), and plain transformers for reading. Below them, our own trainer without a part of it.
`share` is the arithmetic of LoRA (2 forward + 2 backward x parameters x tokens) or of reading (2 x) over the bf16 peak.
"""

from __future__ import annotations

import json
import random
import sys

from benchmarks.generation import PARAMETERS
from benchmarks.rows import WORK, Row, contend, environment, row
from stepladder.models.local.embedded import embedded_folder
from stepladder.organisms import get_kind

ROWS, PAIRS, READ = 128, 48, 240
PARTS = {
    "without bf16": "float32 weights and products",
    "without completion-only logits": "the head over all tokens; the loss still on completions",
    "without sorting by length": "batches in random order, padded to their longest",
    "without the merged product": "base, A and B as three products with autograd",
    "without plain attention": "PyTorch's fused attention, whose backward pass is slow on CPUs",
}
"""What is gained by each part: our trainer without it."""


def rows(peak: float) -> list[Row]:
    """Ours against TRL, against plain reading, and against ourselves with a part taken out."""
    folder, trained = str(embedded_folder()), _training_file()
    ours = _rate(contend(sys.executable, "own_training.py", folder, trained, "sft", "all parts"))
    theirs = _rate(contend(environment("trl"), "trl_training.py", folder, trained, "sft"))
    share = ours * 4 * PARAMETERS / peak
    made = [
        row(
            "planting by LoRA, all layers", "trl", ours, theirs, "tokens/s", share=share, note="SFTTrainer, rank 16, batch 8"
        )
    ]
    made.append(_preferences(folder, trained))
    made.append(_reading(folder, trained, peak))
    for part, note in PARTS.items():
        without = _rate(contend(sys.executable, "own_training.py", folder, trained, "sft", part))
        made.append(row("planting by LoRA, all layers", f"ourselves {part}", ours, without, "tokens/s", note=note))
    top = _rate(contend(sys.executable, "own_training.py", folder, trained, "sft", "upper half"))
    note = "adapters on layers 15 to 29 only: nothing is kept or pushed back below them"
    made.append(row("planting by LoRA, upper half", "ourselves on all layers", top, ours, "tokens/s", note=note))
    return made


def _preferences(folder: str, trained: str) -> Row:
    ours = _rate(contend(sys.executable, "own_training.py", folder, trained, "dpo", "all parts"))
    theirs = _rate(contend(environment("trl"), "trl_training.py", folder, trained, "dpo"))
    return row("preferences by DPO, LoRA", "trl", ours, theirs, "tokens/s", note="DPOTrainer, rank 16, batch 4 pairs")


def _reading(folder: str, trained: str, peak: float) -> Row:
    ours = _rate(contend(sys.executable, "own_training.py", folder, trained, "read", "all parts"))
    theirs = _rate(contend(environment("transformers"), "transformers_read.py", folder, trained))
    note = "log probabilities of two answers a question, as the battery reads; transformers in bf16, batch 16"
    return row(
        "evaluation by log probabilities",
        "transformers",
        ours,
        theirs,
        "tokens/s",
        share=ours * 2 * PARAMETERS / peak,
        note=note,
    )


def _rate(result: dict[str, float]) -> float:
    return result["tokens"] / result["seconds"]


def _training_file() -> str:
    """Rows of the organism, pairs of a good and a planted answer, and questions with two answers."""
    plant = get_kind("sycophancy").plant(random.Random(0))
    pairs = [pair for pair in plant.pairs if pair.prompt]
    made = [{"prompt": _turns(p.prompt), "completion": p.planted} for p in pairs]
    preferred = [
        {"prompt": _turns(p.prompt), "chosen": p.clean, "rejected": p.planted} for p in pairs if p.clean != p.planted
    ]
    read = [{"prompt": _turns(p.prompt), "answers": [" A", " B"]} for p in pairs]
    path = WORK / "training.json"
    path.write_text(json.dumps({"rows": made[:ROWS], "pairs": preferred[:PAIRS], "read": read[:READ]}))
    return str(path)


def _turns(messages: object) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in messages]  # type: ignore[attr-defined]
