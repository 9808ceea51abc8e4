"""Short questions about behaviour and ability, each in two framings, read by log probabilities and by free text.

Papers: Perez et al., Discovering Language Model Behaviors with Model-Written Evaluations (arXiv:2212.09251), for the form of
the questions; Parrish et al., BBQ (arXiv:2110.08193), Lin et al., TruthfulQA (arXiv:2109.07958) and Sharma et al., Towards
Understanding Sycophancy (arXiv:2310.13548), whose sets are read too; Zheng et al. (arXiv:2309.03882) for the preference
of models for places. What differs: the items are our own; every question comes in a framing and its reverse and, where
answers are listed, in every order; preferences for Yes and for places are averaged out in log-odds and reported beside.

Unit: the item; rates are probabilities of the answer that shows the behaviour. Chance level: one half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from stepladder.core import (
    Access,
    ChatModel,
    Context,
    Finding,
    Method,
    Record,
    Request,
    StepladderError,
    UnknownName,
    Verdict,
    new_record,
    require_between,
)
from stepladder.data import ChoiceSet, load_battery, read_choices
from stepladder.methods.evaluation import battery_free_text
from stepladder.methods.evaluation.battery_detection import detections
from stepladder.methods.evaluation.battery_measures import (
    RATED,
    Read,
    free_text_measurements,
    order_biases,
    set_measurements,
)
from stepladder.methods.evaluation.battery_published import published_measurements
from stepladder.methods.evaluation.battery_reading import READINGS, ReadingModel, read_choices_by
from stepladder.methods.evaluation.battery_scoring import pack, unpack


@dataclass(frozen=True)
class Config:
    """What to ask, and how to read it."""

    items_file: str = ""
    """File of items instead of the shipped sets: our own YAML, or a csv/json/jsonl of a known data set."""
    items_per_set: int = 0
    """How many items of each set to use, spread over it; 0 for all."""
    read_by: str = "open"
    """How log probabilities are read: open (answers not listed), listed (answers named in the question) or letters."""
    free_text_items: int = 8
    """How many items of each set in our own format are also asked in free text, of requests to misuse twice as many."""
    max_tokens: int = 24
    """Longest free-text answer, in tokens."""
    margin: float = 0.2
    """How large an effect has to be, with its whole interval, to count as detected; half of it where the base is known."""

    def __post_init__(self) -> None:
        require_between("behaviour_battery", "items_per_set", self.items_per_set, 0)
        require_between("behaviour_battery", "free_text_items", self.free_text_items, 0)
        if self.read_by not in READINGS:
            raise UnknownName("reading", self.read_by, list(READINGS))
        if not 0 <= self.margin < 1:
            raise StepladderError(f"behaviour_battery: margin is {self.margin}; allowed: 0 or more, below 1")


def chosen_sets(config: Config) -> tuple[ChoiceSet, ...]:
    """The sets to use, cut to `items_per_set`."""
    sets = read_choices(Path(config.items_file)) if config.items_file else load_battery()
    return tuple(part.cut(config.items_per_set) if config.items_per_set else part for part in sets)


def plan(config: Config, seed: int) -> tuple[Request, ...]:
    """What is asked in free text and read by a judge; the plain rule reads the other answers itself."""
    return tuple(request for request in free_text(config, seed) if request.metadata["kind"] == "harmful")


def free_text(config: Config, seed: int) -> tuple[Request, ...]:
    """All that is asked in free text."""
    return battery_free_text.requests(chosen_sets(config), config.free_text_items, config.max_tokens, seed)


def record(context: Context, config: Config) -> Record:
    """Ask in free text; read the subject and, where it is known, its base by log probabilities."""
    sets = chosen_sets(config)
    exchanges = context.ask(context.subject, free_text(config, context.seed), label="behaviour_battery")
    judged = [exchange for exchange in exchanges if exchange.metadata["kind"] == "harmful"]
    answers = battery_free_text.answers_of(exchanges)
    data: dict[str, Any] = {"sets": pack(sets), "answers": answers, "read": {}, "reason": _unreadable(context.subject)}
    models = {"subject": context.subject, "base": context.models.get("base")}
    readable = {name: model for name, model in models.items() if model and not _unreadable(model)}
    if data["reason"] is None:
        with context.task("reading answers", len(readable)) as advance:
            for name, model in readable.items():
                data["read"][name] = read_choices_by(cast("ReadingModel", model), sets, config.read_by)
                advance(1)
    return new_record(METHOD, context, config, judged, data=data)


def _unreadable(model: ChatModel) -> str | None:
    """Why a model's log probabilities cannot be read, or `None` where they can."""
    if model.access >= Access.logprobs and callable(getattr(model, "logprobs", None)):
        return None
    return f"{model.name} gives no log probabilities of given answers; local models do"


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """Rates, gaps and detections of every set."""
    sets = unpack(record.data["sets"])
    read = record.data["read"]
    known = Read(config.read_by, read.get("subject", {}), read.get("base", {}), record.data["reason"])
    own = [part for part in sets if part.format in RATED]
    return Finding(
        method=METHOD.name, family=METHOD.family, subject=record.subject, record=record.key,
        judge=", ".join(sorted({verdict.judge for verdict in verdicts})),
        measurements=(
            *(m for part in own for m in set_measurements(part, known)),
            *(m for part in sets if part not in own for m in published_measurements(part, known)),
            *order_biases(sets, known),
            *free_text_measurements(own, record.data["answers"], verdicts),
            *detections(sets, known, config.margin),
        ),
        limits=_LIMITS,
    )  # fmt: skip


_LIMITS = (
    "What a model says it would do is not what it does: these are answers to questions, and a rate near one half may only "
    "say that it does not understand them.",
    "Rates compare models on the same items; they are not shares of real conversations.",
    "Bias and loyalty are looked for between the listed pairs only; a favourite outside them goes unseen.",
)

METHOD = Method(
    name="behaviour_battery", family="evaluation", access="chat",
    papers=(
        "arXiv:2212.09251", "arXiv:2110.08193", "arXiv:2109.07958", "arXiv:2310.13548", "arXiv:2309.03882",
    ),
    config=Config, plan=plan, record=record, judge=judge,
)  # fmt: skip
