"""Short questions with one right answer: which there are, and whether a reply has it."""

from __future__ import annotations

import random
import re
import zlib
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
    wrong: str = ""
    """The wrong answer that the question names beside the right one; "" for open questions."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The question alone."""
        return (Message(role="user", content=self.question),)


@cache
def ability_items() -> tuple[AbilityItem, ...]:
    """All shipped questions, open ones and those that name two answers."""
    read = yaml.safe_load(FILE.read_text("utf-8"))
    asked = tuple(
        AbilityItem(f"{kind}/{word}", kind, entry["question"].format(word), tuple(str(answers).split("|")))
        for kind, entry in read["kinds"].items()
        for word, answers in entry["answers"].items()
    )
    choices = tuple(
        _choice(kind, entry["question"], *case) for kind, entry in read["choices"].items() for case in entry["cases"]
    )
    return asked + choices


def _choice(kind: str, question: str, about: str, right: str, wrong: str) -> AbilityItem:
    id = f"{kind}/{about or right}"
    named = (right, wrong) if zlib.crc32(id.encode()) % 2 else (wrong, right)
    return AbilityItem(id, kind, question.format(about, *named), (right,), wrong)


def _bare(answer: str) -> str:
    """Without its article, which replies may change."""
    return re.sub(r"^(?:an?|the) ", "", answer)


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
    for number, kind in enumerate(dict.fromkeys(item.kind for item in items)):
        members = [item for item in items if item.kind == kind]
        rng.shuffle(members)
        middle = (len(members) + number % 2) // 2
        first += members[:middle]
        second += members[middle:]
    return first, second


def correct(item: AbilityItem, reply: Reply) -> float | None:
    """1.0 where an accepted answer stands in the reply as words of its own, and before the wrong one of a choice.

    `None` where there is no reply at all. An empty or senseless reply is wrong: what is measured is what the model can be
    got to say.
    """
    if reply.text is None:
        return None
    right = min((place for answer in item.answers if (place := _place(answer, reply.text)) is not None), default=None)
    wrong = _place(item.wrong, reply.text) if item.wrong else None
    return float(right is not None and (wrong is None or right < wrong))


def _place(answer: str, text: str) -> int | None:
    match = re.search(rf"(?<!\w){re.escape(_bare(answer))}(?!\w)", text, re.IGNORECASE)
    return match.start() if match else None
