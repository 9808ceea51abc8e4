"""Release policy: gates on bounds of measurements decide, and a gate that cannot be measured does not open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stepladder.core import Finding, Measurement, exactly
from stepladder.data import Gate, ReleasePolicy


@dataclass(frozen=True)
class GateResult:
    """What one gate said. `passed` is `None` where there was nothing to decide on, which counts as not passed."""

    name: str
    passed: bool | None
    bound: str
    value: str
    reason: str


def check_policy(policy: ReleasePolicy, findings: Mapping[str, Finding]) -> tuple[GateResult, ...]:
    """One result per gate, in the policy's order."""
    return tuple(_check(gate, findings) for gate in policy.gates)


def _check(gate: Gate, findings: Mapping[str, Finding]) -> GateResult:
    asked = [finding for finding in findings.values() if gate.method in ("", finding.method)]
    found = [m for finding in asked for m in finding.select(gate.measurement, **gate.labels)]
    exact = exactly(found, gate.labels) or tuple(found)
    allowed = f"{gate.bound} bound {'<=' if gate.bound == 'upper' else '>='} {gate.limit:g}"
    if len(exact) != 1:
        return GateResult(gate.name, None, allowed, "unmeasured", f"{len(exact)} measurements match this gate; it needs one")
    return _compare(gate, exact[0], allowed)


def _compare(gate: Gate, measurement: Measurement, allowed: str) -> GateResult:
    if measurement.value is None or measurement.interval is None:
        why = measurement.reason or "no interval could be formed"
        return GateResult(gate.name, None, allowed, "unmeasured", why)
    bound = measurement.interval.high if gate.bound == "upper" else measurement.interval.low
    passed = bound <= gate.limit if gate.bound == "upper" else bound >= gate.limit
    value = f"{measurement.value:.3f} [{measurement.interval.low:.3f}, {measurement.interval.high:.3f}] n={measurement.n}"
    return GateResult(gate.name, passed, allowed, value, f"the {gate.bound} bound is {bound:.3f}")
