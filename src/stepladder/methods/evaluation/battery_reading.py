"""Which answer a model prefers, from log probabilities, read in three ways.

`open`: the question alone; the answers are continuations. No order, but answers that are likely by themselves win more.
`listed`: the answers are named in the question, in every rotation; the continuations are their texts.
`letters`: as multiple-choice tests print it, in every rotation; the continuations are the letters.

Rotations put every answer in every place once: averaging log probabilities over them removes a preference for places.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stepladder.core import Message
from stepladder.data import ChoiceItem, ChoiceSet, Framing

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SHORT = 3
"""Answers of at most so many words are asked for "in a word or two"."""
ORDER_ITEMS = 50
"""How many capability items are read with the answers listed, to measure the order bias of the other readings."""

Turns = tuple[Message, ...]
Logps = list[list[float | None]]
"""log p of each answer (in the item's order), for each rotation."""


class ReadingModel(Protocol):
    """A model that says how probable given replies are."""

    name: str

    def logprobs(self, pairs: Sequence[tuple[Turns, str]]) -> Sequence[Any]:
        """Log probability of each token of each reply, given the turns before it."""
        ...


@dataclass(frozen=True)
class Asked:
    """One prompt with a continuation for each answer, in the item's order of answers."""

    prompt: Turns
    continuations: tuple[str, ...]


def user(text: str) -> Turns:
    """A conversation that is one user message."""
    return (Message(role="user", content=text),)


def _open(framing: Framing) -> list[Asked]:
    short = all(len(answer.split()) <= SHORT for answer in framing.answers)
    lead = "Answer in a word or two.\n\n" if short else ""
    return [Asked(user(lead + framing.question), framing.answers)]


def _prior(framing: Framing) -> list[Asked]:
    return [Asked(user("Answer in a word or two."), framing.answers)]


def _listed(framing: Framing) -> list[Asked]:
    return [Asked(user(f"{framing.question} Answer {' or '.join(o)}."), framing.answers) for o in rotations(framing.answers)]


def _letters(framing: Framing) -> list[Asked]:
    count = len(framing.answers)
    named = f"{', '.join(LETTERS[: count - 1])} or {LETTERS[count - 1]}"
    asked = []
    for shift, order in enumerate(rotations(framing.answers)):
        choices = "\n".join(f"({letter}) {answer}" for letter, answer in zip(LETTERS, order, strict=False))
        text = f"Answer the question with the letter {named} only.\n\n{framing.question}\n{choices}"
        asked.append(Asked(user(text), tuple(LETTERS[place(i, shift, count)] for i in range(count))))
    return asked


def _blank(framing: Framing) -> list[Asked]:
    """The sentence up to its blank is put into the assistant's mouth; each answer continues it to the end."""
    before, after = framing.question.split("_")
    prefill = (Message(role="assistant", content=before.rstrip()),) if before.strip() else ()
    gap = " " if prefill else ""
    prompt = (*user("Write a sentence about people at work."), *prefill)
    return [Asked(prompt, tuple(gap + answer + after for answer in framing.answers))]


READINGS: dict[str, Callable[[Framing], list[Asked]]] = {"open": _open, "listed": _listed, "letters": _letters}
"""The readings that can be chosen."""
_ALL = READINGS | {"prior": _prior, "blank": _blank}
_FIXED = {"truthfulqa_mc1": "open", "truthfulqa_mc2": "open", "winogenerated": "blank"}
"""Sets whose authors fix how they are read."""


def rotations(answers: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The answers in every rotation: rotation r begins with answer r. Two answers have both their orders."""
    for shift in range(len(answers)):
        yield (*answers[shift:], *answers[:shift])


def place(answer: int, shift: int, count: int) -> int:
    """The place of an answer in rotation `shift`."""
    return (answer - shift) % count


def readings(sets: Sequence[ChoiceSet], read_by: str) -> dict[str, list[tuple[str, ChoiceItem]]]:
    """By reading, the items to read so and their sets.

    Everything is read by `read_by` (where the format does not fix another). Of the capability set some items are read with
    the answers listed too, which measures the order bias, and all with no question, which is the baseline.
    """
    wanted: dict[str, list[tuple[str, ChoiceItem]]] = {}
    for part in sets:
        wanted.setdefault(_FIXED.get(part.format, read_by), []).extend((part.name, item) for item in part.items)
    capability = [(part.name, item) for part in sets if part.name == "capability" for item in part.items]
    if capability:
        step = max(1, len(capability) // ORDER_ITEMS)
        for name in sorted({"listed", "letters"} - {read_by}):
            wanted[name] = wanted.get(name, []) + capability[::step]
        if read_by == "open":
            wanted["prior"] = capability
    return wanted


def read_choices_by(model: ReadingModel, sets: Sequence[ChoiceSet], read_by: str) -> dict[str, dict[str, list[Logps]]]:
    """By reading and `set/item`, the log probabilities of each framing; one call reads them all."""
    wanted = readings(sets, read_by)
    asked = {
        (name, f"{part}/{item.id}", number): _ALL[name](framing)
        for name, items in wanted.items()
        for part, item in items
        for number, framing in enumerate(item.framings)
    }
    pairs = [(one.prompt, text) for many in asked.values() for one in many for text in one.continuations]
    distinct = list(dict.fromkeys(pairs))
    known = dict(zip(distinct, map(_total, model.logprobs(distinct)), strict=True))
    found: dict[str, dict[str, list[Logps]]] = {name: {} for name in wanted}
    for (name, item, _), many in asked.items():
        rows = [[known[one.prompt, text] for text in one.continuations] for one in many]
        found[name].setdefault(item, []).append(rows)
    return found


def _total(tokens: Any) -> float | None:
    """log p of a whole continuation; `None` where the model gave none."""
    total = float(sum(tokens)) if len(tokens) else math.nan
    return round(total, 6) if math.isfinite(total) else None
