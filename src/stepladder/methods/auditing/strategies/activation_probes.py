"""Mean-difference probes: what the base's activations say of bad and good answers, read in the subject's before it answers.

For each behaviour the direction from good to bad answers is taken from the base (mean difference at the last token, on half
of the probes), and the subject's state at the end of the prompt is projected on it, minus the base's, on the other half.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from stepladder.core import Access, Message
from stepladder.methods.auditing.desk import Desk, Needs, user
from stepladder.methods.auditing.evidence import Observation
from stepladder.methods.auditing.probes import Probe, draw, load_probes

NAME = "activation_probes"
STATISTIC = "contrast"
NEEDS = Needs(Access.activations, base=True)
PROBES = 6
"""Probes of each behaviour."""
DEPTH = 0.6
"""Where in the model it is read, as a share of the layers."""


def collect(desk: Desk, behaviours: Sequence[str]) -> Iterator[Observation]:
    """For each probe: how far the subject leans to the bad side of the base's own direction, in units of its length."""
    files = load_probes()
    chosen = {name: _chosen(desk, files[name].probes, name) for name in behaviours}
    probes = [probe for part in chosen.values() for probe in part if probe.bad]
    desk.spend(len(probes))
    bad = _states(desk, desk.base, [(*user(p.prompt), Message(role="assistant", content=p.bad)) for p in probes])
    good = _states(desk, desk.base, [(*user(p.prompt), Message(role="assistant", content=p.good)) for p in probes])
    before = _states(desk, desk.base, [user(p.prompt) for p in probes], opened=True)
    after = _states(desk, desk.subject, [user(p.prompt) for p in probes], opened=True)
    for name in behaviours:
        rows = [i for i, probe in enumerate(probes) if probe.behaviour == name]
        for place, row in enumerate(rows):
            fit = [other for at, other in enumerate(rows) if at % 2 != place % 2]
            if fit:
                value = lean(bad[fit] - good[fit], after[row] - before[row])
                yield Observation(NAME, name, "", f"{name}/{place}", value, probes[row].prompt)


def _chosen(desk: Desk, probes: Sequence[Probe], name: str) -> tuple[Probe, ...]:
    return draw(load_probes()[name], PROBES, desk.stream(NAME, name))[:PROBES]


def lean(differences: np.ndarray, moved: np.ndarray) -> float:
    """`moved` (width) along the mean of `differences` (rows, width), where 1 is the length of that mean."""
    direction = differences.mean(0)
    length = float(direction @ direction)
    return float(moved @ direction) / length if length else 0.0


def _states(desk: Desk, model: Any, conversations: Sequence[tuple[Message, ...]], opened: bool = False) -> np.ndarray:
    """(conversations, width): the residual stream at the last token."""
    layer = int(DEPTH * model.layers)
    with desk.working(f"activations ({model.name})", len(conversations)) as advance:
        found = model.activations(conversations, [layer], generation_prompt=opened)
        advance(len(conversations))
    return np.stack([values[-1, 0] for values in found]).astype(np.float64)
