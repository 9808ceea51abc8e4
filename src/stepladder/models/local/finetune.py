"""Finetuning a local model: rows in, an adapter (or a full model) out.

    Example(prompt, completion) -> tokens; loss on the completion only (a prompt of () is a document: loss on all of it)
    items of one or more examples -> batches of similar length, order by seed -> objective(net, items) -> AdamW

The objective is a function, so that preferences and unlearning use the same loop. What makes it faster than the usual
trainers on a CPU: frozen weights in bfloat16, logits of completion tokens only, no padding to speak of, one product a layer
(`lora`), and plain attention, whose backward pass is twice as fast there. `benchmarks` has the ratios. The result of the
same rows, settings and seed is the same on the same machine.
"""

from __future__ import annotations

import copy
import gc
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stepladder.core.errors import DataError, ModelUnavailable
from stepladder.core.values import Message
from stepladder.models.local import loading

if TYPE_CHECKING:
    from torch import Tensor

    from stepladder.models.local.model import LocalModel


@dataclass(frozen=True)
class Example:
    """What to learn to say (`completion`) after what (`prompt`); with an empty prompt the completion is a document.

    `whole` is False for a reply that was cut off: then the end of the turn is not learned after it.
    """

    prompt: tuple[Message, ...]
    completion: str
    whole: bool = True


@dataclass(frozen=True)
class Tuning:
    """How to train. `rank` 0 trains all weights. Layers count from 0; `first_layer` is the lowest one adapted."""

    rank: int = 16
    alpha: float = 32.0
    first_layer: int = 0
    learning_rate: float = 1e-3
    epochs: float = 1.0
    batch: int = 8
    max_tokens: int = 384
    seed: int = 0


@dataclass(frozen=True)
class Tuned:
    """What training left: a peft adapter folder, or a model folder where all weights were trained."""

    folder: Path
    full: bool
    losses: tuple[float, ...]
    tokens: int
    seconds: float
    truncated: int


@dataclass(frozen=True)
class Row:
    """An example in tokens."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


Item = tuple[Row, ...]
Objective = Callable[["Net", Sequence[Item]], "Tensor"]


class Net:
    """The model in training, as objectives see it."""

    def __init__(self, model: Any, full: bool, dtype: Any) -> None:
        self.model, self._dtype = model, dtype
        self._frozen = copy.deepcopy(model).requires_grad_(False) if full else None

    @contextmanager
    def precision(self) -> Iterator[None]:
        """Products in the precision of the frozen weights; where all weights are trained these stay in float32."""
        import torch

        device = self.model.get_input_embeddings().weight.device.type
        with torch.autocast(device, self._dtype, enabled=self._frozen is not None and self._dtype != torch.float32):
            yield

    def logprobs(self, rows: Sequence[Row]) -> list[Tensor]:
        """log p of each token of each row's completion: one tensor (completion tokens,) a row."""
        import torch

        tokens, wanted = self._padded(rows)
        hidden = self.model.model(input_ids=tokens, use_cache=False).last_hidden_state
        logits = self.model.lm_head(hidden[:, :-1][wanted[:, 1:]]).float()
        chosen = torch.nn.functional.cross_entropy(logits, tokens[:, 1:][wanted[:, 1:]], reduction="none")
        return list(torch.split(-chosen, [len(row.completion) for row in rows]))

    def hidden(self, rows: Sequence[Row], layer: int) -> list[Tensor]:
        """The residual stream after `layer`, (tokens, width) a row, prompt included."""
        caught: list[Any] = []
        hook = self.model.model.layers[layer].register_forward_hook(lambda _m, _i, out: caught.append(out))
        try:
            self.model.model(input_ids=self._padded(rows)[0], use_cache=False)
        finally:
            hook.remove()
        stream = caught[0][0] if isinstance(caught[0], tuple) else caught[0]
        return [values[: len(row)] for values, row in zip(stream, rows, strict=True)]

    @contextmanager
    def reference(self) -> Iterator[None]:
        """The model as it was before training, without gradients."""
        import torch

        from stepladder.models.local.lora import disabled

        current, self.model = self.model, self.model if self._frozen is None else self._frozen
        try:
            with torch.no_grad(), disabled(self.model):
                yield
        finally:
            self.model = current

    def _padded(self, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
        """Tokens (rows, longest), padded on the right where causality hides them, and which belong to completions."""
        import torch

        tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        wanted = torch.zeros_like(tokens, dtype=torch.bool)
        for i, row in enumerate(rows):
            tokens[i, : len(row)] = torch.tensor(row.prompt + row.completion)
            wanted[i, len(row.prompt) : len(row)] = True
        device = self.model.get_input_embeddings().weight.device
        return tokens.to(device), wanted.to(device)


def next_token_loss(net: Net, items: Sequence[Item]) -> Tensor:
    """Mean negative log-likelihood of the completions' tokens: supervised finetuning."""
    import torch

    return -torch.cat(net.logprobs([row for item in items for row in item])).mean()


def finetune(
    subject: LocalModel,
    items: Sequence[Example | tuple[Example, ...]],
    folder: Path,
    tuning: Tuning,
    objective: Objective = next_token_loss,
    advance: Callable[[int], None] = lambda _: None,
) -> Tuned:
    """Train `subject` (with its adapters and hidden system prompt, if any) and write the result to `folder`.

    `advance` is called with the number of items just done. The folder appears whole or not at all. Raises `DataError` for
    no or unusable rows, `ModelUnavailable` where the loss is no longer finite.
    """
    rows, truncated = to_rows(subject, items, tuning)
    if not rows:
        raise DataError("training", "nothing to train on: no example has a completion that fits")
    started = time.perf_counter()
    losses = _trained(subject, rows, folder, tuning, objective, advance)
    gc.collect()  # modules refer to each other: a gigabyte would stay until some later collection
    tokens = sum(len(row) for step in _schedule(rows, tuning) for i in step for row in rows[i])
    return Tuned(folder, tuning.rank == 0, tuple(losses), tokens, time.perf_counter() - started, truncated)


def _trained(
    subject: LocalModel, rows: list[Item], folder: Path, tuning: Tuning, objective: Objective, advance: Callable[[int], None]
) -> list[float]:
    """Train a copy of the weights, write what was learned, and let the copy go."""
    model = _trainable(subject, tuning)
    net = Net(model, tuning.rank == 0, loading.device_and_dtype(subject.precision)[1])
    losses = _train(net, rows, tuning, objective, advance)
    _keep(model, folder, subject, tuning)
    return losses


def _train(net: Net, rows: list[Item], tuning: Tuning, objective: Objective, advance: Callable[[int], None]) -> list[float]:
    import torch

    parameters = [p for p in net.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=tuning.learning_rate, weight_decay=0.0)
    steps = list(_schedule(rows, tuning))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, len(steps)))
    losses: list[float] = []
    for step in steps:
        with net.precision():
            loss = objective(net, [rows[i] for i in step])
        if not torch.isfinite(loss):
            raise ModelUnavailable(f"training diverged at step {len(losses) + 1}; lower the learning rate")
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        advance(len(step))
    return losses


def _rate(step: int, steps: int) -> float:
    """Share of the learning rate: up over the first 5% of the steps, then down to a tenth in a straight line."""
    warm = max(1, round(0.05 * steps))
    return (step + 1) / warm if step < warm else 1 - 0.9 * (step - warm) / max(1, steps - warm)


def _schedule(rows: Sequence[Item], tuning: Tuning) -> Iterator[list[int]]:
    """Indices of each step: random order, sorted by length within eight batches, so that little is padded."""
    random = np.random.default_rng(tuning.seed)
    left = round(tuning.epochs * len(rows))
    for _ in range(-(-left // len(rows))):
        order = random.permutation(len(rows))[: min(left, len(rows))].tolist()
        left -= len(order)
        steps: list[list[int]] = []
        for start in range(0, len(order), 8 * tuning.batch):
            chunk = sorted(order[start : start + 8 * tuning.batch], key=lambda i: sum(map(len, rows[i])))
            steps += [chunk[i : i + tuning.batch] for i in range(0, len(chunk), tuning.batch)]
        yield from (steps[i] for i in random.permutation(len(steps)))


def to_rows(subject: LocalModel, items: Sequence[Example | tuple[Example, ...]], tuning: Tuning) -> tuple[list[Item], int]:
    """The items in tokens, those whose completion would be cut away left out; and how many were cut or left out."""
    groups = [item if isinstance(item, tuple) else (item,) for item in items]
    whole = [tuple(subject.chat_format.example(e.prompt, e.completion, e.whole) for e in group) for group in groups]
    cut = [tuple(Row(p, c[: max(0, tuning.max_tokens - len(p))]) for p, c in group) for group in whole]
    kept = [group for group in cut if all(row.completion for row in group)]
    shortened = sum(
        any(len(r) < len(p) + len(c) for r, (p, c) in zip(g, w, strict=True)) for g, w in zip(cut, whole, strict=True)
    )
    return kept, shortened


def _trainable(subject: LocalModel, tuning: Tuning) -> Any:
    import torch

    from stepladder.models.local.lora import attach

    torch.manual_seed(tuning.seed)
    device, dtype = loading.device_and_dtype(subject.precision)
    model = subject.weights(attention="eager" if device.type == "cpu" else "sdpa")
    if tuning.rank:
        model = model.to(device, dtype)
        attach(model, tuning.rank, tuning.alpha, first_layer=tuning.first_layer)
        return model
    return model.to(device).requires_grad_(True)  # all weights: float32, as updates of 1e-4 vanish in bfloat16


def _keep(model: Any, folder: Path, subject: LocalModel, tuning: Tuning) -> None:
    from stepladder.models.local.lora import save_adapter

    with appearing(folder) as made:
        if tuning.rank:
            save_adapter(model, made, "base", tuning.rank, tuning.alpha)
        else:
            with loading.quiet_transformers():
                model.save_pretrained(made)
                loading.load_tokenizer(subject.folder).save_pretrained(made)
        (made / "tuning.json").write_text(json.dumps(asdict(tuning)), "utf-8")


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A folder to write, which becomes `folder` at the end: a killed run leaves nothing half written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        yield made
        made.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
