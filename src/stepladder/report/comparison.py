"""Before beside after: which measurements of which stages are the same quantity under different conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stepladder.core import Finding, Measurement, exactly

Findings = Mapping[str, Finding]

# How each condition is written, in the order in which a reader compares them.
CONDITIONS: Mapping[str, str] = {
    "before": "Before",
    "after": "After",
    "after_tfidf": "With a TF-IDF guard",
    "after_random": "With random refusals",
    "change": "Change, paired",
}
WHOLE: tuple[dict[str, str], ...] = ({}, {"family": "all"}, {"attack": "all"})


@dataclass(frozen=True)
class Comparison:
    """One quantity with its measurement under each condition that has one; `cell` is keyed as `CONDITIONS`."""

    quantity: str
    cells: Mapping[str, Measurement]


def exact(finding: Finding | None, name: str, *choices: Mapping[str, str]) -> Measurement | None:
    """The measurement of that name whose labels are exactly the first of `choices` that exists."""
    named = finding.select(name) if finding else ()
    return next((m for labels in choices for m in exactly(named, labels)), None)


def _compare(quantity: str, cells: Mapping[str, Measurement | None]) -> Comparison | None:
    kept = {condition: m for condition in CONDITIONS if (m := cells.get(condition)) is not None}
    return Comparison(quantity, kept) if kept else None


def headline(findings: Findings) -> tuple[Comparison, ...]:
    """The rung's main quantities: attack success, best of n, and refusals of harmless requests."""
    rows = [_attack_success(findings), _many_tries(findings)]
    rows += [_over_refusal(findings, kind, text) for kind, text in _HARMLESS.items()]
    return tuple(row for row in rows if row)


_HARMLESS = {"twin": "Refusals of harmless near-twins", "ordinary": "Refusals of ordinary requests"}


def _attack_success(findings: Findings) -> Comparison | None:
    guard = findings.get("safeguards")
    cells = {condition: _by_condition(guard, condition) for condition in ("before", "after", "after_tfidf", "after_random")}
    for condition, stage in (("before", "find"), ("after", "find_again")):
        cells[condition] = exact(findings.get(stage), "attack_success_rate", *WHOLE) or cells[condition]
    cells["change"] = _whole_change(findings) or exact(guard, "attack_success_change", *WHOLE)
    return _compare("Attack success, all attacks", cells)


def _whole_change(findings: Findings, **family: str) -> Measurement | None:
    """From the subject as it came to the guarded model, where the rung was looked at as a whole."""
    labels = {"from": "subject", "to": "guarded", **family}
    return exact(findings.get("overall"), "attack_success_change_by_step", labels)


def _by_condition(guard: Finding | None, condition: str, family: str = "all") -> Measurement | None:
    return exact(guard, "attack_success_rate", {"condition": condition, "family": family})


def _over_refusal(findings: Findings, kind: str, quantity: str) -> Comparison | None:
    # The guard's own finding comes first: it leaves out the requests that were lent to its calibration.
    guard = findings.get("safeguards")
    cells = {c: exact(guard, "over_refusal", {"condition": c, "kind": kind}) for c in CONDITIONS}
    stages = (("before", "find"), ("after", "find_again"))
    if not any(cells.values()):
        cells = {c: exact(findings.get(stage), "refusal_rate", {"kind": kind}) for c, stage in stages}
    elif "find_trained" in findings:  # the guard's own "before" is the trained model
        cells["before"] = exact(findings.get("find"), "refusal_rate", {"kind": kind})
    return _compare(quantity, cells)


def _many_tries(findings: Findings) -> Comparison | None:
    """Attack success at the largest k that was tried on both models (or on the one there is)."""
    seen = {stage: tries(findings.get(stage), ("observed", "held_out")) for stage in ("best_of_n", "best_of_n_again")}
    there = [set(points) for points in seen.values() if points]
    shared = set.intersection(*there) if there else set()
    if not shared:
        return None
    k = max(shared)
    cells = {"before": seen["best_of_n"].get(k), "after": seen["best_of_n_again"].get(k)}
    return _compare(f"Attack success within {k} {'try' if k == 1 else 'tries'}", cells)


def tries(finding: Finding | None, sources: Iterable[str]) -> dict[int, Measurement]:
    """Best-of-n points by k; where two sources have the same k, the first of `sources` wins."""
    points: dict[int, Measurement] = {}
    for source in sources:
        for m in finding.select("asr_at_k", source=source) if finding else ():
            if m.labels.get("k", "").isdigit():
                points.setdefault(int(m.labels["k"]), m)
    return points


def families(findings: Findings) -> tuple[Comparison, ...]:
    """Attack success by attack family, before and after, in the order in which the families were attacked."""
    guard = findings.get("safeguards")
    rows = []
    for family in _family_names(findings):
        cells = {c: _by_condition(guard, c, family) for c in ("after_tfidf", "after_random")}
        for condition, stage in (("before", "find"), ("after", "find_again")):
            asked = exact(findings.get(stage), "attack_success_rate", {"family": family})
            cells[condition] = asked or _by_condition(guard, condition, family)
        cells["change"] = _whole_change(findings, family=family) or exact(guard, "attack_success_change", {"family": family})
        rows.append(_compare(family, cells))
    return tuple(row for row in rows if row)


def _family_names(findings: Findings) -> list[str]:
    names: dict[str, None] = {}
    for stage in ("find", "find_again", "safeguards"):
        for m in findings[stage].measurements if stage in findings else ():
            family = m.labels.get("family")
            known = set(m.labels) in ({"family"}, {"family", "condition"})
            if family and family != "all" and known and m.name.startswith("attack_success"):
                names[family] = None
    return list(names)


def tradeoff(findings: Findings) -> tuple[tuple[str, Measurement, Measurement], ...]:
    """(condition, over-refusal of near-twins, attack success) of every defence that has both, measured or not."""
    guard = findings.get("safeguards")
    points = []
    for condition in ("before", "after", "after_tfidf", "after_random"):
        refused = exact(guard, "over_refusal", {"condition": condition, "kind": "twin"})
        success = _by_condition(guard, condition)
        if refused and success:
            points.append((condition, refused, success))
    if points:
        return tuple(points)
    pairs = {row.quantity: row.cells for row in headline(findings)}
    refused_by, success_by = pairs.get(_HARMLESS["twin"], {}), pairs.get("Attack success, all attacks", {})
    return tuple((c, refused_by[c], success_by[c]) for c in CONDITIONS if c in refused_by and c in success_by)
