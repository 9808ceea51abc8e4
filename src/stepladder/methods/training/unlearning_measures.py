"""From the scores of every model to measurements; all differences are paired by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepladder.core.values import Baseline, Measurement
from stepladder.methods.training.forgetting import FULL, RETRAINED
from stepladder.stats import difference_measurement, rate_measurement

Scores = Mapping[str, float | None]


def measurements(data: Mapping[str, Any]) -> Iterator[Measurement]:
    """All measurements of a record's `data`."""
    models, topics = data["models"], data["topics"]
    for name, scores in models.items():
        yield from _levels(name, scores, models["subject"], topics)
    algorithms = [name for name in models if name not in ("subject", FULL, RETRAINED)]
    for name in algorithms:
        yield from _forgetting(name, models, topics)
        yield from _costs(name, models, topics)
    yield _quality(FULL, models)
    yield from _relearning(data, algorithms)
    for name in (FULL, RETRAINED, *algorithms):
        yield from _attacked(name, models, topics)
    for name in algorithms:
        yield from _attack_gaps(name, models, topics)


def _levels(
    name: str, scores: Mapping[str, Any], bare: Mapping[str, Any], topics: Mapping[str, str]
) -> Iterator[Measurement]:
    for part in ("forget", "retain"):
        known = Baseline(name="subject before learning", value=_mean(bare[part]))
        labels = {"model": name, "rows": part}
        yield rate_measurement("answer_probability", *_by(scores[part], topics), baseline=known, labels=labels)
    chance = Baseline(name="guessing", value=0.5)
    yield rate_measurement("utility", *_by(scores["facts"]), baseline=chance, labels={"model": name})


def _forgetting(name: str, models: Mapping[str, Any], topics: Mapping[str, str]) -> Iterator[Measurement]:
    target, labels = models[RETRAINED]["forget"], {"algorithm": name}
    untouched = Baseline(name="nothing forgotten", value=_mean(models[FULL]["forget"]) - _mean(target))
    yield _difference("forget_gap", target, models[name]["forget"], topics, labels, untouched)
    yield _quality(name, models)


def _quality(name: str, models: Mapping[str, Any]) -> Measurement:
    """TOFU's forget quality: the p-value of a Kolmogorov-Smirnov test between the truth ratios of both models."""
    from scipy.stats import ks_2samp

    mine, target = list(models[name]["truth"].values()), list(models[RETRAINED]["truth"].values())
    test = ks_2samp(mine, target)
    untouched = ks_2samp(list(models[FULL]["truth"].values()), target).pvalue
    return Measurement(
        name="forget_quality", value=float(test.pvalue), unit="p-value", n=len(mine), labels={"algorithm": name},
        baseline=Baseline(name="nothing forgotten", value=float(untouched)),
        note=f"distance D = {test.statistic:.2f}; the test takes rows of one author as independent, as TOFU does",
    )  # fmt: skip


def _costs(name: str, models: Mapping[str, Any], topics: Mapping[str, str]) -> Iterator[Measurement]:
    before, after, labels = models[FULL], models[name], {"algorithm": name}
    yield _difference("retain_change", before["retain"], after["retain"], topics, labels)
    yield _difference("utility_change", before["facts"], after["facts"], {}, labels)


def _relearning(data: Mapping[str, Any], algorithms: list[str]) -> Iterator[Measurement]:
    """On rows that the attack did not train on: what comes back by itself."""
    shown, topics, models = set(data["relearnt_rows"]), data["topics"], data["models"]

    def others(scores: Scores) -> Scores:
        return {row: value for row, value in scores.items() if row not in shown}

    for name in (RETRAINED, *algorithms):
        curve = {"0": models[name]["forget"], **data["relearned"][name]}
        for epochs, scores in curve.items():
            labels = {"model": name, "epochs": epochs}
            yield rate_measurement("relearned_probability", *_by(others(scores), topics), labels=labels)
    for name in algorithms:
        for epochs, scores in data["relearned"][name].items():
            target = others(data["relearned"][RETRAINED][epochs])
            labels = {"algorithm": name, "epochs": epochs}
            yield _difference("relearned_gap", target, others(scores), topics, labels)


def _attacked(name: str, models: Mapping[str, Any], topics: Mapping[str, str]) -> Iterator[Measurement]:
    for attack, scores in models[name]["attacks"].items():
        never = Baseline(name="trained without", value=_mean(models[RETRAINED]["attacks"][attack]))
        labels = {"model": name, "attack": attack}
        yield rate_measurement("attack_recall", *_by(scores, topics), baseline=never, labels=labels)


def _attack_gaps(name: str, models: Mapping[str, Any], topics: Mapping[str, str]) -> Iterator[Measurement]:
    for attack, scores in models[name]["attacks"].items():
        target, full = models[RETRAINED]["attacks"][attack], models[FULL]["attacks"][attack]
        untouched = Baseline(name="nothing forgotten", value=_mean(full) - _mean(target))
        labels = {"algorithm": name, "attack": attack}
        yield _difference("attack_gap", target, scores, topics, labels, untouched)


def _difference(
    name: str, before: Scores, after: Scores, topics: Mapping[str, str], labels: Mapping[str, str],
    baseline: Baseline | None = None,
) -> Measurement:  # fmt: skip
    rows = list(before)
    clusters = [topics.get(row, row) for row in rows]
    first, second = [before[row] for row in rows], [after[row] for row in rows]
    return difference_measurement(name, first, second, clusters, labels=labels, baseline=baseline)


def _by(scores: Scores, topics: Mapping[str, str] | None = None) -> tuple[list[float | None], list[str]]:
    """The values, and the author (or the row itself) that each belongs to."""
    return list(scores.values()), [(topics or {}).get(row, row) for row in scores]


def _mean(scores: Scores) -> float:
    known = [value for value in scores.values() if value is not None]
    return sum(known) / len(known) if known else 0.0
