"""Training as the techniques of this family do it: rows in, a model with an adapter more out, shown as work in progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from stepladder.core import (
    Access,
    Ask,
    ChatModel,
    Context,
    Cost,
    Exchange,
    Message,
    Reply,
    Request,
    StepladderError,
    cost_of,
    require_access,
)
from stepladder.methods.training.capability import read_capability
from stepladder.methods.training.outcomes import under

if TYPE_CHECKING:
    from stepladder.models import LocalModel
    from stepladder.models.local.finetune import Example, Objective, Tuned, Tuning

ADAPTER = "adapter"
"""Role and folder of the adapter that a technique of this family leaves: `subject.derive(name, [folder / ADAPTER])`."""


def trainable(model: ChatModel, purpose: str) -> LocalModel:
    """The model as one that can be trained; raises `AccessError`."""
    require_access(model, Access.weights, purpose, ["smollm2", "hf/<id or folder>"])
    return cast("LocalModel", model)


def require_share(method: str, frozen: float) -> None:
    """Raise a `StepladderError` unless at least a part of the layers is left to train."""
    if not 0 <= frozen < 1:
        raise StepladderError(f"{method}: frozen is {frozen:g}; allowed: 0 to below 1")


def first_layer(model: LocalModel, frozen: float) -> int:
    """The lowest layer to train where that share of the layers stays as it is."""
    return int(frozen * model.layers)


def fit(
    context: Context, model: LocalModel, items: Sequence[Example | tuple[Example, ...]], folder: Path, tuning: Tuning,
    label: str, objective: Objective | None = None,
) -> Tuned:  # fmt: skip
    """Train `model` on the items with our own trainer; `label` names the work in the progress display."""
    from stepladder.models.local.finetune import finetune, next_token_loss

    with context.task(label, round(tuning.epochs * len(items))) as advance:
        return finetune(model, items, folder, tuning, objective or next_token_loss, advance)


def own_answers(context: Context, model: LocalModel, prompts: Sequence[tuple[Message, ...]], longest: int) -> list[Example]:
    """The model's own greedy answers to harmless prompts, to be kept; one cut off is not taught to end there."""
    from stepladder.models.local.finetune import Example

    asked = [Request(id=f"benign/{i}", messages=messages, max_tokens=longest) for i, messages in enumerate(prompts)]
    exchanges = context.ask(model, asked, label="its own answers to harmless prompts")
    return [
        Example(e.request.messages, e.reply.text, whole=e.reply.stop_reason == "stop") for e in exchanges if e.reply.text
    ]


def measure_all(
    context: Context, models: Mapping[str, LocalModel], asked: Mapping[str, Sequence[Request]]
) -> tuple[list[Exchange], dict[str, dict[str, float]]]:
    """Each condition's answers to its questions, and which capability pairs its model gets right."""
    exchanges: list[Exchange] = []
    capability = {}
    for condition, model in models.items():
        label = condition.replace("_", " ")
        exchanges += context.ask(model, [under(condition, request) for request in asked[condition]], label=label)
        with context.task(f"capability, {label}", 1) as advance:
            capability[condition] = read_capability(model)
            advance(1)
    return exchanges, capability


class Counting:
    """Asks as the given `Ask` does, and adds up what the record cost: the answers, and the seconds spent on training."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._replies: list[Reply] = []
        self.training_seconds = 0.0

    def __call__(self, model: ChatModel, requests: Sequence[Request], *, label: str) -> tuple[Exchange, ...]:
        """See `Ask`."""
        exchanges = self._ask(model, requests, label=label)
        self._replies += [exchange.reply for exchange in exchanges]
        return exchanges

    def cost(self) -> Cost:
        """So far."""
        return cost_of(self._replies, self.training_seconds)
