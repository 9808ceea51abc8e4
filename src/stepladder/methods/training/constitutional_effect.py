"""What constitutional AI changed, from a record and the verdicts on it. Everything here is pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stepladder.core import Baseline, Measurement, Record, Verdict
from stepladder.judges import judge_errors
from stepladder.methods.training import capability, outcomes
from stepladder.methods.training.outcomes import Compared, where
from stepladder.stats import rate_measurement

CONDITIONS = ("before", "supervised", "after", "system_prompt")
HARMLESS = ("twin", "ordinary")
PLAIN = "the rules as a system prompt"


def measurements(record: Record, verdicts: Sequence[Verdict]) -> Iterator[Measurement]:
    """Harmless and helpful apart, capability, how good the AI's preferences were, and what training took."""
    compared = Compared(outcomes.rows_of(record, verdicts), CONDITIONS, "system_prompt", PLAIN)
    errors = judge_errors(outcomes.judge_name(verdicts))
    yield from compared.lines("harmful_compliance", outcomes.success, {"kind": "harmful"}, errors)
    for kind in HARMLESS:
        yield from compared.lines("helpful", outcomes.success, {"kind": kind}, errors)
        yield from compared.lines("over_refusal", outcomes.refused, {"kind": kind})
    yield from capability.measurements(record.data["capability"], "system_prompt", PLAIN)
    yield preference_agreement(record)
    yield from _spent(record)


def preference_agreement(record: Record) -> Measurement:
    """How often the AI preferred the reply that is known to be better; a pair without a preference is unmeasured."""
    known = [label for label in record.data["labels"] if label["known"] is not None]
    values = [None if label["first"] is None else float(label["first"] == label["known"]) for label in known]
    return rate_measurement(
        "preference_agreement", values, list(range(len(known))), unit="share of pairs",
        baseline=Baseline(name="guessing", value=0.5), max_unmeasured=0.5,
        note=f"{len(known)} of {len(record.data['labels'])} pairs have a reply that is known to be better",
    )  # fmt: skip


def examples(record: Record, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """To read first: harmful requests complied with after all, harmless ones refused now, then refusals."""
    after = where(outcomes.rows_of(record, verdicts), condition="after")
    through = [row for row in where(after, kind="harmful") if row.success]
    refused = [row for row in after if row.tag("kind") in HARMLESS and row.refusal]
    stopped = [row for row in where(after, kind="harmful") if row.refusal]
    return tuple(row.exchange.id for group in (through, refused, stopped) for row in group[:3])


def _spent(record: Record) -> Iterator[Measurement]:
    counts = record.data["counts"]
    rows = {"supervised": counts["revisions"] + counts["harmless"], "preferences": counts["pairs"] + counts["helpful"]}
    for stage, entry in record.data["training"].items():
        labels = {"stage": stage}
        base = Baseline(name=PLAIN, value=0.0)
        yield Measurement(
            name="tokens_trained", value=float(entry["tokens"]), unit="tokens", n=rows[stage], labels=labels, baseline=base,
            note="n: rows or pairs",
        )  # fmt: skip
