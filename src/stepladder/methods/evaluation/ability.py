"""Short questions with one right answer: which there are, and whether a reply has it."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, zip_longest
from pathlib import Path

import yaml

from stepladder.core.values import Message, Reply

FILE = Path(__file__).with_name("ability.yaml")


@dataclass(frozen=True)
class AbilityItem:
    """A question, the forms of its answer that count, and the kind of question it is."""

    id: str
    kind: str
    question: str
    answers: tuple[str, ...]

    @property
    def messages(self) -> tuple[Message, ...]:
        """The question alone."""
        return (Message(role="user", content=self.question),)


@cache
def ability_items() -> tuple[AbilityItem, ...]:
    """All shipped questions."""
    kinds = yaml.safe_load(FILE.read_text("utf-8"))["kinds"]
    return tuple(
        AbilityItem(f"{kind}/{word}", kind, entry["question"].format(word), tuple(str(answers).split("|")))
        for kind, entry in kinds.items()
        for word, answers in entry["answers"].items()
    )


def spread(items: Sequence[AbilityItem], count: int) -> tuple[AbilityItem, ...]:
    """The first `count` items when the kinds take turns."""
    kinds = dict.fromkeys(item.kind for item in items)
    streams = [[item for item in items if item.kind == kind] for kind in kinds]
    turns = (item for turn in zip_longest(*streams) for item in turn if item is not None)
    return tuple(islice(turns, count))


def halves(items: Sequence[AbilityItem], seed: int) -> tuple[list[AbilityItem], list[AbilityItem]]:
    """The items cut in two at random, each kind by itself: one half to elicit with, the other to measure on."""
    rng = random.Random(f"{seed} halves")
    first: list[AbilityItem] = []
    second: list[AbilityItem] = []
    for kind in dict.fromkeys(item.kind for item in items):
        members = [item for item in items if item.kind == kind]
        rng.shuffle(members)
        first += members[: len(members) // 2]
        second += members[len(members) // 2 :]
    return first, second


def correct(answers: Sequence[str], reply: Reply) -> float | None:
    """1.0 where an accepted answer stands in the reply as words of their own; `None` where there is no reply at all.

    An empty or senseless reply is wrong: what is measured is what the model can be got to say.
    """
    if reply.text is None:
        return None
    return float(any(re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", reply.text, re.IGNORECASE) for answer in answers))
