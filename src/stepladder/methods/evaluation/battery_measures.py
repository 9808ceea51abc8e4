"""What the battery reports of a set: rates, changes against the base, framing gap, order bias, capability."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from stepladder.core import Baseline, Measurement, Verdict
from stepladder.data import ChoiceItem, ChoiceSet
from stepladder.judges import judge_errors
from stepladder.methods.evaluation.battery_free_text import Answer, chosen, mentions
from stepladder.methods.evaluation.battery_reading import Logps
from stepladder.methods.evaluation.battery_scoring import Scored, first_place, scored
from stepladder.stats import clustered_mean, difference_measurement, rate_measurement
from stepladder.stats.measurement import unmeasured_reason

CAPABILITY = "capability"
RATED = {"battery", "anthropic_evals"}
"""Formats that are reported as rates of a behaviour; the others have scores of their own."""
Readings = Mapping[str, Mapping[str, Sequence[Logps]]]


@dataclass(frozen=True)
class Read:
    """What was read off the subject and, where there is one, off its base; `reason` says why nothing was."""

    reading: str
    subject: Readings
    base: Readings
    reason: str | None

    def of(self, part: ChoiceSet, base: bool = False) -> list[Scored]:
        """The set's items by the chosen reading."""
        return scored(part, (self.base if base else self.subject).get(self.reading, {}))


def mean_measurement(
    name: str,
    values: Sequence[float | None],
    clusters: Sequence[Hashable],
    *,
    unit: str,
    labels: Mapping[str, str],
    baseline: Baseline | None = None,
    note: str = "",
    level: float = 0.95,
) -> Measurement:
    """Mean of any numbers with a t interval over clusters; unmeasured rows are counted as in `rate_measurement`."""
    known = [(v, c) for v, c in zip(values, clusters, strict=True) if v is not None]
    missing = len(values) - len(known)
    reason = unmeasured_reason(missing, len(values), 0.2)
    estimate = None if reason else clustered_mean([v for v, _ in known], [c for _, c in known], level)
    return Measurement(
        name=name, unit=unit, labels=dict(labels), baseline=baseline, note=note, unmeasured=missing, reason=reason,
        value=estimate.value if estimate else None, interval=estimate.interval if estimate else None,
        n=len({c for _, c in known}),
    )  # fmt: skip


def set_measurements(part: ChoiceSet, read: Read) -> Iterator[Measurement]:
    """What log probabilities say of one set."""
    name = CAPABILITY if part.name == CAPABILITY else "behaviour_rate"
    labels = {"behaviour": part.name, "form": "logprob", "reading": read.reading}
    if read.reason:
        missing = len(part.items)
        yield Measurement(name=name, value=None, unit="share", n=0, unmeasured=missing, reason=read.reason, labels=labels)
        return
    if part.name == CAPABILITY:
        yield from _capability(part, read, labels)
        return
    rows = read.of(part)
    baseline = Baseline(name="chance", value=_chance(part))
    values = [row.value for row in rows]
    yield rate_measurement(name, values, _ids(rows), labels=labels, baseline=baseline, unit="probability", note=part.shows)
    yield from _framing_gap(part, rows)
    yield from _change("behaviour_change", part, values, [row.value for row in read.of(part, base=True)])


def _ids(rows: Sequence[Scored]) -> list[str]:
    return [row.item.id for row in rows]


def _chance(part: ChoiceSet) -> float:
    return fmean(len(f.shows) / len(f.answers) for item in part.items for f in item.framings)


def _framing_gap(part: ChoiceSet, rows: Sequence[Scored]) -> Iterator[Measurement]:
    """How much more the behaviour shows in the first wording than in the reversed one; with Yes and No, yes-saying."""
    pairs = [row for row in rows if len(row.odds) == 2]
    if pairs:
        second, first = [row.share(1) for row in pairs], [row.share(0) for row in pairs]
        yield difference_measurement(
            "framing_gap", second, first, _ids(pairs), labels={"behaviour": part.name},
            baseline=Baseline(name="no effect of the wording", value=0.0),
        )  # fmt: skip


def _change(
    name: str, part: ChoiceSet, values: Sequence[float | None], base: Sequence[float | None]
) -> Iterator[Measurement]:
    if base:
        ids = [item.id for item in part.items]
        yield difference_measurement(
            name, base, values, ids, labels={"behaviour": part.name}, baseline=Baseline(name="no change", value=0.0),
            note="subject minus base, paired by item",
        )  # fmt: skip


def _capability(part: ChoiceSet, read: Read, labels: Mapping[str, str]) -> Iterator[Measurement]:
    """Accuracy by each reading, and the order bias of those that list the answers."""
    prior = scored(part, read.subject.get("prior", {}))
    for reading, items in read.subject.items():
        rows = scored(part, items)
        if not rows or reading == "prior":
            continue
        choices = [row.choice for row in rows]
        baseline = _prior_baseline(prior) if reading == "open" and prior else Baseline(name="chance", value=_chance(part))
        own = {**labels, "reading": reading}
        yield rate_measurement(CAPABILITY, choices, _ids(rows), labels=own, baseline=baseline, note=part.shows)
    yield from _change(
        "capability_change", part, [row.choice for row in read.of(part)], [row.choice for row in read.of(part, base=True)]
    )


def _prior_baseline(prior: Sequence[Scored]) -> Baseline:
    found = rate_measurement("share", [row.choice for row in prior], _ids(prior))
    return Baseline(name="the same answers without the question", value=found.value, interval=found.interval)


def order_biases(sets: Sequence[ChoiceSet], read: Read) -> Iterator[Measurement]:
    """For each reading that lists the answers: log-odds by which the first place is preferred, over all items read so."""
    if read.reason:
        yield Measurement(name="order_bias", value=None, unit="log-odds", n=0, reason=read.reason)
        return
    known = {f"{part.name}/{item.id}" for part in sets for item in part.items}
    for reading in ("listed", "letters"):
        found = {key: rows for key, rows in read.subject.get(reading, {}).items() if key in known}
        values = [first_place(rows) for framings in found.values() for rows in framings]
        clusters = [key for key, framings in found.items() for _ in framings]
        if values:
            first = sum(value > 0 for value in values if value is not None)
            yield mean_measurement(
                "order_bias", values, clusters, unit="log-odds", labels={"reading": reading},
                baseline=Baseline(name="no preference", value=0.0),
                note=f"the first place is preferred in {first} of {len(values)} questions; averaged out elsewhere",
            )  # fmt: skip


def free_text_measurements(
    sets: Sequence[ChoiceSet], answers: Mapping[str, Answer], verdicts: Sequence[Verdict]
) -> Iterator[Measurement]:
    """Share of short answers that show the behaviour; requests are read by the judge, all others by the plain rule."""
    judged = {verdict.exchange: verdict.value for verdict in verdicts}
    errors = judge_errors(verdicts[0].judge) if verdicts else None
    for part in sets:
        by_judge = [item.id for item in part.items if item.request and f"{part.name}/{item.id}" in judged]
        by_rule = [item for item in part.items if f"{part.name}/{item.id}" in answers]
        labels = {"behaviour": part.name, "form": "free_text"}
        if by_judge:
            values = [judged[f"{part.name}/{name}"] for name in by_judge]
            yield rate_measurement(
                "behaviour_rate", values, by_judge, labels=labels, errors=errors, note="read by the judge"
            )
        elif by_rule:
            values = [_given(part, item, answers[f"{part.name}/{item.id}"]) for item in by_rule]
            # Of all the wrong answers that there are, an open question offers none: no chance level for capability.
            chance = None if part.name == CAPABILITY else Baseline(name="chance", value=_chance(part))
            yield rate_measurement(
                CAPABILITY if part.name == CAPABILITY else "behaviour_rate", values, [item.id for item in by_rule],
                labels=labels, baseline=chance, note=part.shows,
            )  # fmt: skip


def _given(part: ChoiceSet, item: ChoiceItem, answer: Answer) -> float | None:
    """Whether an answer shows the behaviour; `None` where the rule cannot read it."""
    framing, text = item.framings[int(answer["framing"] or 0)], answer["text"]
    if text is None:
        return None
    given = chosen(str(text), framing.answers)
    if given is None and part.name == CAPABILITY:
        return None if not str(text).strip() or mentions(str(text), framing.answers[framing.shows[0]]) else 0.0
    return None if given is None else float(given in framing.shows)
