"""The same training through TRL's trainers and peft, for those who want the field's own: same rows, same settings.

    single examples    -> SFTTrainer, loss on the completion only
    (chosen, rejected) -> DPOTrainer, sigmoid loss with the untrained model as the reference (arXiv:2305.18290)

It is slower than `finetune` on a CPU and takes the extra `trl`. The first loss of both is the same (the tests compare them);
after it they part, because each draws its own initial weights and its own order of rows.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepladder.core.errors import DataError, MissingExtra
from stepladder.models.local import loading
from stepladder.models.local.finetune import Example, Item, Row, Tuned, Tuning, appearing, to_rows

if TYPE_CHECKING:
    from stepladder.models.local.model import LocalModel

EXTRA = "TRL is not installed; get it with: pip install 'stepladder[trl]'"


def finetune_with_trl(
    subject: LocalModel,
    items: Sequence[Example | tuple[Example, ...]],
    folder: Path,
    tuning: Tuning,
    beta: float = 0.1,
    advance: Callable[[int], None] = lambda _: None,
) -> Tuned:
    """As `finetune`, trained by TRL: supervised where items are examples, DPO with `beta` where they are pairs.

    Raises `MissingExtra` where TRL is not installed, `DataError` for no or unusable rows.
    """
    trl, datasets = _libraries()
    rows, truncated = to_rows(subject, items, tuning)
    if not rows:
        raise DataError("training", "nothing to train on: no example has a completion that fits")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        settings = _settings(tuning, len(rows), scratch)
        with loading.quiet_transformers():
            make = _preferences if len(rows[0]) == 2 else _supervised
            trainer = make(trl, datasets, subject, rows, tuning, settings, beta)
            _attach_progress(trainer, advance, tuning.batch, round(tuning.epochs * len(rows)))
        trainer.train()
    losses = tuple(float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)
    tokens = round(tuning.epochs * sum(len(row) for item in rows for row in item))
    seconds = time.perf_counter() - started
    with appearing(folder) as made, loading.quiet_transformers():
        trainer.model.save_pretrained(made)
        if not tuning.rank:
            loading.load_tokenizer(subject.folder).save_pretrained(made)
        (made / "tuning.json").write_text(json.dumps(asdict(tuning)), "utf-8")
    return Tuned(folder, tuning.rank == 0, losses, tokens, seconds, truncated)


def _libraries() -> tuple[Any, Any]:
    with loading.quiet_transformers():
        try:
            return import_module("trl"), import_module("datasets")
        except ImportError:
            raise MissingExtra(EXTRA) from None


def _settings(tuning: Tuning, rows: int, scratch: str) -> dict[str, Any]:
    device, _ = loading.device_and_dtype(None)
    warm = max(1, round(0.05 * tuning.epochs * rows / tuning.batch))
    return {
        "output_dir": scratch, "per_device_train_batch_size": tuning.batch, "learning_rate": tuning.learning_rate,
        "num_train_epochs": tuning.epochs, "seed": tuning.seed, "lr_scheduler_type": "linear", "warmup_steps": warm,
        "weight_decay": 0.0, "max_grad_norm": 1.0, "max_length": tuning.max_tokens, "gradient_checkpointing": False,
        "bf16": False, "logging_steps": 1, "report_to": [], "save_strategy": "no", "disable_tqdm": True,
        "use_cpu": device.type == "cpu",
    }  # fmt: skip


def _supervised(
    trl: Any, datasets: Any, subject: LocalModel, rows: Sequence[Item], tuning: Tuning, settings: dict[str, Any], beta: float
) -> Any:
    table = [_labelled(item[0]) for item in rows]
    return trl.SFTTrainer(
        model=subject.weights(),
        args=trl.SFTConfig(**settings),
        train_dataset=datasets.Dataset.from_list(table),
        processing_class=loading.load_tokenizer(subject.folder),
        peft_config=_lora(subject, tuning),
    )


def _labelled(row: Row) -> dict[str, list[int]]:
    tokens = [*row.prompt, *row.completion]
    return {"input_ids": tokens, "labels": [*(-100,) * len(row.prompt), *row.completion]}


def _preferences(
    trl: Any, datasets: Any, subject: LocalModel, rows: Sequence[Item], tuning: Tuning, settings: dict[str, Any], beta: float
) -> Any:
    class OwnTokens(trl.DPOTrainer):  # type: ignore[misc]
        """Takes the rows as they are: TRL would cut text into tokens anew, without our chat format."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    table = [
        {"prompt_ids": list(a.prompt), "chosen_ids": list(a.completion), "rejected_ids": list(b.completion)} for a, b in rows
    ]
    return OwnTokens(
        model=subject.weights(),
        ref_model=None if tuning.rank else subject.weights(),
        args=trl.DPOConfig(beta=beta, **settings),
        train_dataset=datasets.Dataset.from_list(table),
        processing_class=loading.load_tokenizer(subject.folder),
        peft_config=_lora(subject, tuning),
    )


def _lora(subject: LocalModel, tuning: Tuning) -> Any:
    """The same layers as ours; None where all weights are trained."""
    if not tuning.rank:
        return None
    from peft import LoraConfig

    from stepladder.models.local.lora import MODULES

    return LoraConfig(
        r=tuning.rank, lora_alpha=int(tuning.alpha), lora_dropout=0.0, target_modules=list(MODULES), task_type="CAUSAL_LM",
        layers_to_transform=list(range(tuning.first_layer, subject.layers)), base_model_name_or_path="base",
    )  # fmt: skip


def _attach_progress(trainer: Any, advance: Callable[[int], None], batch: int, total: int) -> None:
    """Steps go to our display; TRL's own prints go nowhere."""
    from transformers import PrinterCallback, TrainerCallback

    class Steps(TrainerCallback):
        """Counts the items of every step."""

        left = total

        def on_step_end(self, *_: Any, **__: Any) -> None:
            """See `TrainerCallback`."""
            done = min(batch, self.left)
            self.left -= done
            advance(done)

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Steps())
