"""From what was read off along persona vectors to measurements. Pure.

Held-out questions are the independent units; those of `shift_prediction` are training sets. Where the chance level is that
of random directions it is the mean over several of them, each taken the better way round.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from stepladder.core import Baseline, Interval, Measurement
from stepladder.stats import Estimate, auroc, bca, clustered_mean
from stepladder.stats.measurement import unmeasured_reason

Data = Mapping[str, Any]
NATS = "nats per token"


def measurements(data: Data) -> Iterator[Measurement]:
    """All of them, trait by trait, then the training sets."""
    for name, trait in data["traits"].items():
        yield _separation(name, trait)
        yield from _monitoring(name, trait)
        yield from _steering(name, trait)
    yield from _training(data["sets"])
    yield _prediction(data["sets"])


def mean_measurement(
    name: str, values: Sequence[float], clusters: Sequence[Hashable], unit: str, labels: Mapping[str, str],
    baseline: Baseline | None = None, reason: str = "nothing to measure",
) -> Measurement:  # fmt: skip
    """Mean of any numbers with a t interval over clusters; unmeasured with `reason` where there are none."""
    common: dict[str, Any] = {"name": name, "unit": unit, "labels": dict(labels), "baseline": baseline}
    if not len(values):
        return Measurement(**common, value=None, n=0, reason=reason)
    found = clustered_mean(list(values), clusters)
    return Measurement(**common, value=found.value, interval=found.interval, n=found.n)


def mean_baseline(name: str, values: Sequence[float], clusters: Sequence[Hashable]) -> Baseline:
    """The mean of what a trivial rule gave, with its interval."""
    found = clustered_mean(list(values), clusters)
    return Baseline(name=name, value=found.value, interval=found.interval)


def _separation(name: str, trait: Data) -> Measurement:
    """How well the projection of a reply tells held-out replies that show the trait from those that do not."""
    rows = trait["replies"]
    labels, clusters = [int(row["shows"]) for row in rows], [row["question"] for row in rows]
    found = auroc([row["persona"] for row in rows], labels, clusters=clusters)
    drawn = np.array([row["random"] for row in rows])
    areas = [auroc(column.tolist(), labels, clusters=clusters) for column in drawn.T]
    chance = float(np.mean([max(a.value, 1 - a.value) for a in areas if a]))
    return _estimated(
        "reply_separation", found, "share of pairs", {"trait": name},
        Baseline(name="random directions, each the better way round", value=chance),
    )  # fmt: skip


def _monitoring(name: str, trait: Data) -> Iterator[Measurement]:
    """Correlation of projections with what the model would say: before its reply, and during it.

    Over all prompts, and after each kind of instruction lost its mean. An empty reply is unmeasured.
    """
    for at, key in (("last prompt token", "end"), ("own reply", "reply")):
        rows = [row for row in trait["prompts"] if row[key] is not None]
        for scope in ("all prompts", "within a kind of instruction"):
            groups = ["all" if scope == "all prompts" else row["kind"] for row in rows]
            for vector in ("persona", "shuffled"):
                labels = {"trait": name, "at": at, "scope": scope, "vector": vector}
                yield _monitored(rows, key, vector, groups, labels, len(trait["prompts"]) - len(rows))


def _monitored(
    rows: Sequence[Data], key: str, vector: str, groups: Sequence[str], labels: Mapping[str, str], unmeasured: int
) -> Measurement:
    common: dict[str, Any] = {
        "name": "monitoring", "unit": "correlation", "labels": dict(labels), "unmeasured": unmeasured,
    }  # fmt: skip
    reason = unmeasured_reason(unmeasured, len(rows) + unmeasured, 0.2, "replies")
    if reason:
        return Measurement(**common, value=None, n=0, reason=reason)
    shown = _centred(np.array([row["expression"] for row in rows]), groups)
    drawn = np.array([row[key]["random"] for row in rows])
    chance = float(np.mean([abs(correlation(_centred(column, groups), shown)) for column in drawn.T]))
    baseline = Baseline(name="random directions, size of the correlation", value=chance)
    projected = _centred(np.array([row[key][vector] for row in rows]), groups)
    found = bca(correlation, projected, shown, clusters=[row["question"] for row in rows], resamples=1000)
    return Measurement(**common, value=found.value, interval=found.interval, n=found.n, baseline=baseline)


def _centred(values: Any, groups: Sequence[str]) -> Any:
    means = {group: values[[g == group for g in groups]].mean() for group in set(groups)}
    return values - np.array([means[group] for group in groups])


def correlation(one: Any, other: Any) -> float:
    """Pearson's; 0 where either does not vary."""
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size > 1e-12 else 0.0


def _steering(name: str, trait: Data) -> Iterator[Measurement]:
    """What adding each vector changes: the trait's expression, and the likelihood of both replies together."""
    plain, *rows = trait["steering"]
    before = np.array(plain["likelihoods"])
    for strength in dict.fromkeys(row["strength"] for row in rows):
        here = {row["vector"]: np.array(row["likelihoods"]) - before for row in rows if row["strength"] == strength}
        for measured, weights in (("steering_effect", (1.0, -1.0)), ("fluency_change", (0.5, 0.5))):
            changes = {vector: change @ np.array(weights) for vector, change in here.items()}
            questions = range(len(before))
            random = np.mean([change for vector, change in changes.items() if vector.startswith("random")], axis=0)
            for vector in ("persona", "shuffled"):
                labels = {"trait": name, "strength": f"{strength:g}", "vector": vector}
                baseline = mean_baseline("random directions as long", random.tolist(), questions)
                yield mean_measurement(measured, changes[vector].tolist(), questions, NATS, labels, baseline)


def _training(sets: Sequence[Data]) -> Iterator[Measurement]:
    """Shift of every trait by every set, what its projection was before, and what preventative steering took away."""
    for one in sets:
        for trait, before in one["before"].items():
            labels = {"set": _named(one), "trait": trait}
            if one["steered"] == "no":
                yield _projection(one["projected"].get(trait), labels)
            shift = np.array(one["after"][trait]) - np.array(before)
            yield mean_measurement(
                "training_shift", shift.tolist(), range(len(shift)), NATS, labels | {"steered": one["steered"]},
                Baseline(name="no training", value=0.0),
            )  # fmt: skip
    for one in sets:
        if one["steered"] == "persona":
            yield _prevented(one, sets)


def _projection(projected: Data | None, labels: Mapping[str, str]) -> Measurement:
    """Mean projection difference of a set's rows; baseline: along a random direction as long."""
    rows = range(len(projected["persona"])) if projected else range(0)
    return mean_measurement(
        "projection_difference", projected["persona"] if projected else [], rows, "lengths of the vector", labels,
        mean_baseline("a random direction as long", projected["random"], rows) if projected else None,
        "the training rows are not known, or the model gave no replies of its own to them",
    )  # fmt: skip


def _prevented(one: Data, sets: Sequence[Data]) -> Measurement:
    """Shift without minus shift with preventative steering, question by question; baseline: a random direction instead."""
    same = {s["steered"]: s for s in sets if (s["trait"], s["rows"]) == (one["trait"], one["rows"])}
    after = {steered: np.array(s["after"][one["trait"]]) for steered, s in same.items()}
    questions = range(len(after["no"]))
    baseline = mean_baseline("a random direction as long", (after["no"] - after["random"]).tolist(), questions)
    return mean_measurement(
        "prevented_shift", (after["no"] - after["persona"]).tolist(), questions, NATS, {"trait": one["trait"]}, baseline
    )


def _named(one: Data) -> str:
    return "its own" if one["rows"] == "its own" else f"{one['trait']}, {one['rows']}"


def shift_points(sets: Sequence[Data]) -> list[dict[str, Any]]:
    """One point for each set and trait: the projection difference before training, and the shift that came of it."""
    return [
        {
            "set": _named(one), "trait": trait, "projected": float(np.mean(projected["persona"])),
            "random": float(np.mean(projected["random"])),
            "shift": float(np.mean(one["after"][trait]) - np.mean(one["before"][trait])),
        }
        for one in sets
        if one["steered"] == "no"
        for trait, projected in one["projected"].items()
    ]  # fmt: skip


def _prediction(sets: Sequence[Data]) -> Measurement:
    return prediction(shift_points(sets))


def prediction(points: Sequence[Data]) -> Measurement:
    """Correlation of projection differences with shifts; training sets, not points, are the independent units.

    Both are taken beside the trait's mean over sets: that all sets shift one trait alike is not a prediction.
    """
    count = len({point["set"] for point in points})
    if count < 3:
        reason = f"{count} training sets with known rows; at least 3 needed"
        return Measurement(name="shift_prediction", value=None, unit="correlation", n=count, reason=reason)
    traits = [point["trait"] for point in points]
    columns = {key: _centred(np.array([point[key] for point in points]), traits) for key in ("projected", "random", "shift")}
    value = correlation(columns["projected"], columns["shift"])
    chance = abs(correlation(columns["random"], columns["shift"]))
    return Measurement(
        name="shift_prediction", value=value, unit="correlation", n=count, interval=fisher_interval(value, count),
        baseline=Baseline(name="random directions, size of the correlation", value=chance),
    )  # fmt: skip


def fisher_interval(value: float, count: int, level: float = 0.95) -> Interval | None:
    """Interval of a correlation from `count` independent units; `None` for fewer than four or a perfect one."""
    from scipy.special import ndtri

    if count < 4 or not -1 < value < 1:
        return None
    half = float(ndtri((1 + level) / 2)) / np.sqrt(count - 3)
    low, high = np.tanh(np.arctanh(value) + np.array([-half, half]))
    return Interval(low=float(low), high=float(high), level=level, method="Fisher's z over training sets")


def _estimated(name: str, found: Estimate | None, unit: str, labels: Mapping[str, str], baseline: Baseline) -> Measurement:
    common: dict[str, Any] = {"name": name, "unit": unit, "labels": dict(labels), "baseline": baseline}
    if found is None:
        return Measurement(**common, value=None, n=0, reason="replies of only one kind")
    return Measurement(**common, value=found.value, interval=found.interval, n=found.n)
