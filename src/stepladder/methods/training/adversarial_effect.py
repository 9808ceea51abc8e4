"""What adversarial training changed, from a record and the verdicts on it. Everything here is pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stepladder.core import Baseline, Measurement, Record, Verdict
from stepladder.judges import judge_errors
from stepladder.methods.training import capability, outcomes
from stepladder.methods.training.outcomes import UNTRAINED, Compared, Row, where

CONDITIONS = ("before", "after", "system_prompt", "direct_only")
ATTACKED = ("held_out", "trained", "direct")
HARMLESS = ("twin", "wrapped_twin", "ordinary")
PLAIN = "training on direct requests only"


def measurements(record: Record, verdicts: Sequence[Verdict]) -> Iterator[Measurement]:
    """Attack success, refusals of harmless requests, capability, rounds, and what training took."""
    rows = [row for row in outcomes.rows_of(record, verdicts) if row.tag("condition") in CONDITIONS]
    errors = judge_errors(outcomes.judge_name(verdicts))
    compared = Compared(rows, CONDITIONS, "direct_only", PLAIN)
    for part in _parts(rows):
        yield from compared.lines("attack_success", outcomes.success, part, errors)
    for kind in HARMLESS:
        yield from compared.lines("over_refusal", outcomes.refused, {"kind": kind})
    if not record.artifacts:
        reason = f"nothing was trained: {record.data['stopped']}"
        yield Measurement(name="attack_success_change", value=None, unit="points", n=0, reason=reason)
    yield from capability.measurements(record.data["capability"], "direct_only", PLAIN)
    yield from _rounds(record, verdicts)
    yield from _spent(record)


def examples(record: Record, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """To read first: held-out attacks that still get through, harmless requests that are refused now, then refusals."""
    after = where(outcomes.rows_of(record, verdicts), condition="after")
    through = [row for row in after if row.tag("role") in ATTACKED and row.success]
    refused = [row for row in after if row.tag("kind") in HARMLESS and row.refusal]
    stopped = [row for row in after if row.tag("role") in ATTACKED and row.refusal]
    return tuple(row.exchange.id for group in (through, refused, stopped) for row in group[:3])


def _parts(rows: Sequence[Row]) -> Iterator[dict[str, str]]:
    """Whole roles first, then each family in its role."""
    attacked = [row for row in rows if row.tag("role") in ATTACKED]
    yield from ({"role": role} for role in ATTACKED if where(attacked, role=role))
    families = {(row.tag("role"), row.tag("family")) for row in attacked if row.tag("role") != "direct"}
    yield from ({"role": role, "family": family} for role, family in sorted(families))


def _rounds(record: Record, verdicts: Sequence[Verdict]) -> Iterator[Measurement]:
    """Success of the validation families after each round that was kept; round 0 is before training."""
    rows = [row for row in outcomes.rows_of(record, verdicts) if row.tag("condition").startswith("round_")]
    first = outcomes.share_baseline(UNTRAINED, where(rows, condition="round_0"), outcomes.success)
    for condition in dict.fromkeys(row.tag("condition") for row in rows):
        labels = {"round": condition.removeprefix("round_")}
        base = None if condition == "round_0" else first
        yield outcomes.rate("validation_success", where(rows, condition=condition), outcomes.success, labels, base)


def _spent(record: Record) -> Iterator[Measurement]:
    """Tokens read and written in training, and attacks found, by round."""
    base = Baseline(name=PLAIN, value=float(record.data["direct_only_tokens"]))
    kept = [entry for entry in record.data["rounds"] if entry["kept"]]
    total, rows = sum(e["tokens"] for e in kept), sum(e["refusals"] + e["benign"] for e in kept)
    yield Measurement(name="tokens_trained", value=float(total), unit="tokens", n=rows, baseline=base, note="n: rows")
    for entry in record.data["rounds"]:
        labels = {"round": str(entry["round"])}
        yield Measurement(name="finds", value=float(entry["finds"]), unit="attacks", n=entry["finds"], labels=labels)
