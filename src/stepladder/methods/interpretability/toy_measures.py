"""What toy models of superposition should come to, in closed form where there is one, and how what was trained compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepladder.core import Baseline, Measurement
from stepladder.stats import clustered_mean, rate_measurement

TOLERANCE = 0.05
"""How near a dimensionality has to be to the published one."""
CLEAR = 1.25
"""A cell of the phase diagram counts where the best phase's closed-form loss is below the next one's by this factor."""


@dataclass(frozen=True)
class Polytope:
    """So many features of equal importance in so many dimensions, and the dimensionality that each then has."""

    features: int
    hidden: int
    density: float
    published: float


POLYTOPES = {
    "tetrahedron": Polytope(4, 3, 0.6, 3 / 4),
    "triangle": Polytope(3, 2, 0.65, 2 / 3),
    "antipodal pairs": Polytope(6, 3, 0.2, 1 / 2),
    "pentagon": Polytope(5, 2, 0.1, 2 / 5),
    "square antiprism": Polytope(8, 3, 0.1, 3 / 8),
}
"""The polytopes of the paper's figure on feature dimensionality, each at a density where it is the best of many starts."""


def phase(first: float, second: float) -> str:
    """Which of two features one dimension holds, from their weights: "first", "second", "antipodal", "merged" or "none"."""
    held = abs(first) > 0.5, abs(second) > 0.5
    if all(held):
        return "antipodal" if first * second < 0 else "merged"
    return "first" if held[0] else "second" if held[1] else "none"


def phase_losses(density: float, importance: float) -> dict[str, float]:
    """Expected loss of each way to put two features, of importance 1 and `importance`, into one dimension.

    A feature that is not represented is foretold by its mean: its variance p/3 - p^2/4 is lost. Antipodal features disturb
    each other only when both are active: each then loses min(x1, x2)^2, whose expectation is p^2/6.
    """
    missed = density / 3 - density**2 / 4
    return {"first": importance * missed, "second": missed, "antipodal": (1 + importance) * density**2 / 6}


def boundary(importance: float) -> float:
    """Density below which the antipodal pair is better than the more important feature alone: 4 r / (2 + 5 r), r <= 1."""
    r = min(importance, 1 / importance)
    return 4 * r / (2 + 5 * r)


def measurements(data: Mapping[str, Any]) -> list[Measurement]:
    """All measurements of one record's data."""
    return [
        *_capacity(data["capacity"]), *_curve(data["curve"]), *_phases(data["phases"]), *_polytopes(data["polytopes"]),
        *_recovery(data["recovery"]),
    ]  # fmt: skip


def _mean(
    name: str, values: Sequence[float | None], units: Sequence[int], unit: str, labels: Mapping[str, str],
    baseline: Baseline | None, note: str = "",
) -> Measurement:  # fmt: skip
    known = [(value, place) for value, place in zip(values, units, strict=True) if value is not None]
    missing = len(values) - len(known)
    if not known:
        reason = f"no value in any of {len(values)} units"
        return Measurement(name=name, value=None, unit=unit, n=0, unmeasured=missing, reason=reason, labels=dict(labels))
    found = clustered_mean([value for value, _ in known], [place for _, place in known])
    return Measurement(
        name=name, value=found.value, unit=unit, interval=found.interval, n=found.n, unmeasured=missing,
        labels=dict(labels), baseline=baseline, note=note,
    )  # fmt: skip


def _capacity(rows: Sequence[Mapping[str, Any]]) -> list[Measurement]:
    found = []
    for place in dict.fromkeys((row["model"], row["density"]) for row in rows):
        part = [row for row in rows if (row["model"], row["density"]) == place]
        linear = [row for row in rows if (row["model"], row["density"]) == ("linear", place[1])]
        labels = {"model": place[0], "density": f"{place[1]:g}"}
        for name, unit in (("represented", "features"), ("on_top", "share"), ("interference", "squared cosine")):
            values = [row[name] for row in linear if row[name] is not None]
            chance = Baseline(name="the linear model", value=sum(values) / len(values) if values else None)
            units = [row["unit"] for row in part]
            found.append(_mean(_NAMES[name], [row[name] for row in part], units, unit, labels, chance))
    return found


_NAMES = {"represented": "features_represented", "on_top": "weight_on_most_important", "interference": "interference"}


def _curve(rows: Sequence[Mapping[str, Any]]) -> list[Measurement]:
    found = []
    for density in dict.fromkeys(row["density"] for row in rows):
        part = [row for row in rows if row["density"] == density]
        one = Baseline(name="a dimension for each feature", value=1.0)
        values, units = [row["per_dimension"] for row in part], [row["unit"] for row in part]
        found.append(_mean("features_per_dimension", values, units, "features", {"density": f"{density:g}"}, one))
    return found


def _phases(rows: Sequence[Mapping[str, Any]]) -> list[Measurement]:
    """Share of antipodal units by cell, and how many clear cells have the closed form's phase in most units."""
    found, right, expected = [], [], []
    for place in dict.fromkeys((row["density"], row["importance"]) for row in rows):
        part = [row for row in rows if (row["density"], row["importance"]) == place]
        losses = sorted(phase_losses(*place).items(), key=lambda item: item[1])
        labels = {"density": f"{place[0]:g}", "importance": f"{place[1]:g}"}
        closed = Baseline(name="closed form", value=float(losses[0][0] == "antipodal"))
        antipodal, units = [float(row["phase"] == "antipodal") for row in part], [row["unit"] for row in part]
        found.append(rate_measurement("antipodal", antipodal, units, baseline=closed, labels=labels))
        if losses[1][1] > CLEAR * losses[0][1]:
            expected.append(losses[0][0])
            right.append(float(sum(row["phase"] == losses[0][0] for row in part) > len(part) / 2))
    commonest = max(expected.count(name) for name in set(expected)) / len(expected)
    chance = Baseline(name="the commonest phase everywhere", value=commonest)
    note = f"cells whose best phase is ahead by a factor of {CLEAR}; the unit is a cell"
    return [*found, rate_measurement("phase_agreement", right, range(len(right)), baseline=chance, note=note)]


def _polytopes(rows: Sequence[Mapping[str, Any]]) -> list[Measurement]:
    """Share of features near the published dimensionality, and how far they are from it on average."""
    found = []
    for name, shape in POLYTOPES.items():
        part = [row for row in rows if row["polytope"] == name]
        labels = {"polytope": name, "published": f"{shape.published:.3f}"}
        units = [row["unit"] for row in part for _ in row["dimensionality"]]

        def near(column: str, part: Sequence[Mapping[str, Any]] = part, at: float = shape.published) -> list[float]:
            return [float(abs(value - at) <= TOLERANCE) for row in part for value in row[column]]

        random = near("random")
        chance = Baseline(name="random directions", value=sum(random) / len(random))
        found.append(
            rate_measurement("at_published_dimensionality", near("dimensionality"), units, baseline=chance, labels=labels)
        )
        values, plain = (
            [abs(value - shape.published) for row in part for value in row[column]]
            for column in ("dimensionality", "random")
        )
        mean = Baseline(name="random directions", value=sum(plain) / len(plain))
        found.append(_mean("distance_to_published", values, units, "dimensions", labels, mean))
    return found


def _recovery(rows: Sequence[Mapping[str, Any]]) -> list[Measurement]:
    """How near the dictionary's latents come to the toy's features, matched one to one."""
    units = [row["unit"] for row in rows]
    found = []
    for name, column in (("recovery_cosine", "cosine"), ("features_recovered", "share")):
        random = [row["random"][column] for row in rows]
        chance = Baseline(name="as many random latents", value=sum(random) / len(random))
        values = [row["found"][column] for row in rows]
        note = f"{sum(row['features'] for row in rows) / len(rows):.1f} features a toy on average"
        if column == "share":
            found.append(rate_measurement(name, values, units, baseline=chance, note=note + "; a cosine above 0.9 counts"))
        else:
            found.append(_mean(name, values, units, "cosine", {}, chance, note))
    return found
