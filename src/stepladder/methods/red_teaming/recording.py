"""From a config to requests, and from exchanges to a record: what the techniques of this family share."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stepladder.core.errors import StepladderError
from stepladder.core.keys import code_version
from stepladder.core.method import Context, Method, record_key
from stepladder.core.values import Cost, Exchange, Record
from stepladder.data import Behaviour, load_behaviours


def require_between(method: str, option: str, value: float, least: float, most: float = math.inf) -> None:
    """Raise a `StepladderError` that names the option if its value is not in [least, most]."""
    if not least <= value <= most:
        allowed = f"{least} or more" if most == math.inf else f"{least} to {most}"
        raise StepladderError(f"{method}: {option} is {value}; allowed: {allowed}")


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


def new_record(method: Method, context: Context, config: Any, exchanges: Sequence[Exchange]) -> Record:
    """The record of those exchanges, with its key and what it cost."""
    replies = [exchange.reply for exchange in exchanges]
    return Record(
        key=record_key(method, context, config),
        method=method.name,
        family=method.family,
        subject=context.subject.name,
        config=json.loads(json.dumps(dataclasses.asdict(config))),
        seed=context.seed,
        code_version=code_version(method.record),
        exchanges=tuple(exchanges),
        cost=Cost(
            requests=len(replies),
            tokens_in=sum(reply.tokens_in for reply in replies),
            tokens_out=sum(reply.tokens_out for reply in replies),
            seconds=sum(reply.seconds for reply in replies),
        ),
    )
