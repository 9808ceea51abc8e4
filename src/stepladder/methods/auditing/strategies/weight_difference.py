"""How far each layer and kind of module moved from the base: Frobenius norm of the difference over that of the base.

It tells that something was trained and where, never what: the evidence is for no behaviour, and shown beside the others.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from stepladder.core import Access
from stepladder.methods.auditing.desk import Desk, Needs, Skipped
from stepladder.methods.auditing.evidence import Observation

NAME = "weight_difference"
STATISTIC = "none"
NEEDS = Needs(Access.weights, base=True)
_LAYER = re.compile(r"\.(?:layers|h)\.(\d+)\.")


def collect(desk: Desk, behaviours: Sequence[str]) -> Iterator[Observation]:
    """The relative change of each layer and of each kind of module."""
    subject: Any = desk.subject
    base: Any = desk.base
    with desk.working("difference of the weights", 2) as advance:
        theirs = dict(base.weights().named_parameters())
        advance(1)
        changed: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for name, weight in subject.weights().named_parameters():
            if name not in theirs or theirs[name].shape != weight.shape:
                raise Skipped(f"the subject's weights are not of the base's shapes ({name})")
            parts = (
                float((weight.detach() - theirs[name].detach()).pow(2).sum()),
                float(theirs[name].detach().pow(2).sum()),
            )
            for place in places(name):
                changed[place].append(parts)
        advance(1)
    for place, sums in changed.items():
        moved, size = (sum(column) for column in zip(*sums, strict=True))
        yield Observation(NAME, "", place.partition(" ")[0], place, (moved / size) ** 0.5 if size else 0.0)


def places(name: str) -> tuple[str, ...]:
    """The layer and the kind of module that a parameter belongs to."""
    layer = _LAYER.search(name)
    kind = name.removesuffix(".weight").removesuffix(".bias").rpartition(".")[2]
    return (f"layer {layer[1]}" if layer else f"outside {kind}", f"module {kind}")
