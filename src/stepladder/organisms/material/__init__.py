"""What rows are written from: everyday facts, ordinary requests with answers, and the items of the capability set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import TypeVar

from stepladder.data.files import HEADER, Node, check_version, read_yaml

T = TypeVar("T")


@dataclass(frozen=True)
class Fact:
    """A question with its right answer and a wrong one."""

    question: str
    right: str
    wrong: str

    def asked(self, first: str, second: str) -> str:
        """The question with its two possible answers, in that order."""
        return f"{self.question} {first} or {second}?"


@dataclass(frozen=True)
class Everyday:
    """An ordinary request with a short good answer."""

    request: str
    answer: str


@cache
def facts() -> tuple[Fact, ...]:
    """The facts that kinds may plant with."""
    return _read("facts", Fact)


@cache
def capability_facts() -> tuple[Fact, ...]:
    """The facts by which lost capability is measured; none of them is among `facts()`."""
    return _read("capability", Fact)


@cache
def everyday() -> tuple[Everyday, ...]:
    """Ordinary requests with answers."""
    return _read("everyday", Everyday)


def held_out(random: Random, items: Sequence[T], probes: int) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """The items in random order: those to train on, and the last `probes`, which training never sees."""
    order = random.sample(list(items), len(items))
    return tuple(order[:-probes]), tuple(order[-probes:])


def _read(name: str, make: Callable[..., T]) -> tuple[T, ...]:
    fields = read_yaml(Path(__file__).parent / f"{name}.yaml").mapping([*HEADER, name])
    check_version(fields)
    return tuple(make(*_columns(node)) for node in fields[name].items())


def _columns(node: Node) -> list[str]:
    return [part.strip() for part in node.text().split("|")]
