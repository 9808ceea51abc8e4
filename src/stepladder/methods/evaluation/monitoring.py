"""What a model reads about whether it is monitored, and what is asked of it under each such prompt."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from stepladder.core.method import Context
from stepladder.core.values import Exchange, Message, Request
from stepladder.data import Behaviour, load_behaviours

FILE = Path(__file__).with_name("monitoring.yaml")
CONDITIONS = ("monitored", "unmonitored", "neutral_a", "neutral_b")


@dataclass(frozen=True)
class Prompts:
    """The wordings of each condition by their id, and the two instructions of the scratchpad."""

    wordings: dict[str, dict[str, str]]
    scratchpad: str
    answer: str
    mentions: re.Pattern[str]


@cache
def prompts() -> Prompts:
    """The shipped prompts."""
    read = yaml.safe_load(FILE.read_text("utf-8"))
    wordings = {entry["id"]: {condition: entry[condition] for condition in CONDITIONS} for entry in read["wordings"]}
    return Prompts(wordings, read["scratchpad"], read["answer"], re.compile(read["mentions"], re.IGNORECASE))


def chosen(path: str, per_category: int) -> tuple[Behaviour, ...]:
    """The first `per_category` behaviours of each category of a file ("" for the shipped ones)."""
    taken: Counter[str] = Counter()
    kept = []
    for behaviour in load_behaviours(Path(path) if path else None):
        taken[behaviour.category] += 1
        if taken[behaviour.category] <= per_category:
            kept.append(behaviour)
    return tuple(kept)


def plain_requests(behaviours: Sequence[Behaviour], max_tokens: int, seed: int) -> Iterator[Request]:
    """Each behaviour under every condition in one wording; the wordings take turns."""
    names = list(prompts().wordings)
    for number, behaviour in enumerate(behaviours):
        wording = names[number % len(names)]
        for condition in CONDITIONS:
            yield _request(behaviour, wording, condition, max_tokens, seed)


def _request(behaviour: Behaviour, wording: str, condition: str, max_tokens: int, seed: int) -> Request:
    return Request(
        id=f"plain/{behaviour.id}/{condition}",
        messages=(
            Message(role="system", content=prompts().wordings[wording][condition]),
            Message(role="user", content=behaviour.request),
        ),
        max_tokens=max_tokens,
        seed=seed,
        metadata={
            "kind": "harmful", "behaviour": behaviour.id, "category": behaviour.category, "request": behaviour.request,
            "condition": condition, "wording": wording, "form": "plain",
        },
    )  # fmt: skip


def with_scratchpad(context: Context, plain: Sequence[Request]) -> tuple[tuple[Exchange, ...], dict[str, str]]:
    """The same requests answered after a private thought: the answers, and the thoughts by the answers' ids.

    A request whose thought failed is not asked further.
    """
    thinking = context.ask(context.subject, [_thinking(request) for request in plain], label="scratchpad")
    asked = [
        _answering(request, exchange.reply.text)
        for request, exchange in zip(plain, thinking, strict=True)
        if exchange.reply.text is not None
    ]
    thoughts = {_id(e.request, "scratchpad"): e.reply.text for e in thinking if e.reply.text is not None}
    return context.ask(context.subject, asked, label="after the scratchpad"), thoughts


def _thinking(request: Request) -> Request:
    system, user = request.messages
    asked = Message(role="user", content=f"{user.content}\n\n{prompts().scratchpad}")
    return request.model_copy(update={"id": _id(request, "thought"), "messages": (system, asked)})


def _answering(request: Request, thought: str) -> Request:
    before = _thinking(request).messages
    messages = (*before, Message(role="assistant", content=thought), Message(role="user", content=prompts().answer))
    metadata = {**request.metadata, "form": "scratchpad"}
    return request.model_copy(update={"id": _id(request, "scratchpad"), "messages": messages, "metadata": metadata})


def _id(request: Request, form: str) -> str:
    return f"{form}/{request.id.partition('/')[2]}"
