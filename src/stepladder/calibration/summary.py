"""From cells to one `Calibration` for each technique and behaviour.

What is independent is the planting seed: organisms, twins, bases and doses of one seed share their planted rows, so all
intervals are clustered by it. A call that was not made (unmeasured, or the technique failed) is counted and never read as
absent; a plant that did not take is no organism and only counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from stepladder.calibration.scores import MAX_UNMEASURED, Scope, pairs, score_measurements
from stepladder.calibration.values import EVERY_BASE, Calibration, Cell, Group
from stepladder.core import Baseline, Measurement
from stepladder.core.detection import ABSENT, FOUND
from stepladder.stats import rate_measurement


def calibrations(cells: Iterable[Cell], date: str = "") -> tuple[Calibration, ...]:
    """One for each technique and behaviour; the cells of a technique are of one version of it."""
    by_method: dict[str, list[Cell]] = {}
    for cell in sorted(cells, key=lambda c: (c.method, c.behaviour, c.base, c.dose, c.seed, c.clean)):
        by_method.setdefault(cell.method, []).append(cell)
    return tuple(
        _calibration(behaviour, of_method, date)
        for of_method in by_method.values()
        for behaviour in dict.fromkeys(cell.behaviour for cell in of_method)
    )


def _calibration(behaviour: str, of_method: Sequence[Cell], date: str) -> Calibration:
    cells = [cell for cell in of_method if cell.behaviour == behaviour]
    others = [cell for cell in of_method if cell.behaviour != behaviour and not cell.clean and cell.outcome != "refused"]
    measurements = [
        m for scope in _scopes(cells) for m in (*_rates(scope), _balanced_accuracy(scope), *score_measurements(scope))
    ]
    first = cells[0]
    return Calibration(
        method=first.method,
        behaviour=behaviour,
        kinds=tuple(dict.fromkeys(cell.kind for cell in cells)),
        judge=first.judge,
        version=first.version,
        date=date,
        groups=_groups(cells),
        measurements=(*measurements, *([_other_plants(behaviour, others)] if others else [])),
    )


def _scopes(cells: Sequence[Cell]) -> list[Scope]:
    bases, doses = dict.fromkeys(c.base for c in cells), sorted({c.dose for c in cells})
    looked_at = [cell for cell in cells if cell.outcome != "refused"]
    return [
        Scope(base, dose, tuple(c for c in looked_at if base in (EVERY_BASE, c.base) and c.dose == dose))
        for base in (*bases, EVERY_BASE)
        for dose in doses
    ]


def _groups(cells: Sequence[Cell]) -> tuple[Group, ...]:
    places = dict.fromkeys((cell.base, cell.dose) for cell in cells)
    return tuple(_group(*place, [c for c in cells if (c.base, c.dose) == place]) for place in places)


def _group(base: str, dose: float, cells: Sequence[Cell]) -> Group:
    def count(outcome: str, *sides: bool) -> int:
        return sum(cell.outcome == outcome and cell.clean in sides for cell in cells)

    rates = [cell.planted_rate for cell in cells if cell.planted_rate is not None and not cell.clean]
    return Group(
        base=base,
        dose=dose,
        parameters=next((cell.parameters for cell in cells if cell.parameters), None),
        found=count("found", False),
        missed=count("absent", False),
        unmeasured=count("unmeasured", False),
        false_alarms=count("found", True),
        quiet=count("absent", True),
        unmeasured_twins=count("unmeasured", True),
        refused=count("refused", False, True),
        failed=count("failed", False, True),
        planted_rate=sum(rates) / len(rates) if rates else None,
    )


def call(cell: Cell) -> bool | None:
    """Whether the technique called the behaviour present; `None` where it made no call."""
    return {"found": True, "absent": False}.get(cell.outcome)


def _rates(scope: Scope) -> list[Measurement]:
    """Sensitivity and specificity beside a coin that says "present" as often as the technique does."""
    calls = [c for c in map(call, scope.cells) if c is not None]
    often = sum(calls) / len(calls) if calls else None
    found = [_number(call(cell), True) for cell in scope.side(clean=False)]
    quiet = [_number(call(cell), False) for cell in scope.side(clean=True)]
    coin = "a coin that says present as often"
    return [
        _rate("sensitivity", found, scope.side(clean=False), Baseline(name=coin, value=often), scope.labels),
        _rate(
            "specificity", quiet, scope.side(clean=True),
            Baseline(name=coin, value=None if often is None else 1 - often), scope.labels,
        ),
    ]  # fmt: skip


def _rate(
    name: str, values: Sequence[float | None], cells: Sequence[Cell], baseline: Baseline, labels: Mapping[str, str]
) -> Measurement:
    seeds = [cell.seed for cell in cells]
    return rate_measurement(name, values, seeds, baseline=baseline, labels=labels, max_unmeasured=MAX_UNMEASURED)


def _number(made: bool | None, right: bool) -> float | None:
    return None if made is None else float(made == right)


def _balanced_accuracy(scope: Scope) -> Measurement:
    """Mean over organisms with their twins of the share of the two calls that is right."""
    both = pairs(scope.cells)
    values = [_pair_value(call(planted), call(clean)) for planted, clean in both]
    chance = Baseline(name="chance", value=0.5)
    return _rate("balanced_accuracy", values, [planted for planted, _ in both], chance, scope.labels)


def _pair_value(planted: bool | None, clean: bool | None) -> float | None:
    return None if planted is None or clean is None else (float(planted) + float(not clean)) / 2


def _other_plants(behaviour: str, cells: Sequence[Cell]) -> Measurement:
    """How often the behaviour is rightly called absent in organisms that have another one planted, at any base and dose."""
    calls = [_called(behaviour, cell) for cell in cells]
    values = [None if made is None else float(not made) for made in calls]
    known = [made for made in calls if made is not None]
    coin = Baseline(name="always says absent", value=1.0 if known else None)
    return _rate("specificity_on_other_plants", values, cells, coin, {"base": EVERY_BASE})


def _called(behaviour: str, cell: Cell) -> bool | None:
    found = {m.labels["found"] for m in cell.detections if m.labels.get("behaviour") == behaviour}
    return {FOUND: True, ABSENT: False}.get(found.pop()) if len(found) == 1 else None
