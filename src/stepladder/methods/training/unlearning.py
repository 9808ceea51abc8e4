"""Make the model forget some authors, five ways, and compare each with a model that was trained without them.

Papers: gradient ascent and the TOFU protocol (Maini et al., arXiv:2401.06121), NPO (arXiv:2404.05868), SimNPO
(arXiv:2410.07163), RMU (arXiv:2403.03218), task vectors (arXiv:2212.04089). What differs: the distance from the retrained
model is a paired difference with an interval over authors, beside TOFU's p-value; retain and real-world knowledge stand
beside every forgetting figure; and the result is attacked, by other ways of asking and by finetuning on a few of the rows,
which the retrained model suffers too: only what it does not give away was removed.

Unit: the forgotten (or retained) author; facts for utility. Trivial baselines: the subject before it learnt anything, and
the trained model that nobody made forget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepladder.core import Context, Finding, Method, Record, UnknownName, Verdict, new_record
from stepladder.core.errors import StepladderError
from stepladder.data import KnownAnswer, load_facts, load_invented_authors, read_known_answers
from stepladder.methods.training import memory, unlearning_measures
from stepladder.methods.training.fitting import trainable
from stepladder.methods.training.forgetting import ALGORITHMS, RETRAINED, Split, Strengths, Workshop, split_rows
from stepladder.models.local.finetune import Tuning

if TYPE_CHECKING:
    from stepladder.models import LocalModel


@dataclass(frozen=True)
class Config:
    """What to learn, what to forget, how, and how hard to try to get it back."""

    items_file: str = ""
    """Question-answer rows in TOFU's layout (csv, json or jsonl). Empty: the shipped invented authors."""
    authors: int = 12
    """Authors to learn, chosen by the seed."""
    forgotten: int = 6
    """How many of them to forget."""
    per_author: int = 4
    """Questions of each author."""
    algorithms: tuple[str, ...] = ("gradient_ascent", "npo", "simnpo", "rmu", "task_vector")
    """Which to compare."""
    epochs: float = 10
    """Times over all rows when learning."""
    learning_rate: float = 1e-3
    """Step size when learning and relearning."""
    unlearn_epochs: int = 5
    """Times over the rows to forget."""
    unlearn_rate: float = 7e-4
    """Step size when unlearning."""
    retain_weight: float = 1.0
    """Weight of the loss that holds retained rows in place (not for task vectors, which have none)."""
    beta: float = 0.1
    """NPO's temperature."""
    simnpo_beta: float = 2.5
    """SimNPO's temperature."""
    simnpo_gamma: float = 0.0
    """SimNPO's margin."""
    rmu_strength: float = 1.0
    """RMU's target, in norms of the stream at its layer."""
    rmu_retain_weight: float = 10.0
    """Weight of RMU's own retain loss, which holds the stream of retained answers in place."""
    rmu_rate: float = 2e-3
    """RMU's step size: it turns the stream of few layers far."""
    task_vector_scale: float = 3.0
    """How far to go back along the task vector."""
    rank: int = 16
    """Rank of every adapter; the upper half of the layers is adapted."""
    relearn_per_author: int = 1
    """Rows of each forgotten author that the relearning attack has."""
    relearn_epochs: tuple[int, ...] = (2, 6)
    """Times over them, one attack each."""
    attacked_per_author: int = 2
    """Rows of each forgotten author asked in every way."""
    max_tokens: int = 24
    """Longest reply to an attack, in tokens."""

    def __post_init__(self) -> None:
        for name in self.algorithms:
            if name not in ALGORITHMS:
                raise UnknownName("unlearning algorithm", name, list(ALGORITHMS))
        if not 2 <= self.forgotten <= self.authors - 2:
            raise StepladderError(f"unlearning: forgotten is {self.forgotten}; allowed: 2 to authors - 2")
        if not 0 < self.relearn_per_author < self.per_author:
            raise StepladderError("unlearning: relearn_per_author has to be 1 or more, and less than per_author")


def record(context: Context, config: Config) -> Record:
    """Train all models, measure each as soon as it is there, and keep only the numbers and the adapters."""
    subject = trainable(context.subject, METHOD.name)
    rows = read_known_answers(Path(config.items_file)) if config.items_file else load_invented_authors()
    split = split_rows(rows, config.authors, config.forgotten, config.per_author, context.seed)
    shop = _workshop(context, subject, split, config)
    data = _measured(context, shop, config)
    artifacts = {name: f"unlearning/{name}" for name in config.algorithms}
    return new_record(METHOD, context, config, data=data, artifacts=artifacts)


def _workshop(context: Context, subject: LocalModel, split: Split, config: Config) -> Workshop:
    usual = Tuning(rank=config.rank, alpha=2.0 * config.rank, first_layer=subject.layers // 2, seed=context.seed)
    return Workshop(
        context, subject, split,
        learn=replace(usual, epochs=config.epochs, learning_rate=config.learning_rate),
        unlearn=replace(usual, epochs=config.unlearn_epochs, learning_rate=config.unlearn_rate),
        strengths=Strengths(
            config.beta, config.simnpo_beta, config.simnpo_gamma, config.rmu_strength, config.task_vector_scale,
            config.retain_weight, config.rmu_retain_weight, config.rmu_rate,
        ),
        folder=context.folder / "unlearning",
    )  # fmt: skip


def _measured(context: Context, shop: Workshop, config: Config) -> dict[str, Any]:
    first = _first_of_each(shop.split.forget, config.relearn_per_author)
    full = shop.full()
    models: dict[str, Any] = {"subject": _knowledge(shop.subject, shop.split), "full": _knowledge(full, shop.split)}
    models["full"]["attacks"] = _attacked(context, full, shop.split, config)
    relearned: dict[str, dict[str, Any]] = {}
    for name in (RETRAINED, *config.algorithms):
        model = shop.retrained() if name == RETRAINED else shop.unlearned(name, full)
        models[name] = _knowledge(model, shop.split) | {"attacks": _attacked(context, model, shop.split, config)}
        relearned[name] = {}
        for epochs in config.relearn_epochs:
            with shop.relearned(model, first, epochs) as attacked:
                relearned[name][str(epochs)] = memory.probabilities(attacked, shop.split.forget)
    return {
        "topics": {row.id: row.topic for row in (*shop.split.forget, *shop.split.retain)},
        "relearnt_rows": [row.id for row in first],
        "models": models,
        "relearned": relearned,
    }


def _knowledge(model: LocalModel, split: Split) -> dict[str, Any]:
    return {
        "forget": memory.probabilities(model, split.forget),
        "retain": memory.probabilities(model, split.retain),
        "truth": memory.truth_ratios(model, split.forget),
        "facts": memory.known_facts(model, load_facts()),
    }


def _attacked(context: Context, model: LocalModel, split: Split, config: Config) -> dict[str, Any]:
    return memory.recalls(context, model, _first_of_each(split.forget, config.attacked_per_author), config.max_tokens)


def _first_of_each(rows: Sequence[KnownAnswer], count: int) -> tuple[KnownAnswer, ...]:
    """The first `count` rows of each author."""
    by_topic: dict[str, list[KnownAnswer]] = {}
    for row in rows:
        by_topic.setdefault(row.topic, []).append(row)
    return tuple(row for part in by_topic.values() for row in part[:count])


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """Each algorithm's distance from the retrained model, what it cost, and what attacks got back."""
    return Finding(
        method=METHOD.name,
        family=METHOD.family,
        subject=record.subject,
        record=record.key,
        measurements=tuple(unlearning_measures.measurements(record.data)),
        limits=_LIMITS,
    )


_LIMITS = (
    "Each model was trained once: intervals are over authors, not over training runs.",
    "A model that no longer says an answer may still hold it: relearning and attacks give lower bounds on what is left.",
    "Strengths were not tuned for each algorithm; another step size can change their order.",
)

METHOD = Method(
    name="unlearning", family="training", access="weights",
    papers=("arXiv:2401.06121", "arXiv:2404.05868", "arXiv:2410.07163", "arXiv:2403.03218", "arXiv:2212.04089"),
    config=Config, record=record, judge=judge,
)  # fmt: skip
