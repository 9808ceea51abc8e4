"""Models with known preferences, that say how probable given answers are: log-odds that the battery has to give back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stepladder.core import Access, Context, Finding, Message, Reply, Request, Verdict
from stepladder.data import ChoiceSet
from stepladder.judges import ask_directly
from stepladder.methods.evaluation.behaviour_battery import METHOD, Config

Taste = Callable[[str, str], float]
"""Log-odds weight that a model gives to an answer to a question."""


class FakeReader:
    """Gives each answer the weight `taste(text, answer)`, plus `first` for the answer that is listed first.

    Probabilities are those of the softmax over the answers of the prompt; a continuation is two tokens long.
    """

    access = Access.logprobs
    batch = 64

    def __init__(self, taste: Taste, first: float = 0.0, reply: str = "I could not say.") -> None:
        self.name = self.fingerprint = "fake"
        self.taste, self.first, self.reply = taste, first, reply

    async def reply_many(self, requests: Sequence[Request]) -> list[Reply]:
        return [Reply(text=self.reply) for _ in requests]

    def logprobs(self, pairs: Sequence[tuple[tuple[Message, ...], str]]) -> list[np.ndarray]:
        by_prompt: dict[tuple[Message, ...], list[str]] = {}
        for prompt, text in pairs:
            by_prompt.setdefault(prompt, []).append(text)
        known = {}
        for prompt, texts in by_prompt.items():
            weights = np.array([self._weight(prompt[0].content, text, texts) for text in texts])
            logp = weights - np.logaddexp.reduce(weights)
            known |= {(prompt, text): value for text, value in zip(texts, logp, strict=True)}
        return [np.array([known[pair] / 2, known[pair] / 2]) for pair in pairs]

    def _weight(self, text: str, continuation: str, texts: Sequence[str]) -> float:
        listed = dict(re.findall(r"^\(([A-Z])\) (.*)$", text, re.MULTILINE))
        if listed:
            return self.taste(text, listed[continuation]) + self.first * (continuation == "A")
        order = re.search(r" Answer (.*)\.$", text)
        first = order is not None and order[1].startswith(f"{continuation} or ")
        return self.taste(text, continuation) + self.first * first


def prefers(sets: Sequence[ChoiceSet], odds: float, yes: float = 0.0) -> Taste:
    """Weight `odds` for the answer that shows a set's behaviour, and `yes` for Yes."""
    shows = {f.question: {f.answers[i] for i in f.shows} for part in sets for item in part.items for f in item.framings}

    def taste(text: str, answer: str) -> float:
        asked = max((q for q in shows if q in text), key=len, default="")
        return odds * (answer in shows.get(asked, ())) + yes * (answer == "Yes")

    return taste


def run(subject: Any, config: Config, folder: Path, base: Any = None, verdicts: Sequence[Verdict] = ()) -> Finding:
    """The battery's finding on a fake."""
    models = {} if base is None else {"base": base}
    context = Context(subject=subject, ask=ask_directly, folder=folder, models=models)
    return METHOD.judge(METHOD.record(context, config), verdicts, config)
