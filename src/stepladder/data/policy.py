"""Release policy: a file of gates, each a bound on the interval of one named measurement.

The policy only says what is asked. Whether a gate opens is decided where the findings are; a gate whose measurement is
missing or unmeasured does not open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stepladder.data.files import HEADER, SHIPPED, Node, check_version, read_yaml

BOUNDS = ("upper", "lower")


@dataclass(frozen=True)
class Gate:
    """Opens if the `bound` end of the measurement's interval is at most (upper) or at least (lower) `limit`.

    `method` names the technique whose measurement is meant, where several give one of that name.
    """

    name: str
    measurement: str
    bound: str
    limit: float
    labels: Mapping[str, str]
    why: str = ""
    method: str = ""


@dataclass(frozen=True)
class ReleasePolicy:
    """All gates of a release; every one of them has to open."""

    title: str
    licence: str
    gates: tuple[Gate, ...]


def load_policy(path: Path | None = None) -> ReleasePolicy:
    """The policy in the YAML file `path`, or the shipped one; raises `DataError`."""
    fields = read_yaml(path or SHIPPED / "policy.yaml").mapping([*HEADER, "gates"])
    check_version(fields)
    gates: dict[str, Gate] = {}
    for node in fields["gates"].items():
        gate = _gate(node)
        if gate.name in gates:
            raise node.error(f"gate {gate.name!r} is given twice")
        gates[gate.name] = gate
    return ReleasePolicy(fields["title"].text(), fields["licence"].text(), tuple(gates.values()))


def _gate(node: Node) -> Gate:
    fields = node.mapping(["name", "measurement", "bound", "limit"], ["labels", "why", "method"])
    labels = fields["labels"].entries() if "labels" in fields else {}
    return Gate(
        name=fields["name"].text(),
        measurement=fields["measurement"].text(),
        bound=fields["bound"].choice(BOUNDS),
        limit=fields["limit"].number(),
        labels={name: value.text() for name, value in labels.items()},
        why=fields["why"].text() if "why" in fields else "",
        method=fields["method"].text() if "method" in fields else "",
    )
