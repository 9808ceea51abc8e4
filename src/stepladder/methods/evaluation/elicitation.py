"""The ways to get more out of a model: what is asked of whom under each condition."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepladder.core.method import ChatModel, Context
from stepladder.core.values import Message, Request
from stepladder.methods.evaluation.ability import AbilityItem, correct
from stepladder.methods.evaluation.likelihood import leads

if TYPE_CHECKING:
    from stepladder.models.local.model import LocalModel

PLAIN, FEW_SHOT, FINETUNED = "plain", "few_shot", "finetuned"
NO_WEIGHTS = "needs the weights of a local model"
ANSWER = "It is {}."
"""What an answer looks like in examples and where its likelihood is read."""
BATCH = 16


@dataclass(frozen=True)
class Elicitor:
    """Asks one model (`part`: subject or base) the measured items under every condition.

    With `likely` it is not asked to write: an item is right where the right answer is the likelier one. Small models know
    more than they say in few words, and learning to say it is not what is looked for.
    """

    context: Context
    config: Any
    part: str
    model: ChatModel
    examples: Sequence[AbilityItem]
    measured: Sequence[AbilityItem]
    likely: bool

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
        read = self._preferred if self.likely else self._said
        for item, row in zip(self.measured, read(condition, model, before), strict=True):
            yield {"model": self.part, "condition": condition, "item": item.id, **row}

    def _said(self, condition: str, model: ChatModel, before: tuple[Message, ...]) -> Iterator[dict[str, Any]]:
        """What the model writes, and whether it is right; for the baseline, whether it is right for another item."""
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
            chance = 0.5 if item.wrong else correct(self._neighbour(item), exchange.reply)
            yield {"said": exchange.reply.text, "correct": correct(item, exchange.reply), "by_chance": chance}

    def _preferred(self, condition: str, model: Any, before: tuple[Message, ...]) -> Iterator[dict[str, Any]]:
        """Whether the right answer is likelier, per token, than the wrong one (of an open question: than a neighbour's)."""
        with self.context.task(f"{self.part} {condition}", len(self.measured)) as advance:
            for start in range(0, len(self.measured), BATCH):
                items = self.measured[start : start + BATCH]
                pairs = [((*before, *item.messages), ANSWER.format(text)) for item in items for text in self._rivals(item)]
                for lead in leads(model, pairs):
                    yield {"lead": lead, "correct": None if lead is None else float(lead > 0), "by_chance": 0.5}
                advance(len(items))

    def _rivals(self, item: AbilityItem) -> tuple[str, str]:
        return item.answers[0], item.wrong or self._neighbour(item).answers[0]

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
        return tuple(
            m for item in chosen for m in (*item.messages, Message(role="assistant", content=ANSWER.format(item.answers[0])))
        )

    def _finetuned(self, model: LocalModel) -> LocalModel:
        from stepladder.models.local.finetune import Example, Tuning, finetune

        rows = [Example(item.messages, ANSWER.format(item.answers[0])) for item in self.examples]
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
