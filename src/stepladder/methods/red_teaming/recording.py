"""From a config to requests, and from exchanges to a record: what the techniques of this family share."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from stepladder.data import Behaviour, load_behaviours


def choose_behaviours(path: str, per_category: int) -> tuple[Behaviour, ...]:
    """The first `per_category` behaviours of each category, in the order of the file ("" for the shipped ones).

    Reads whatever `stepladder.data.load_behaviours` reads; raises `DataError`.
    """
    taken: Counter[str] = Counter()
    chosen = []
    for behaviour in load_behaviours(Path(path) if path else None):
        taken[behaviour.category] += 1
        if taken[behaviour.category] <= per_category:
            chosen.append(behaviour)
    return tuple(chosen)


def random_stream(seed: int, *parts: str | int) -> random.Random:
    """A stream of its own for each combination of seed and parts, the same on every machine."""
    return random.Random("/".join(map(str, (seed, *parts))))
