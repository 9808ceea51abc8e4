"""From scored labels to measurements: each latent's score, means, and the share of latents above a threshold.

A row of `labelling` is one label of one latent put to one scorer. Its score is the area under the ROC curve, for simulation
Pearson's r. Latents are independent units but for those of one cluster, whose decoder rows nearly agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepladder.core.values import Baseline, Interval, Labels, Measurement
from stepladder.methods.interpretability import label_scores
from stepladder.methods.interpretability.labelling import OWN, RANDOM
from stepladder.stats import Estimate, clustered_mean, clustered_rate, difference_measurement, rate_measurement
from stepladder.stats.estimate import make_interval
from stepladder.stats.measurement import unmeasured_reason

Row = Mapping[str, Any]
MOST_UNREAD = 0.2
"""Largest share of unreadable answers with which a latent still gets a score."""
Score = tuple[Estimate | None, str]
"""An estimate, or the reason why there is none."""


@dataclass(frozen=True)
class Scores:
    """Scores by latent, of own and random labels, for one explainer and scorer."""

    units: tuple[str, ...]
    clusters: tuple[str, ...]
    own: tuple[Score, ...]
    random: tuple[Score, ...] | None


def score(row: Row) -> Score:
    """The row's score with its interval over documents."""
    if "reason" in row:
        return None, str(row["reason"])
    answers = row["sums"] if row["scorer"] == "simulation" else row["predicted"]
    read = [i for i, answer in enumerate(answers) if answer is not None]
    reason = unmeasured_reason(len(answers) - len(read), len(answers), MOST_UNREAD, "answers")
    if reason:
        return None, reason
    documents, kept = [row["documents"][i] for i in read], [answers[i] for i in read]
    if row["scorer"] == "simulation":
        return label_scores.correlation(kept, documents), ""
    found = label_scores.area([row["truth"][i] for i in read], kept, documents)
    return found, "" if found else "only one kind of window"


def classified(row: Row) -> tuple[float, float] | None:
    """Accuracy and F1 at one half, of the rows of detection and fuzzing."""
    if "predicted" not in row or score(row)[0] is None:
        return None
    read = [i for i, p in enumerate(row["predicted"]) if p is not None]
    truth, predicted = [row["truth"][i] for i in read], [row["predicted"][i] for i in read]
    both = label_scores.f1(truth, predicted, read)
    return label_scores.accuracy(truth, predicted, read).value, both.value if both else 0.0


def gather(rows: Sequence[Row], explainer: str, scorer: str) -> Scores:
    """The scores of one explainer and scorer."""
    own = [r for r in rows if (r["explainer"], r["scorer"], r["label"]) == (explainer, scorer, OWN)]
    other = {r["unit"]: r for r in rows if (r["explainer"], r["scorer"], r["label"]) == (explainer, scorer, RANDOM)}
    random = tuple(score(other[r["unit"]]) for r in own) if other else None
    units, clusters = tuple(r["unit"] for r in own), tuple(r["cluster"] for r in own)
    return Scores(units, clusters, tuple(map(score, own)), random)


def measurements(
    rows: Sequence[Row], explainers: Iterable[str], scorers: Iterable[str], thresholds: Mapping[str, float], labels: Labels
) -> list[Measurement]:
    """Everything that is reported of one set of latents."""
    found: list[Measurement] = []
    scorers = tuple(scorers)
    for explainer in explainers:
        for scorer in scorers:
            scores = gather(rows, explainer, scorer)
            place = {**labels, "explainer": explainer, "scorer": scorer}
            if not any(estimate for estimate, _ in scores.own):
                found += _means(scores, scorer, place)[:1]  # one line says why; there is nothing else to say
                continue
            found += [*_means(scores, scorer, place), *_shares(scores, thresholds[scorer], place)]
            found += _classified(rows, explainer, scorer, place)
    return found


def feature_scores(
    rows: Sequence[Row], explainers: Iterable[str], scorers: Iterable[str], labels: Labels
) -> list[Measurement]:
    """One measurement for each latent, explainer and scorer; the unit is a document, the baseline another latent's label."""
    scorers = tuple(scorers)
    found = []
    for explainer in explainers:
        for scorer in scorers:
            scores = gather(rows, explainer, scorer)
            if not any(estimate for estimate, _ in scores.own):
                continue
            others = scores.random or ((None, ""),) * len(scores.own)
            for unit, (own, reason), (other, _) in zip(scores.units, scores.own, others, strict=True):
                place = {**labels, "latent": unit, "explainer": explainer, "scorer": scorer}
                found.append(_feature(own, reason, other, scorer, place))
    return found


def hit_rates(rows: Sequence[Row], explainers: Iterable[str], labels: Labels) -> list[Measurement]:
    """Share of active windows that detection calls, by the quantile of activation that they are from.

    Baseline: the share of silent windows that it calls. One row a window; windows of one cluster of latents go together.
    """
    found = []
    for explainer in explainers:
        own = [
            r for r in rows if (r["explainer"], r["scorer"], r["label"]) == (explainer, "detection", OWN) and "truth" in r
        ]
        called = [
            (q if t else 0, None if p is None else float(p >= 0.5), r["cluster"])
            for r in own
            for q, t, p in zip(r["quantiles"], r["truth"], r["predicted"], strict=True)
        ]
        silent = rate_measurement("", [c for q, c, _ in called if q == 0], [g for q, _, g in called if q == 0])
        alarms = Baseline(name="silent windows called active", value=silent.value, interval=silent.interval)
        for quantile in sorted({q for q, _, _ in called} - {0}):
            part = [(c, g) for q, c, g in called if q == quantile]
            place = {**labels, "explainer": explainer, "quantile": str(quantile)}
            found.append(
                rate_measurement("hit_rate", [c for c, _ in part], [g for _, g in part], labels=place, baseline=alarms)
            )
    return found


def _feature(own: Estimate | None, reason: str, other: Estimate | None, scorer: str, place: Labels) -> Measurement:
    chance = 0.0 if scorer == "simulation" else 0.5
    baseline = Baseline(name="another latent's label", value=other.value, interval=other.interval) if other else None
    if own is None:
        return Measurement(name="feature_score", value=None, unit=_unit(scorer), n=0, reason=reason, labels=place)
    return Measurement(
        name="feature_score", value=own.value, unit=_unit(scorer), interval=own.interval, n=own.n, labels=place,
        baseline=baseline or Baseline(name="chance", value=chance),
    )  # fmt: skip


def _means(scores: Scores, scorer: str, place: Labels) -> list[Measurement]:
    """Mean score, and how much of it is the latent's own label rather than any label."""
    own = [s.value if s else None for s, _ in scores.own]
    why = next((reason for s, reason in scores.own if s is None), "")
    if scores.random is None:
        chance = Baseline(name="chance", value=0.5)
        return [mean_measurement("label_score", own, scores.clusters, _unit(scorer), place, chance, why)]
    other = [s.value if s else None for s, _ in scores.random]
    random = mean_measurement("", other, scores.clusters, _unit(scorer), {})
    baseline = Baseline(name="another latent's label", value=random.value, interval=random.interval)
    gains = [None if a is None or b is None else a - b for a, b in zip(own, other, strict=True)]
    return [
        mean_measurement("label_score", own, scores.clusters, _unit(scorer), place, baseline, why),
        mean_measurement(
            "label_gain",
            gains,
            scores.clusters,
            f"difference of {_unit(scorer)}",
            place,
            Baseline(name="none", value=0.0),
            why,
        ),
    ]


def _shares(scores: Scores, threshold: float, place: Labels) -> list[Measurement]:
    """Share of latents above the threshold, with random labels' share beside it and taken from it."""
    own = [None if s is None else float(s.value >= threshold) for s, _ in scores.own]
    note = f"score of at least {threshold:g}"
    if scores.random is None:
        return [rate_measurement("labelled_share", own, scores.clusters, labels=place, note=note)]
    other = [None if s is None else float(s.value >= threshold) for s, _ in scores.random]
    random = rate_measurement("", other, scores.clusters)
    baseline = Baseline(name="another latent's label", value=random.value, interval=random.interval)
    return [
        rate_measurement("labelled_share", own, scores.clusters, labels=place, note=note, baseline=baseline),
        difference_measurement("labelled_gain", other, own, scores.clusters, labels=place, note=note),
    ]


def _classified(rows: Sequence[Row], explainer: str, scorer: str, place: Labels) -> list[Measurement]:
    if scorer not in ("detection", "fuzzing"):
        return []
    own = [r for r in rows if (r["explainer"], r["scorer"], r["label"]) == (explainer, scorer, OWN)]
    pairs, clusters = [classified(r) for r in own], [r["cluster"] for r in own]
    why = next((str(r["reason"]) for r in own if "reason" in r), "")
    return [
        mean_measurement(name, [p and p[i] for p in pairs], clusters, "share", place, chance, why)
        for i, (name, chance) in enumerate((
            ("label_accuracy", Baseline(name="chance", value=0.5)),
            ("label_f1", Baseline(name="calling every window active", value=2 / 3)),
        ))
    ]  # fmt: skip


def mean_measurement(
    name: str, values: Sequence[float | None], clusters: Sequence[str], unit: str, labels: Labels,
    baseline: Baseline | None = None, why: str = "",
) -> Measurement:  # fmt: skip
    """Mean over latents with a t interval, cut at what is possible; unmeasured ones are counted as for rates.

    Shares that do not vary at all get Wilson's interval instead, as a t interval would have no width.
    """
    known = [(value, cluster) for value, cluster in zip(values, clusters, strict=True) if value is not None]
    missing = len(values) - len(known)
    reason = unmeasured_reason(missing, len(values), MOST_UNREAD)
    if reason:
        full = f"{reason}: {why}" if why else reason
        return Measurement(name=name, value=None, unit=unit, n=0, unmeasured=missing, reason=full, labels=labels)
    numbers, groups = [value for value, _ in known], [cluster for _, cluster in known]
    estimate = clustered_mean(numbers, groups)
    if estimate.interval is None and unit in ("AUC", "share"):
        estimate = clustered_rate(numbers, groups)
    return Measurement(
        name=name, value=estimate.value, unit=unit, interval=_possible(estimate.interval, unit), n=estimate.n,
        unmeasured=missing, labels=labels, baseline=baseline,
    )  # fmt: skip


def _possible(interval: Interval | None, unit: str) -> Interval | None:
    """A mean score is not beyond 1, wherever its t interval ends; differences of scores keep theirs."""
    least = {"r": -1.0, "AUC": 0.0, "share": 0.0}.get(unit)
    if interval is None or least is None:
        return interval
    return make_interval(max(interval.low, least), min(interval.high, 1.0), interval.level, interval.method)


def beyond(name: str, here: Measurement, there: Measurement, labels: Labels) -> Measurement:
    """Difference of two rates or means of different latents: the intervals' squared distances add up (Newcombe 1998)."""
    unit = "points" if here.unit == "share" else f"difference of {here.unit}"
    if here.value is None or there.value is None:
        reason = here.reason or there.reason
        return Measurement(name=name, value=None, unit=unit, n=0, reason=reason, labels=labels)
    value = here.value - there.value
    interval = here.interval and there.interval and _newcombe(here.value, here.interval, there.value, there.interval)
    return Measurement(
        name=name, value=value, unit=unit, interval=interval or None, n=here.n + there.n, labels=labels,
        baseline=Baseline(name="none", value=0.0),
    )  # fmt: skip


def _newcombe(p: float, first: Interval, q: float, second: Interval) -> Interval | None:
    low = p - q - math.hypot(p - first.low, second.high - q)
    high = p - q + math.hypot(first.high - p, q - second.low)
    return make_interval(low, high, first.level, "Newcombe's method 10")


def usual(said: Sequence[bool]) -> Baseline:
    """What always saying the commoner answer agrees with."""
    share = sum(said) / len(said) if said else 0.0
    return Baseline(name="always the commoner verdict", value=max(share, 1 - share) if said else None)


def _unit(scorer: str) -> str:
    return "r" if scorer == "simulation" else "AUC"
