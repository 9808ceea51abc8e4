"""What the battery reports of a set: rates, changes against the base, framing gap, order bias, capability."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from stepladder.core import Baseline, Exchange, Measurement, Verdict
from stepladder.data import ChoiceItem, ChoiceSet
from stepladder.judges import judge_errors
from stepladder.methods.evaluation.battery_free_text import READABLE, chosen
from stepladder.methods.evaluation.battery_reading import Logps
from stepladder.methods.evaluation.battery_scoring import Scored, first_place, scored
from stepladder.stats import clustered_mean, difference_measurement, rate_measurement
from stepladder.stats.measurement import unmeasured_reason

CAPABILITY = "capability"
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
    sets: Sequence[ChoiceSet], exchanges: Sequence[Exchange], verdicts: Sequence[Verdict]
) -> Iterator[Measurement]:
    """Share of short answers that show the behaviour; requests are read by the judge, all others by the plain rule."""
    judged = {verdict.exchange: verdict.value for verdict in verdicts}
    errors = judge_errors(verdicts[0].judge) if verdicts else None
    replies = {exchange.id: exchange for exchange in exchanges}
    for part in sets:
        asked = [(item, replies[key]) for item in part.items if (key := f"{part.name}/{item.id}") in replies]
        if part.format not in READABLE or not asked:
            continue
        judged_set = bool(asked[0][0].request)
        values = [judged.get(e.id) if item.request else _shown(item, e) for item, e in asked]
        yield rate_measurement(
            CAPABILITY if part.name == CAPABILITY else "behaviour_rate", values, [item.id for item, _ in asked],
            labels={"behaviour": part.name, "form": "free_text"}, errors=errors if judged_set else None,
            baseline=None if judged_set else Baseline(name="chance", value=_chance(part)),
            note="read by the judge" if judged_set else part.shows,
        )  # fmt: skip


def _shown(item: ChoiceItem, exchange: Exchange) -> float | None:
    """Whether a reply shows the behaviour; `None` where the rule cannot read it."""
    framing = item.framings[int(exchange.metadata["framing"] or 0)]
    given = None if exchange.reply.text is None else chosen(exchange.reply.text, framing.answers)
    return None if given is None else float(given in framing.shows)
