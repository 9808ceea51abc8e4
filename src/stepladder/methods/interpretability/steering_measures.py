"""From what was read under steering to measurements: pure, every shift beside that of random directions."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from stepladder.core.values import Baseline, Labels, Measurement
from stepladder.methods.interpretability.probe_measures import area_measurement
from stepladder.stats import clustered_mean, rate_measurement
from stepladder.stats.estimate import Floats

GRAM = 3
RANDOM = "random directions of the same length"


def measurements(concept: str, data: Mapping[str, Any]) -> tuple[Measurement, ...]:
    """All of one concept."""
    runs = _Runs(data)
    made = [_unsteered(concept, data, runs), *_slopes(concept, runs)]
    for strength in runs.strengths:
        random = _shift(concept, runs, "random", strength, None)
        made += [_shift(concept, runs, "concept", strength, random), random]
        made.append(_toward(concept, runs, strength))
        cost = _cost(concept, runs, "random", strength, None)
        made += [_cost(concept, runs, "concept", strength, cost), cost]
        made += [_repetition(concept, runs, name, strength) for name in ("concept", "random")]
    return tuple(made)


def repetition(text: str) -> float | None:
    """Share of a text's word trigrams that it holds already (seq-rep-3, arXiv:1908.04319); `None` below three words."""
    words = re.findall(r"\w+", text.lower())
    grams = [tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else None


class _Runs:
    """Arrays by direction and strength, the random directions averaged item by item."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.items: Sequence[Mapping[str, Any]] = data["items"]
        self.units = [item["unit"] for item in self.items]
        self._runs: Sequence[Mapping[str, Any]] = data["runs"]
        self.strengths: list[float] = sorted({run["strength"] for run in self._runs} - {0.0})
        self.plain = next(run for run in self._runs if run["direction"] == "none")

    def of(self, direction: str, strength: float) -> list[Mapping[str, Any]]:
        """The runs of "concept", or of all random directions, at a strength."""
        return [r for r in self._runs if r["strength"] == strength and r["direction"].startswith(direction)]

    def shifts(self, direction: str, strength: float) -> Floats:
        """(items,) change of the log-odds in nats."""
        steered = np.mean([run["log_odds"] for run in self.of(direction, strength)], axis=0)
        return np.asarray(steered - np.asarray(self.plain["log_odds"]), np.float64)

    def slopes(self, direction: str) -> Floats:
        """(items,) least-squares slope of the shift through the origin, in nats per unit of strength."""
        shifts = np.stack([self.shifts(direction, strength) for strength in self.strengths])
        strengths = np.array(self.strengths)
        return np.asarray(strengths @ shifts / (strengths @ strengths), np.float64)

    def texts(self, direction: str, strength: float) -> list[str | None]:
        """What was written; of the random directions the first only writes."""
        return [text for run in self.of(direction, strength) for text in run["texts"]]


def mean_measurement(
    name: str, values: Floats, clusters: Sequence[Hashable], unit: str, labels: Labels, baseline: Baseline | None = None,
    note: str = "",
) -> Measurement:  # fmt: skip
    """A mean of any numbers with its interval clustered."""
    if not len(values):
        return Measurement(name=name, value=None, unit=unit, n=0, reason="nothing to measure", labels=labels)
    found = clustered_mean(values, clusters)
    return Measurement(
        name=name,
        value=found.value,
        unit=unit,
        interval=found.interval,
        n=found.n,
        labels=labels,
        baseline=baseline,
        note=note,
    )


def _baseline(measured: Measurement | None) -> Baseline | None:
    return None if measured is None else Baseline(name=RANDOM, value=measured.value, interval=measured.interval)


def _labels(concept: str, direction: str, strength: float) -> dict[str, str]:
    return {"concept": concept, "direction": direction, "strength": f"{strength:g}"}


def _unsteered(concept: str, data: Mapping[str, Any], runs: _Runs) -> Measurement:
    """Whether the log-odds tell the concept without any steering, and where the direction is added."""
    note = f"layer {data['layer']}; the means are {data['gap']:.3g} apart, the stream is {data['stream']:.3g} long"
    half = Baseline(name="chance", value=0.5)
    return area_measurement("unsteered_auroc", runs.plain["log_odds"], runs.items, {"concept": concept}, half, note)


def _slopes(concept: str, runs: _Runs) -> list[Measurement]:
    """`shift_per_strength` of both directions, and of the concept's beyond the random ones, item by item."""
    own, random = runs.slopes("concept"), runs.slopes("random")
    unit = "nats per distance of the means"
    beside = mean_measurement("shift_per_strength", random, runs.units, unit, {"concept": concept, "direction": "random"})
    found = mean_measurement(
        "shift_per_strength", own, runs.units, unit, {"concept": concept, "direction": "concept"}, _baseline(beside)
    )
    excess = mean_measurement("excess_shift_per_strength", own - random, runs.units, unit, {"concept": concept})
    return [found, beside, excess]


def _shift(concept: str, runs: _Runs, direction: str, strength: float, random: Measurement | None) -> Measurement:
    values, labels = runs.shifts(direction, strength), _labels(concept, direction, strength)
    return mean_measurement("concept_shift", values, runs.units, "nats", labels, _baseline(random))


def _toward(concept: str, runs: _Runs, strength: float) -> Measurement:
    """`toward_rate`: share of items where the beginning toward the concept is the likelier one."""

    def likelier(run: Mapping[str, Any]) -> list[float]:
        return [float(odds > 0) for odds in run["log_odds"]]

    plain = rate_measurement("plain", likelier(runs.plain), runs.units)
    before = Baseline(name="unsteered", value=plain.value, interval=plain.interval)
    steered = likelier(runs.of("concept", strength)[0])
    return rate_measurement(
        "toward_rate", steered, runs.units, baseline=before, labels=_labels(concept, "concept", strength)
    )


def _cost(concept: str, runs: _Runs, direction: str, strength: float, random: Measurement | None) -> Measurement:
    """`fluency_cost`: how much less likely, per token, the model finds its own unsteered answers."""
    steered = np.mean([run["own_logprobs"] for run in runs.of(direction, strength)], axis=0)
    values = np.asarray(np.asarray(runs.plain["own_logprobs"]) - steered, np.float64)
    note = f"perplexity of its own unsteered answers times {np.exp(values.mean()):.3g}" if len(values) else ""
    return mean_measurement(
        "fluency_cost", values, range(len(values)), "nats per token", _labels(concept, direction, strength),
        _baseline(random), note,
    )  # fmt: skip


def _repetition(concept: str, runs: _Runs, direction: str, strength: float) -> Measurement:
    """`repetition`: share of repeated trigrams in what it writes; baseline: unsteered."""
    plain = [None if text is None else repetition(text) for text in runs.plain["texts"]]
    known = [value for value in plain if value is not None]
    before = Baseline(name="unsteered", value=float(np.mean(known)) if known else None)
    values = [None if text is None else repetition(text) for text in runs.texts(direction, strength)]
    return rate_measurement(
        "repetition", values, range(len(values)), baseline=before, labels=_labels(concept, direction, strength)
    )
