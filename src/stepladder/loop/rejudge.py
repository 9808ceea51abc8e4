"""Judge a stored record again: what another judge makes of the same answers, and which verdicts flip.

The subject is not asked. What is judged may be a record of the store or an Inspect log of anyone's. (How often a judge
agrees with people is measured by `python -m stepladder.judges.calibrate`.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from stepladder.core import Access, ChatModel, Finding, Measurement, Record, Value, Verdict
from stepladder.judges import SUCCESS, get_judge, run_judge
from stepladder.models import open_model
from stepladder.stats import cohen_kappa
from stepladder.store import Store


class Flip(Value):
    """One exchange on which the two judges part."""

    exchange: str
    before: str
    after: str


class Rejudgement(Value):
    """Two judges on one record. `counts` holds, for each pair of outcomes, how many exchanges had it."""

    record: str
    judge: str
    against: str
    agreement: Measurement
    counts: Mapping[str, int]
    flips: tuple[Flip, ...]
    finding: Finding | None = None


def rejudge(store: Store, wanted: str, judge: str, against: str, labels: Path | None = None) -> Rejudgement:
    """Judge the record `wanted` by `judge` and by `against`, each `NAME` or `NAME@MODEL`."""
    record = store.load_record(wanted)
    new = _verdicts(store, record, judge, labels)
    old = _verdicts(store, record, against, labels)
    flips = [
        Flip(exchange=b.exchange, before=outcome(a), after=outcome(b))
        for a, b in zip(old, new, strict=True)
        if outcome(a) != outcome(b)
    ]
    return Rejudgement(
        record=record.key,
        judge=judge,
        against=against,
        agreement=agreement(old, new),
        counts=dict(Counter(f"{outcome(a)} -> {outcome(b)}" for a, b in zip(old, new, strict=True))),
        flips=tuple(flips),
        finding=_finding(record, new),
    )


def outcome(verdict: Verdict) -> str:
    """Success, no success, or unmeasured."""
    if verdict.value is None:
        return "unmeasured"
    return "success" if verdict.value >= SUCCESS else "no success"


def agreement(old: Sequence[Verdict], new: Sequence[Verdict]) -> Measurement:
    """Cohen's kappa on the exchanges that both could judge; the rest are unmeasured."""
    both = [(outcome(a), outcome(b)) for a, b in zip(old, new, strict=True) if a.value is not None and b.value is not None]
    missing = len(old) - len(both)
    estimate = cohen_kappa([a for a, _ in both], [b for _, b in both]) if len(both) > 1 else None
    if estimate is None:
        why = "undefined: fewer than two judged by both, or both judges give one label throughout"
        return Measurement(name="kappa", value=None, unit="kappa", n=len(both), unmeasured=missing, reason=why)
    return Measurement(
        name="kappa", value=estimate.value, unit="kappa", interval=estimate.interval, n=estimate.n, unmeasured=missing
    )


def _verdicts(store: Store, record: Record, judge: str, labels: Path | None) -> tuple[Verdict, ...]:
    name, _, model = judge.partition("@")
    return run_judge(get_judge(name), record, store, _reader(model or record.subject, bool(model)), labels)


def _reader(name: str, wanted: bool) -> ChatModel | None:
    """The model that a judge reads by: the one named, else the record's subject where that gives logprobs."""
    from stepladder.core import StepladderError

    try:
        model = open_model(name)
    except StepladderError:
        if wanted:
            raise
        return None  # the subject of an old or foreign record need not be here; judges that need none still run
    return model if wanted or model.access >= Access.logprobs else None


def _finding(record: Record, verdicts: Sequence[Verdict]) -> Finding | None:
    from stepladder.methods import CATALOGUE

    method = next((m for m in CATALOGUE if m.name == record.method), None)
    return method.judge(record, verdicts, method.config(**_tuples(record.config))) if method else None


def _tuples(config: Mapping[str, object]) -> dict[str, object]:
    """JSON has lists where a frozen config has tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
