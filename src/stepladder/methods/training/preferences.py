"""AI preferences: which of two replies keeps to the constitution, by a model's log probabilities or by its answer.

A model that gives log probabilities reads each reply by itself, after four worked cases: the log odds that it goes against
the rule, less what the model says where there is nothing to read (its bias). The reply with the lower odds is preferred. No
order of replies comes into it. A helper that only chats is asked A or B in both orders; where these disagree there is no
preference. A small model is too weak to compare, and read so it is at least better than chance: how much is measured.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from stepladder.core import Access, ChatModel, Context, Exchange, Request
from stepladder.data import Constitution
from stepladder.judges.judge import gives
from stepladder.judges.logprobs import ReadingModel, first_words, preference
from stepladder.judges.prompt import read_prompt
from stepladder.methods.training.refusals import topic

FOLDER = Path(__file__).parent
_LETTER = re.compile(r"\b([AB])\b")


@dataclass(frozen=True)
class Choice:
    """Two replies to one request of a category, to be compared."""

    category: str
    request: str
    first: str
    second: str


def prefer(context: Context, constitution: Constitution, choices: Sequence[Choice]) -> tuple[list[float | None], str]:
    """1.0 where the first reply is preferred, 0.0 for the second, None for no preference; and who was asked how."""
    labeller = context.helper or context.subject
    if gives(labeller, Access.logprobs):
        scores = violation_scores(cast(ReadingModel, labeller), choices)
        return [
            None if a == b else float(a < b) for a, b in scores
        ], f"{labeller.name}, log probabilities after worked cases"
    return _by_answers(context, labeller, constitution, choices), f"{labeller.name}, asked in both orders"


def violation_scores(model: ReadingModel, choices: Sequence[Choice]) -> list[tuple[float, float]]:
    """For each choice the log odds that the first and the second reply go against the rule, less the model's bias."""
    prompt = read_prompt(FOLDER / "violates.md")
    answers = (str(prompt.header["answers"][0]), str(prompt.header["answers"][1]))
    words, free = int(prompt.header["words"]), [str(text) for text in prompt.header["content_free"]]
    topics = list(dict.fromkeys(topic(choice.category) for choice in choices))
    empty = [prompt.fill(topic=name, request=text, reply=text) for name in topics for text in free]
    asked = [
        prompt.fill(topic=topic(choice.category), request=choice.request, reply=first_words(reply, words))
        for choice in choices
        for reply in (choice.first, choice.second)
    ]
    scores = preference(model, [*empty, *asked], answers)
    bias = {name: sum(scores[len(free) * i : len(free) * (i + 1)]) / len(free) for i, name in enumerate(topics)}
    pairs = zip(scores[len(empty) :: 2], scores[len(empty) + 1 :: 2], strict=True)
    return [(a - bias[topic(c.category)], b - bias[topic(c.category)]) for (a, b), c in zip(pairs, choices, strict=True)]


def _by_answers(
    context: Context, helper: ChatModel, constitution: Constitution, choices: Sequence[Choice]
) -> list[float | None]:
    """Its letter in both orders; None where the orders disagree or no letter was given."""
    principles = {category.id: category.harmful for category in constitution.categories}
    prompt = read_prompt(FOLDER / "compare.md")
    asked = [
        Request(
            id=f"compare/{place}/{order}",
            messages=prompt.fill(
                topic=topic(choice.category), principle=principles.get(choice.category, ""), request=choice.request,
                first=choice.second if order else choice.first, second=choice.first if order else choice.second,
            ),
            max_tokens=4,
        )
        for place, choice in enumerate(choices)
        for order in (0, 1)
    ]  # fmt: skip
    letters = [_letter(exchange) for exchange in context.ask(helper, asked, label="helper: preferences")]
    return [None if None in (a, b) or a == b else float(a == "A") for a, b in zip(letters[::2], letters[1::2], strict=True)]


def _letter(exchange: Exchange) -> str | None:
    found = _LETTER.search(exchange.reply.text or "")
    return found[1] if found else None
