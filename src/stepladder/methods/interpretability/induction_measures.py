"""From scores of heads and losses by sequence to the measurements of `induction_heads`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepladder.core import Baseline, Measurement
from stepladder.stats import Estimate, clustered_mean

Floats = NDArray[np.float64]
SHOWN = 10
"""How many heads are reported where fewer are named."""
Scores = Mapping[str, Sequence[Sequence[float]]]


def named(names: Sequence[str], scores: Scores, threshold: float) -> list[str]:
    """Heads whose prefix matching exceeds that on permuted sequences by the threshold, whichever head is looked at."""
    excess = np.array(scores["matching"]) - np.array(scores["permuted"])
    found = [(mean(column, 1 - 0.05 / len(names)), name) for column, name in zip(excess.T, names, strict=True)]
    passed = [(one.value, name) for one, name in found if (one.interval.low if one.interval else one.value) > threshold]
    return [name for _, name in sorted(passed, key=lambda pair: -pair[0])]


def mean(values: Floats, level: float = 0.95) -> Estimate:
    """Over sequences."""
    return clustered_mean(values, range(len(values)), level)


def measurements(data: Mapping[str, Any]) -> Iterator[Measurement]:
    """Scores of the named heads or, where they are few, of the best; how many are named; what ablation costs."""
    names, chosen = data["names"], data["named"]
    table = {kind: dict(zip(names, np.array(rows).T, strict=True)) for kind, rows in data["scores"].items()}
    best = sorted(names, key=lambda name: -float(table["matching"][name].mean()))
    for name in best[: max(SHOWN, len(chosen))]:
        yield from _of_head(name, table, len(names), name in chosen)
    total = f"of {len(names)} heads: {', '.join(chosen) or 'none'}"
    yield Measurement(name="heads_named", value=len(chosen), unit="heads", n=len(data["scores"]["matching"]), note=total)
    losses = data["losses"]
    intact = np.array(losses["intact"])
    drop = mean(intact[:, 1] - intact[:, 0])
    yield _measured("in_context_gain", drop, "nats a token", {}, Baseline(name="nothing is learnt from context", value=0.0))
    yield from _ablations(losses, intact)


def _of_head(name: str, table: Mapping[str, Mapping[str, Floats]], heads: int, is_named: bool) -> Iterator[Measurement]:
    level = 1 - 0.05 / heads
    labels = {"head": name, "named": "yes" if is_named else "no"}
    plain = mean(table["permuted"][name])
    baseline = Baseline(name="permuted sequences", value=plain.value, interval=plain.interval)
    yield _measured("prefix_matching", mean(table["matching"][name], level), "share of attention", labels, baseline)
    chance = Baseline(name="chance", value=0.5)
    yield _measured("copying", mean(table["copying"][name], level), "share of tokens raised less", labels, chance)


def _ablations(losses: Mapping[str, Any], intact: Floats) -> Iterator[Measurement]:
    for half, segment in enumerate(("first", "second")):
        labels = {"segment": segment}
        if "named" not in losses:
            yield Measurement(
                name="ablation_loss", value=None, unit="nats a token", n=0, labels=labels, reason="no head is named"
            )
            continue
        change = mean(np.array(losses["named"])[:, half] - intact[:, half])
        drawn = mean(np.array(losses["random"])[:, :, half].mean(0) - intact[:, half])
        count = len(losses["random"])
        baseline = Baseline(name=f"as many random heads, mean of {count} draws", value=drawn.value, interval=drawn.interval)
        yield _measured("ablation_loss", change, "nats a token", labels, baseline)


def _measured(name: str, found: Estimate, unit: str, labels: Mapping[str, str], baseline: Baseline) -> Measurement:
    return Measurement(
        name=name, value=found.value, unit=unit, interval=found.interval, n=found.n, labels=dict(labels), baseline=baseline
    )
