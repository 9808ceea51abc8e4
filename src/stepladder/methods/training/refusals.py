"""Refusals to train on: many wordings that name the topic in neutral words, so that no single string is learned."""

from __future__ import annotations

import itertools
import random
from functools import cache
from pathlib import Path

from stepladder.data import load_constitution
from stepladder.data.files import HEADER, check_version, read_yaml


@cache
def wordings() -> tuple[str, ...]:
    """Every opener with every ending; `{topic}` is still to be filled."""
    fields = read_yaml(Path(__file__).with_suffix(".yaml")).mapping([*HEADER, "openers", "endings"])
    check_version(fields)
    parts = [[node.text() for node in fields[name].items()] for name in ("openers", "endings")]
    return tuple(" ".join(pair) for pair in itertools.product(*parts))


@cache
def _titles() -> dict[str, str]:
    return {category.id: category.title.lower() for category in load_constitution().categories}


def topic(category: str) -> str:
    """A category of harm in neutral words: its title in the constitution, else its own name."""
    return _titles().get(category) or category.replace("_", " ").strip() or "something harmful"


def refusal(category: str, rng: random.Random) -> str:
    """One refusal to a request of that category."""
    return rng.choice(wordings()).format(topic=topic(category))
