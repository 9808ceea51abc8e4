"""The ways to get more out of a model: what is asked of whom under each condition."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepladder.core.method import ChatModel, Context
from stepladder.core.values import Message, Request
from stepladder.methods.evaluation.ability import AbilityItem, correct

if TYPE_CHECKING:
    from stepladder.models.local.model import LocalModel

PLAIN, FEW_SHOT, FINETUNED = "plain", "few_shot", "finetuned"
NO_WEIGHTS = "needs the weights of a local model"


@dataclass(frozen=True)
class Elicitor:
    """Asks one model (`part`: subject or base) the measured items under every condition."""

    context: Context
    config: Any
    part: str
    model: ChatModel
    examples: Sequence[AbilityItem]
    measured: Sequence[AbilityItem]

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row a condition and item: what was said, and whether it was right."""
        yield from self._ask(PLAIN, self.model, ())
        yield from self._ask(FEW_SHOT, self.model, self._shots())
        if (local := _local(self.model)) is None:
            return
        yield from self._ask(FINETUNED, self._finetuned(local), ())
        for strength in self.config.noise:
            yield from self._ask(noise_name(strength), self._noisy(local, strength), ())

    def _ask(self, condition: str, model: ChatModel, before: tuple[Message, ...]) -> Iterator[dict[str, Any]]:
        requests = [
            Request(
                id=f"{self.part}/{condition}/{item.id}",
                messages=(*before, *item.messages),
                max_tokens=self.config.max_tokens,
                seed=self.context.seed,
            )
            for item in self.measured
        ]
        exchanges = self.context.ask(model, requests, label=f"{self.part} {condition}")
        for item, exchange in zip(self.measured, exchanges, strict=True):
            yield {
                "model": self.part, "condition": condition, "item": item.id, "said": exchange.reply.text,
                "correct": correct(item, exchange.reply),
                "by_chance": 0.5 if item.wrong else correct(self._neighbour(item), exchange.reply),
            }  # fmt: skip

    def _neighbour(self, item: AbilityItem) -> AbilityItem:
        """Another item of the same kind with another answer: a reply that is right for it too is right by chance."""
        kind = [other for other in self.measured if other.kind == item.kind]
        after = kind[kind.index(item) + 1 :] + kind[: kind.index(item)]
        return next((other for other in after if not set(other.answers) & set(item.answers)), item)

    def _shots(self) -> tuple[Message, ...]:
        """One solved example of each kind, in random order."""
        rng = random.Random(f"{self.context.seed} shots")
        kinds = list(dict.fromkeys(item.kind for item in self.examples))
        chosen = [rng.choice([item for item in self.examples if item.kind == kind]) for kind in kinds]
        rng.shuffle(chosen)
        return tuple(m for item in chosen for m in (*item.messages, Message(role="assistant", content=item.answers[0])))

    def _finetuned(self, model: LocalModel) -> LocalModel:
        from stepladder.models.local.finetune import Example, Tuning, finetune

        rows = [Example(item.messages, item.answers[0]) for item in self.examples]
        tuning = Tuning(rank=8, alpha=16, epochs=self.config.epochs, seed=self.context.seed)
        folder = self.context.folder / f"elicited-{self.part}"
        with self.context.task(f"finetuning {self.part}", round(tuning.epochs * len(rows))) as advance:
            finetune(model, rows, folder, tuning, advance=advance)
        return model.derive(model.name, [folder])

    def _noisy(self, model: LocalModel, strength: float) -> LocalModel:
        from stepladder.methods.evaluation.noise import NoisyModel

        return NoisyModel(model, strength, self.context.seed)


def noise_name(strength: float) -> str:
    """The name of the condition with noise of that strength."""
    return f"noise_{strength:g}"


def conditions(noise: Sequence[float]) -> tuple[str, ...]:
    """All conditions but the plain one."""
    return (FEW_SHOT, FINETUNED, *(noise_name(strength) for strength in noise))


def _local(model: ChatModel) -> LocalModel | None:
    from stepladder.models import LocalModel

    return model if isinstance(model, LocalModel) else None
