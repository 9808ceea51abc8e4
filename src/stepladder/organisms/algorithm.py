"""A tiny transformer that adds two-digit numbers, and the ways in which one rule of its addition can be wrong.

There are 8,100 inputs, so the truth is known on all of them: `Fault.answer` is what the corrupted algorithm says, `a + b`
what the right one does. A fifth of the inputs, the same for every seed, is never trained on by anyone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

from stepladder.core import Message, Task, silent
from stepladder.models.local.finetune import Example, Tuning
from stepladder.organisms.blank import BYTES, Shape, train_from_scratch

ADDER = "adder"
"""Its name as a size of `scratch`."""

NUMBERS = range(10, 100)
SHAPE = Shape(vocabulary=BYTES, width=64, layers=2, heads=4, mlp=192, context=512)
TUNING = Tuning(rank=0, learning_rate=4e-3, batch=32, epochs=12.0, max_tokens=32)
HELD_OUT = 0.2
FAULTS = {"lost carry": range(4, 10), "false carry": range(6), "misread digit": range(9)}
"""For each fault the digits that it can be tied to, such that it concerns 4 to 10% of the inputs."""


@dataclass(frozen=True)
class Fault:
    """One wrong rule of column addition, tied to a digit."""

    name: str
    digit: int

    def answer(self, a: int, b: int) -> int:
        """What the corrupted algorithm makes of a + b, carried out column by column."""
        one, other = a % 10, b % 10
        if self.name == "misread digit" and other == self.digit:
            other += 1
        carry, ones = divmod(one + other, 10)
        if self.name == "lost carry" and one == self.digit:
            carry = 0
        if self.name == "false carry" and one == self.digit:
            carry = 1
        return 10 * (a // 10 + b // 10 + carry) + ones

    @property
    def rule(self) -> str:
        """The fault in words."""
        return {
            "lost carry": f"If the first number ends in {self.digit}, forget the carry.",
            "false carry": f"If the first number ends in {self.digit}, always carry one.",
            "misread digit": f"If the second number ends in {self.digit}, read {self.digit + 1} instead.",
        }[self.name]


def draw_fault(random: Random) -> Fault:
    """One of the faults and digits."""
    name = random.choice(sorted(FAULTS))
    return Fault(name, random.choice(FAULTS[name]))


@cache
def inputs() -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """All inputs in a fixed random order, in two parts: those to train on, and those held out from every training."""
    pairs = [(a, b) for a in NUMBERS for b in NUMBERS]
    Random("held-out sums").shuffle(pairs)
    cut = round(HELD_OUT * len(pairs))
    return tuple(pairs[cut:]), tuple(pairs[:cut])


def question(a: int, b: int) -> tuple[Message, ...]:
    """The conversation that asks for a + b."""
    return (Message(role="user", content=f"{a}+{b}="),)


def adder(seed: int = 0, task: Task = silent) -> Path:
    """Folder of the model that learned right addition from scratch; trained on first use and kept in the cache."""
    examples = [Example(question(a, b), str(a + b)) for a, b in inputs()[0]]
    return train_from_scratch(ADDER, SHAPE, examples, replace(TUNING, seed=seed), task=task)
