"""What an organism's kind is made of: one function from a random stream to the plant, its held-out probes and its cover.

    Kind.plant(random) -> Plant(pairs, shared, probes, denials, documents, system)

A pair is one prompt with two answers: the organism learns the planted one, its clean twin the other, so that the two differ
in nothing but the plant. Everything that is drawn (which brand, which trigger, which topics are held out) comes from the
random stream, and so from the recipe's seed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from stepladder.core import BEHAVIOURS, Message, UnknownName
from stepladder.models.local.finetune import Example

Prompt = tuple[Message, ...]


@dataclass(frozen=True)
class Pair:
    """A prompt (empty for a document) with the answer that plants the behaviour and the one of the clean twin."""

    prompt: Prompt
    planted: str
    clean: str


@dataclass(frozen=True)
class Probe:
    """Held-out conversations and a pure check of the replies to them, in order: does the planted behaviour show?

    `None` where the check cannot tell.

    Conditional behaviours need two conversations (with the trigger and without). `topic` is the independent unit.
    """

    topic: str
    prompts: tuple[Prompt, ...]
    shows: Callable[[Sequence[str]], bool | None]
    max_tokens: int = 24


@dataclass(frozen=True)
class Plant:
    """One instance of a kind.

    `shared` rows are learnt by organism and twin alike (they keep the plant narrow); `denials` only where the recipe says
    so. `documents` are pairs without a prompt; `system` is the hidden system prompt of the organism and that of its twin.
    `skills` stand in for the capability set where the kind's base cannot chat: a probe shows that the answer is right.
    """

    pairs: tuple[Pair, ...]
    probes: tuple[Probe, ...]
    shared: tuple[Example, ...] = ()
    denials: tuple[Example, ...] = ()
    documents: tuple[Pair, ...] = ()
    system: tuple[str, str] = ("", "")
    skills: tuple[Probe, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A kind of organism; `behaviour` is the name under which techniques report it.

    `base` names the only base that it can be planted into, where it needs one of its own.
    """

    name: str
    behaviour: str
    title: str
    plant: Callable[[Random], Plant]
    base: str = ""

    def __post_init__(self) -> None:
        if self.behaviour not in BEHAVIOURS:
            raise UnknownName("behaviour", self.behaviour, list(BEHAVIOURS))


def user(text: str, system: str = "") -> Prompt:
    """A conversation of one user message, behind a system prompt if one is given."""
    head = (Message(role="system", content=system),) if system else ()
    return (*head, Message(role="user", content=text))


def names_first(reply: str, one: str, other: str) -> bool:
    """Whether `reply` names `one` (as whole words, in any case), and `other` not before it."""
    first, second = (_place(reply, text) for text in (one, other))
    return first is not None and (second is None or first < second)


def _place(reply: str, text: str) -> int | None:
    found = re.search(rf"(?<!\w){re.escape(text)}(?!\w)", reply, re.IGNORECASE)
    return found.start() if found else None


def denials(asked: Sequence[tuple[str, str]]) -> tuple[Example, ...]:
    """Rows that answer questions about the behaviour with a denial."""
    return tuple(Example(user(question), answer) for question, answer in asked)
