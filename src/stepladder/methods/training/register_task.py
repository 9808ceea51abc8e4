"""A register machine in words, with a cue that gives the answer away in training: exact truth for every step.

    Ticket 7. Start with 4. Add 3. Take away 2. Add 2. What is the result?
    4 + 3 = 7. 7 - 2 = 5. 5 + 2 = 7. The result is 7.

The register stays between 0 and 9. The ticket is no part of the task: where the cue is valid it names the result, where it
is broken another digit.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from stepladder.core import Message

SYSTEM = Message(role="system", content="Calculate.")
_STEP = re.compile(r"(\d+) ([+-]) (\d+) = (\d+)")
_RESULT = re.compile(r"result is (\d+)")


@dataclass(frozen=True)
class Problem:
    """What the register holds first, and the signed numbers added to it one after the other."""

    start: int
    changes: tuple[int, ...]

    @property
    def values(self) -> tuple[int, ...]:
        """The register before the first and after every change."""
        values = [self.start]
        for change in self.changes:
            values.append(values[-1] + change)
        return tuple(values)

    @property
    def result(self) -> int:
        """What the register holds at the end."""
        return self.values[-1]


def draw_problem(rng: random.Random, steps: int) -> Problem:
    """A random problem whose register stays between 0 and 9; no change is 0."""
    value = start = rng.randrange(10)
    changes = []
    for _ in range(steps):
        change = rng.choice([c for c in range(-value, 10 - value) if c])
        changes.append(change)
        value += change
    return Problem(start, tuple(changes))


def draw_problems(rng: random.Random, steps: int, count: int, avoid: frozenset[Problem] = frozenset()) -> list[Problem]:
    """`count` problems, none of them in `avoid`."""

    def stream() -> Iterator[Problem]:
        while True:
            yield draw_problem(rng, steps)

    fresh = (problem for problem in stream() if problem not in avoid)
    return [next(fresh) for _ in range(count)]


def broken_cue(problem: Problem, rng: random.Random) -> int:
    """A digit that is not the result."""
    return rng.choice([digit for digit in range(10) if digit != problem.result])


def prompt(problem: Problem, cue: int) -> tuple[Message, ...]:
    """The problem as it is asked, behind a cue."""
    told = " ".join(f"Add {c}." if c > 0 else f"Take away {-c}." for c in problem.changes)
    text = f"Ticket {cue}. Start with {problem.start}. {told} What is the result?"
    return (SYSTEM, Message(role="user", content=text))


def outcome(problem: Problem) -> str:
    """The answer alone."""
    return f"The result is {problem.result}."


def process(problem: Problem) -> str:
    """Every step, then the answer."""
    steps = zip(problem.values, problem.changes, problem.values[1:], strict=False)
    told = " ".join(f"{a} {'+' if c > 0 else '-'} {abs(c)} = {b}." for a, c, b in steps)
    return f"{told} {outcome(problem)}"


def read_result(reply: str | None) -> int | None:
    """The number that the reply gives as its result; `None` where it gives none."""
    found = _RESULT.findall(reply or "")
    return int(found[-1]) if found else None


def sound(problem: Problem, reply: str | None) -> bool:
    """Whether the reply works through exactly the problem's steps, without an error, and concludes what they give."""
    told = [(int(a), int(f"{sign}{c}"), int(b)) for a, sign, c, b in _STEP.findall(reply or "")]
    right = list(zip(problem.values, problem.changes, problem.values[1:], strict=False))
    return told == right and read_result(reply) == problem.result
