"""From the scores of held-out statements to measurements: pure, with intervals clustered by fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stepladder.core.values import Baseline, Labels, Measurement
from stepladder.stats import auroc, difference_measurement, rate_measurement
from stepladder.stats.measurement import unmeasured_reason

PROBES = ("logistic", "whitened_mass_mean", "mass_mean", "ccs")
TRIVIAL = ("bag_of_words", "random_direction")
MATRIX_PROBES = ("logistic", "mass_mean")
"""The probes whose transfer is shown from each topic to each."""
TESTS = {
    "held-out facts": ("all", ("affirmed", "negated")),
    "other topics": ("other topics", ("affirmed", "negated")),
    "negations": ("affirmed", ("negated",)),
    "conjunctions": ("all", ("conjunction",)),
}
"""Test -> the training set that the probe learned from, and the forms that it is tested on."""
SINGLE = ("affirmed", "negated")
AT_CHOSEN = "at the layer chosen on facts of its own"


def measurements(data: Mapping[str, Any]) -> tuple[Measurement, ...]:
    """All of them, from the data of a record."""
    table = _Table(data)
    return (*_by_layer(table), *_at_chosen(table), *_transfer(table), *_selectivity(table), *_erased(table))


class _Table:
    """Scores by probe, training set and layer; rows are the held-out statements."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.rows: Sequence[Mapping[str, Any]] = data["statements"]
        self.layers: Sequence[int] = data["layers"]
        self.chosen: int = data["layer"]
        self.controls: Sequence[Sequence[int | None]] = data["controls"]
        self.erased: Sequence[Mapping[str, Any]] = data["erased"]
        self._scores = {(row["probe"], row["set"], row["layer"]): row["scores"] for row in data["scores"]}

    def scores(self, probe: str, trained: str, layer: int) -> Sequence[float | None] | None:
        """Scores of all rows; `None` where there is no such probe. Word counts have no layer."""
        return self._scores.get((probe, trained, None if probe == "bag_of_words" else layer))

    def topics(self) -> list[str]:
        """All topics, as they come."""
        return list(dict.fromkeys(row["topic"] for row in self.rows))

    def places(self, forms: Sequence[str], topic: str | None = None) -> list[int]:
        """The rows of these forms (and this topic)."""
        return [i for i, row in enumerate(self.rows) if row["form"] in forms and topic in (None, row["topic"])]


def area_measurement(
    name: str, scores: Sequence[float | None], rows: Sequence[Mapping[str, Any]], labels: Labels,
    baseline: Baseline | None = None, note: str = "",
) -> Measurement:  # fmt: skip
    """AUROC over rows with `label` and `unit`; more than a fifth without a score, or one class only, is unmeasured."""
    known = [i for i, score in enumerate(scores) if score is not None]
    units, truth = [rows[i]["unit"] for i in known], [int(rows[i]["label"]) for i in known]
    missing = len(scores) - len(known)
    reason = unmeasured_reason(missing, len(scores), 0.2, "statements")
    estimate = None if reason else auroc([float(scores[i] or 0.0) for i in known], truth, clusters=units)
    if estimate is None:
        why = reason or "statements of one label only"
        return Measurement(
            name=name, value=None, unit="AUROC", n=len(set(units)), unmeasured=missing, reason=why, labels=labels,
            baseline=baseline,
        )  # fmt: skip
    return Measurement(
        name=name, value=estimate.value, unit="AUROC", interval=estimate.interval, n=estimate.n, unmeasured=missing,
        labels=labels, baseline=baseline, note=note,
    )  # fmt: skip


def _area(
    table: _Table, name: str, probe: str, trained: str, places: Sequence[int], layer: int, labels: Labels,
    baseline: Baseline | None = None, note: str = "",
) -> Measurement | None:  # fmt: skip
    """The AUROC of one probe on the rows at `places`; `None` where there is no such probe, or it scores no such rows."""
    scores = table.scores(probe, trained, layer)
    if scores is None or all(scores[i] is None for i in places):
        return None
    return area_measurement(name, [scores[i] for i in places], [table.rows[i] for i in places], labels, baseline, note)


def _words(table: _Table, trained: str, places: Sequence[int]) -> Baseline | None:
    """What word counts score on the same split."""
    found = _area(table, "words", "bag_of_words", trained, places, table.chosen, {})
    return None if found is None else Baseline(name="bag of words, same split", value=found.value, interval=found.interval)


def _by_layer(table: _Table) -> list[Measurement]:
    """`probe_auroc` of every probe at every layer in every test; shuffled labels are the logistic probe's."""
    made: list[Measurement | None] = []
    for test, (trained, forms) in TESTS.items():
        places = table.places(forms)
        words = _words(table, trained, places)
        for layer in table.layers:
            labels = {"test": test, "layer": str(layer)}
            for probe in (*PROBES, "random_direction"):
                made.append(_area(table, "probe_auroc", probe, trained, places, layer, labels | {"probe": probe}, words))
            if test == "held-out facts":
                given = labels | {"probe": "shuffled_labels"}
                made.append(_area(table, "probe_auroc", "logistic", "shuffled", places, layer, given, words))
    return [m for m in made if m is not None]


def _at_chosen(table: _Table) -> list[Measurement]:
    """`held_out_accuracy` at the chosen layer, threshold 0; baseline: always the commoner answer."""
    places = table.places(SINGLE)
    rows = [table.rows[i] for i in places]
    share = float(np.mean([row["label"] for row in rows])) if rows else 0.5
    majority = Baseline(name="always the commoner label", value=max(share, 1 - share))
    made = []
    for probe in (*PROBES, *TRIVIAL):
        scores = table.scores(probe, "all", table.chosen)
        if scores is not None:
            right = [_right(scores[i], table.rows[i]["label"]) for i in places]
            labels = {"probe": probe, "layer": str(table.chosen)}
            made.append(
                rate_measurement(
                    "held_out_accuracy", right, [r["unit"] for r in rows], baseline=majority, labels=labels, note=AT_CHOSEN
                )
            )
    return made


def _transfer(table: _Table) -> list[Measurement]:
    """`transfer_auroc` from each topic to each, on held-out facts at the chosen layer."""
    topics = table.topics()
    made = [
        _area(
            table, "transfer_auroc", probe, f"only {source}", places, table.chosen,
            {"probe": probe, "trained_on": source, "tested_on": target}, _words(table, f"only {source}", places), AT_CHOSEN,
        )
        for probe in MATRIX_PROBES
        for source in topics
        for target in topics
        if (places := table.places(SINGLE, target))
    ]  # fmt: skip
    return [m for m in made if m is not None]


def _selectivity(table: _Table) -> list[Measurement]:
    """`control_accuracy`, and `selectivity`: accuracy on the truth minus that on control tasks, statement by statement."""
    known = [i for i in table.places(SINGLE) if all(labels[i] is not None for labels in table.controls)]
    made: list[Measurement] = []
    for probe in ("logistic", "whitened_mass_mean", "mass_mean", "bag_of_words"):
        real = table.scores(probe, "all", table.chosen)
        tasks = [table.scores(probe, f"control {i}", table.chosen) for i in range(len(table.controls))]
        if real is None or any(scores is None for scores in tasks) or not known:
            continue
        units = [table.rows[i]["unit"] for i in known]
        labels = {"probe": probe, "layer": str(table.chosen)}
        control = [_mean_right([s[i] for s in tasks if s is not None], [c[i] for c in table.controls]) for i in known]
        truth = [_right(real[i], table.rows[i]["label"]) for i in known]
        coin = Baseline(name="a coin", value=0.5)
        made.append(rate_measurement("control_accuracy", control, units, baseline=coin, labels=labels, note=AT_CHOSEN))
        nothing = Baseline(name="a probe that learns both or neither", value=0.0)
        made.append(difference_measurement("selectivity", control, truth, units, baseline=nothing, labels=labels))
    return made


def _erased(table: _Table) -> list[Measurement]:
    """`erased_auroc`: what a new logistic probe finds after LEACE; baseline: the same before."""
    places = table.places(SINGLE)
    rows = [table.rows[i] for i in places]
    made = []
    found = {(e["layer"], e["rows"], e["when"]): [e["scores"][i] for i in places] for e in table.erased}
    for layer in table.layers:
        for given in ("same", "fresh"):
            before = area_measurement("before", found[layer, given, "before"], rows, {})
            baseline = Baseline(name="the same probe before erasure", value=before.value, interval=before.interval)
            labels = {"layer": str(layer), "learned_from": f"{given} rows"}
            made.append(area_measurement("erased_auroc", found[layer, given, "after"], rows, labels, baseline))
    return made


def _right(score: float | None, label: object) -> float | None:
    """1 where the score is on the label's side of 0, half a point at 0."""
    return None if score is None else 0.5 if score == 0 else float((score > 0) == bool(label))


def _mean_right(scores: Sequence[float | None], labels: Sequence[int | None]) -> float | None:
    hits = [_right(score, label) for score, label in zip(scores, labels, strict=True)]
    return None if any(hit is None for hit in hits) else float(np.mean([hit for hit in hits if hit is not None]))
