"""The models that unlearning compares: trained on all rows, trained without those to forget, and unlearned."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stepladder.core import Context, DataError, Message
from stepladder.data import KnownAnswer
from stepladder.methods.training import unlearning_objectives as objectives
from stepladder.methods.training.tuned import train, train_adapter
from stepladder.models.local.finetune import Example, Objective, Tuning

if TYPE_CHECKING:
    from stepladder.models import LocalModel

FULL, RETRAINED = "full", "retrained"
TASK_VECTOR = "task_vector"


@dataclass(frozen=True)
class Split:
    """Rows of the authors to forget and to retain."""

    forget: tuple[KnownAnswer, ...]
    retain: tuple[KnownAnswer, ...]


@dataclass(frozen=True)
class Strengths:
    """How hard each algorithm pushes: names and defaults as in `unlearning.Config`."""

    beta: float
    simnpo_beta: float
    simnpo_gamma: float
    rmu_strength: float
    task_vector_scale: float
    retain_weight: float
    rmu_retain_weight: float
    rmu_rate: float


def split_rows(rows: Sequence[KnownAnswer], authors: int, forgotten: int, per_author: int, seed: int) -> Split:
    """`authors` of the file's authors, chosen by the seed; the first `forgotten` of them are to be forgotten."""
    topics = list(dict.fromkeys(row.topic for row in rows))
    if len(topics) < authors:
        raise DataError("unlearning", f"{len(topics)} authors in the file, {authors} wanted")
    chosen = random.Random(seed).sample(topics, authors)
    by_topic = {topic: [row for row in rows if row.topic == topic][:per_author] for topic in chosen}
    return Split(
        tuple(row for topic in chosen[:forgotten] for row in by_topic[topic]),
        tuple(row for topic in chosen[forgotten:] for row in by_topic[topic]),
    )


def example(row: KnownAnswer) -> Example:
    """A row as it is trained on."""
    return Example((Message(role="user", content=row.question),), row.answer)


def pairs(split: Split, epochs: int, seed: int) -> list[tuple[Example, Example]]:
    """Each row to forget once an epoch, every time beside another row to retain as far as they go."""
    rng = random.Random(seed)
    order: list[KnownAnswer] = []
    while len(order) < epochs * len(split.forget):
        order += rng.sample(split.retain, len(split.retain))
    return [(example(row), example(kept)) for row, kept in zip(split.forget * epochs, order, strict=False)]


@dataclass(frozen=True)
class Workshop:
    """Where the models are made: the subject, how to train it, and the folder that keeps the adapters."""

    context: Context
    subject: LocalModel
    split: Split
    learn: Tuning
    unlearn: Tuning
    strengths: Strengths
    folder: Path

    def full(self) -> LocalModel:
        """The subject trained on all rows."""
        rows = [example(row) for row in (*self.split.forget, *self.split.retain)]
        return train(self.context, self.subject, FULL, rows, self.learn, self.folder)

    def retrained(self) -> LocalModel:
        """The subject trained, in as many epochs, on the rows to retain alone: what unlearning should end at."""
        rows = [example(row) for row in self.split.retain]
        return train(self.context, self.subject, RETRAINED, rows, self.learn, self.folder)

    def unlearned(self, algorithm: str, full: LocalModel) -> LocalModel:
        """`full` after an algorithm of `ALGORITHMS`."""
        return ALGORITHMS[algorithm](self, algorithm, full)

    @contextmanager
    def relearned(self, model: LocalModel, rows: Sequence[KnownAnswer], epochs: float) -> Iterator[LocalModel]:
        """`model` after finetuning on a few of the rows that it should have forgotten; gone after the block."""
        tuning = replace(self.learn, epochs=epochs, batch=min(4, len(rows)))
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            name = f"{model.name}+{epochs:g}"
            yield train(self.context, model, name, [example(row) for row in rows], tuning, Path(folder))


def _by_objective(objective: Callable[[Strengths], Objective]) -> Callable[[Workshop, str, LocalModel], LocalModel]:
    return lambda shop, name, full: _paired(shop, name, full, objective(shop.strengths), shop.unlearn)


def _paired(shop: Workshop, name: str, full: LocalModel, objective: Objective, tuning: Tuning) -> LocalModel:
    items = pairs(shop.split, round(tuning.epochs), tuning.seed)
    return train(shop.context, full, name, items, replace(tuning, epochs=1), shop.folder, objective)


def _task_vector(shop: Workshop, name: str, full: LocalModel) -> LocalModel:
    """Finetune further on the rows to forget, then go the same way backwards."""
    rows = [example(row) for row in shop.split.forget]
    forward = train_adapter(shop.context, full, f"{name}_forward", rows, shop.unlearn, shop.folder)
    return full.derive(name, [objectives.negate_adapter(forward, shop.folder / name, shop.strengths.task_vector_scale)])


def _rmu(shop: Workshop, name: str, full: LocalModel) -> LocalModel:
    """At a layer a little above the first adapted one, so that the layers between can turn its stream."""
    layers, strengths = shop.subject.layers, shop.strengths
    layer = min(shop.unlearn.first_layer + max(1, layers // 8), layers - 1)
    objective = objectives.rmu_objective(layer, strengths.rmu_strength, strengths.rmu_retain_weight, shop.unlearn.seed)
    return _paired(shop, name, full, objective, replace(shop.unlearn, learning_rate=strengths.rmu_rate))


ALGORITHMS: Mapping[str, Callable[[Workshop, str, LocalModel], LocalModel]] = {
    "gradient_ascent": _by_objective(lambda by: objectives.ascent_objective(by.retain_weight)),
    "npo": _by_objective(lambda by: objectives.npo_objective(by.beta, by.retain_weight)),
    "simnpo": _by_objective(lambda by: objectives.simnpo_objective(by.simnpo_beta, by.simnpo_gamma, by.retain_weight)),
    "rmu": _rmu,
    TASK_VECTOR: _task_vector,
}
