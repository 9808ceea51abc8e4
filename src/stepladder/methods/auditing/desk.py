"""What a strategy works with: the subject and, where known, its base and training rows, under one budget of questions."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from stepladder.core import Access, ChatModel, Context, Exchange, Message, Request, StepladderError


class Skipped(StepladderError):
    """A strategy that cannot be followed here; its text says what is missing."""


@dataclass(frozen=True)
class Needs:
    """What a strategy cannot do without; `access` is to the subject, and to the base where that is needed."""

    access: Access = Access.chat
    base: bool = False
    rows: bool = False


@dataclass
class Desk:
    """One investigation's means. `questions` is what may still be asked of the subject; the base's answers are free."""

    context: Context
    questions: int
    probes: int
    seed: int
    asked: int = 0
    samples: dict[str, tuple[str | None, ...]] = field(default_factory=dict)
    """Replies that more than one strategy reads, by model."""

    @property
    def subject(self) -> ChatModel:
        """The model under audit."""
        return self.context.subject

    @property
    def base(self) -> ChatModel | None:
        """The model that it was trained from, where that is known."""
        return self.context.models.get("base")

    def stream(self, *parts: str) -> random.Random:
        """A random stream of its own for each purpose."""
        return random.Random("/".join([str(self.seed), *parts]))

    def spend(self, questions: int) -> None:
        """Take from the budget; `Skipped` where it does not reach."""
        if questions > self.questions - self.asked:
            raise Skipped(f"needs {questions} questions, but {self.questions - self.asked} of {self.questions} are left")
        self.asked += questions

    def working(self, label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Progress of work other than asking."""
        return self.context.task(label, total)

    def missing(self, needs: Needs) -> str:
        """What of `needs` is not there, in words; "" where nothing is missing."""
        if self.subject.access < needs.access:
            return f"needs {needs.access.name} access to the subject, which gives {self.subject.access.name}"
        if needs.base and self.base is None:
            return "needs the base model, which is not known"
        if needs.base and self.base is not None and self.base.access < needs.access:
            return f"needs {needs.access.name} access to the base, which gives {self.base.access.name}"
        if needs.rows and not self.context.training_rows:
            return "needs the rows that the subject was trained on, which are not known"
        return ""

    def replies(
        self, model: ChatModel, prompts: Sequence[tuple[Message, ...]], label: str, **how: Any
    ) -> tuple[str | None, ...]:
        """What the model says to each conversation (`None` where it gave nothing); `how` are fields of the requests."""
        requests = [Request(id=f"{label}/{i}", messages=prompt, **how) for i, prompt in enumerate(prompts)]
        return tuple(exchange.reply.text for exchange in self.exchanges(model, requests, label))

    def exchanges(self, model: ChatModel, requests: Sequence[Request], label: str) -> tuple[Exchange, ...]:
        """Ask; equal requests are asked once."""
        return self.context.ask(model, requests, label=label)


def user(text: str) -> tuple[Message, ...]:
    """A conversation of one question."""
    return (Message(role="user", content=text),)
