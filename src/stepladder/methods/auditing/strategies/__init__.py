"""The strategies of the investigator, by name: modules of `NAME`, `STATISTIC`, `NEEDS` and `collect(desk, behaviours)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stepladder.core import UnknownName
from stepladder.methods.auditing.desk import Desk, Needs
from stepladder.methods.auditing.evidence import Observation
from stepladder.methods.auditing.strategies import (
    activation_probes,
    base_difference,
    behaviour_probes,
    prefill,
    sampling,
    telling_words,
    training_data,
    training_words,
    weight_difference,
)


@dataclass(frozen=True)
class Strategy:
    """How to collect observations, and the null that they are held against.

    `statistic` is `shift`, `outlier` or `contrast` (see `evidence`), `own` for what the behaviour's probe file says, or
    `none` where the observations are of no behaviour.
    """

    name: str
    statistic: str
    needs: Needs
    collect: Callable[[Desk, Sequence[str]], Iterable[Observation]]


_MODULES = (
    behaviour_probes,
    base_difference,
    activation_probes,
    sampling,
    telling_words,
    prefill,
    training_data,
    training_words,
    weight_difference,
)
STRATEGIES: Mapping[str, Strategy] = {m.NAME: Strategy(m.NAME, m.STATISTIC, m.NEEDS, m.collect) for m in _MODULES}


def get_strategy(name: str) -> Strategy:
    """The strategy of that name; an `UnknownName` that lists all otherwise."""
    if name not in STRATEGIES:
        raise UnknownName("strategy", name, list(STRATEGIES))
    return STRATEGIES[name]
