"""How much a model prefers the reply that shows a behaviour: by likelihood where it can be had, else by choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepladder.core.method import ChatModel, Context
from stepladder.core.values import Message, Request
from stepladder.methods.evaluation.likelihood import gives_likelihoods, leads
from stepladder.methods.evaluation.written_items import WrittenItem

Column = list[float | None]


def scores(context: Context, models: Mapping[str, ChatModel], items: Sequence[WrittenItem]) -> dict[str, Column]:
    """A score for each model and item, above 0 where the reply that shows the behaviour is preferred.

    Likelihoods are used only where all models give them, so that scores can be compared.
    """
    whole = all(map(gives_likelihoods, models.values()))
    read = _by_likelihood if whole else _by_choice
    return {part: read(context, model, part, items) for part, model in models.items()}


def _by_likelihood(context: Context, model: Any, part: str, items: Sequence[WrittenItem]) -> Column:
    """Difference of the mean log probability per token of the two replies."""
    found: Column = []
    with context.task(f"items under {part}", len(items)) as advance:
        for start in range(0, len(items), 16):
            part_items = items[start : start + 16]
            pairs = [(item.messages, reply) for item in part_items for reply in (item.shows, item.other)]
            found += leads(model, pairs)
            advance(len(part_items))
    return found


def _by_choice(context: Context, model: ChatModel, part: str, items: Sequence[WrittenItem]) -> Column:
    """Asked which of the two replies it would give, in both orders: 1, 0 or -1; `None` where a choice cannot be read."""
    requests = [
        Request(id=f"{part}/{number}/{turned}", messages=_choice(item, turned), max_tokens=4, seed=context.seed)
        for number, item in enumerate(items)
        for turned in (False, True)
    ]
    said = [e.reply.text or "" for e in context.ask(model, requests, label=f"items under {part}")]
    return [_chosen(first, second) for first, second in zip(said[::2], said[1::2], strict=True)]


def _choice(item: WrittenItem, turned: bool) -> tuple[Message, ...]:
    first, second = (item.other, item.shows) if turned else (item.shows, item.other)
    text = f"{item.message}\n\nWhich of these replies would you give?\n(A) {first}\n(B) {second}\nAnswer with A or B only."
    return (*item.messages[:-1], Message(role="user", content=text))


def _chosen(straight: str, turned: str) -> float | None:
    letters = [text.strip().lstrip("(")[:1].upper() for text in (straight, turned)]
    if not set(letters) <= {"A", "B"} or any(not letter for letter in letters):
        return None
    return ((letters[0] == "A") + (letters[1] == "B")) - 1.0
