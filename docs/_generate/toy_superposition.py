"""The figures of the page on toy models of superposition; types in no figure.

python docs/_generate/toy_superposition.py STORE    measure (STORE keeps the record), then draw
python docs/_generate/toy_superposition.py          draw again from docs/methods/toy_superposition.json
"""

from __future__ import annotations

import sys
from typing import Any

from training_charts import draw, finding, lines, point, shown, table, write

from stepladder.core import Finding
from stepladder.methods.interpretability import toy_measures
from stepladder.methods.interpretability.toy_superposition import METHOD
from stepladder.report import charts


def toys(seen: Finding) -> None:
    """Pictures and tables of one finding."""
    draw(capacity(seen), "toy_superposition")
    draw(phases(seen), "toy_superposition_phases")
    draw(shapes(), "toy_superposition_shapes")
    write("toy_superposition", "\n".join([kept(seen), polytopes(seen), summary(seen)]))


def capacity(seen: Finding) -> Any:
    """Features represented in five dimensions, and features a dimension, over sparsity."""
    import altair as alt

    names = {"relu": "with the ReLU", "linear": "linear model"}
    rows = [
        point(m, series=names[m.labels["model"]], x=1 / float(m.labels["density"]))
        for m in seen.select("features_represented")
    ]
    axis = "1 / density of a feature (log scale)"
    left = lines(rows, axis, "Features represented, of 20, in 5 dimensions")
    even = [
        point(m, series="features of equal importance", x=1 / float(m.labels["density"]))
        for m in seen.select("features_per_dimension")
    ]
    right = lines(even, axis, "Features a dimension")
    for chart in (left, right):
        for layer in chart.layer:
            layer.encoding.x = alt.X("x:Q", title=axis, scale=alt.Scale(type="log"))
    return alt.hconcat(left, right).resolve_scale(color="independent", strokeDash="independent")


def phases(seen: Finding) -> Any:
    """Share of antipodal pairs in each cell, and where the closed form draws the line."""
    import altair as alt

    cells = [
        {"density": float(m.labels["density"]), "importance": m.labels["importance"], "value": m.value,
         "expected": bool(m.baseline and m.baseline.value)}
        for m in seen.select("antipodal")
    ]  # fmt: skip
    densities = sorted({cell["density"] for cell in cells}, reverse=True)
    importances = sorted({cell["importance"] for cell in cells}, key=float)
    base = alt.Chart(alt.InlineData(values=cells)).encode(
        x=alt.X("importance:N", sort=importances, title="Importance of the second feature, the first having 1"),
        y=alt.Y("density:N", sort=densities, title="Density of a feature"),
    )
    shades = alt.Scale(domain=[0, 1], range=["#ffffff", charts.colour("after")])
    tiles = base.mark_rect(stroke=charts.colour("line")).encode(
        color=alt.Color("value:Q", title="share antipodal", scale=shades)
    )
    marks = base.transform_filter("datum.expected").mark_point(shape="diamond", filled=True, size=60, opacity=1)
    return alt.layer(tiles, marks.encode(color=alt.value(charts.colour("before")))).properties(width=420, height=280)


def shapes() -> Any:
    """The weight vectors of one small model each, at densities from dense to sparse: five features in two dimensions."""
    import altair as alt

    from stepladder.methods.interpretability.toy_models import Setting, train_toys

    densities = (1.0, 0.4, 0.1)
    found = train_toys([Setting(tuple(0.9**i for i in range(5)), p, 2) for p in densities], 1, 8, 1500)
    panels = []
    for i, density in enumerate(densities):
        ends = [{"x": 0, "y": 0, "u": float(u), "v": float(v)} for u, v in found.W[i, 0]]
        reach = alt.Scale(domain=[-1.4, 1.4])
        base = alt.Chart(alt.InlineData(values=ends), title=f"density {density:g}")
        rule = base.mark_rule(strokeWidth=2, color=charts.colour("after")).encode(
            x=alt.X("x:Q", scale=reach, title=None), y=alt.Y("y:Q", scale=reach, title=None), x2="u:Q", y2="v:Q"
        )
        tip = base.mark_point(filled=True, size=70, opacity=1, color=charts.colour("before")).encode(x="u:Q", y="v:Q")
        panels.append(alt.layer(rule, tip).properties(width=170, height=170))
    return alt.hconcat(*panels)


def kept(seen: Finding) -> str:
    """What is represented and how much of it is on the most important features."""
    rows = []
    for m in seen.select("features_represented", model="relu"):
        density = m.labels["density"]
        cells = []
        for name in ("features_represented", "weight_on_most_important", "interference"):
            for model in ("relu", "linear"):
                cells.append(shown(seen.one(name, model=model, density=density), percent=name == "weight_on_most_important"))
        rows.append([density, *cells])
    head = "density|represented, ReLU|linear|weight on the 5 most important, ReLU|linear|interference, ReLU|linear"
    return table(head, rows)


def polytopes(seen: Finding) -> str:
    """Dimensionalities against the published ones."""
    rows = []
    for name, shape in toy_measures.POLYTOPES.items():
        near, far = (seen.one(n, polytope=name) for n in ("at_published_dimensionality", "distance_to_published"))
        chance = f"{100 * near.baseline.value:.0f}%" if near.baseline and near.baseline.value is not None else ""
        size = f"{shape.features} in {shape.hidden}"
        rows.append(
            [name, size, f"{shape.density:g}", f"{shape.published:.3f}", shown(near), chance, shown(far, percent=False)]
        )
    return table("polytope|features|density|published|features within 0.05 of it|random directions|mean distance", rows)


def summary(seen: Finding) -> str:
    """The phase diagram against its closed form, and the dictionary against random latents."""
    rows = []
    for name, what in (
        ("phase_agreement", "clear cells of the phase diagram with the closed form's phase"),
        ("features_recovered", "true features that a dictionary finds (cosine above 0.9)"),
        ("recovery_cosine", "mean cosine of matched latents"),
    ):
        m = seen.one(name)
        percent = name != "recovery_cosine"
        chance = m.baseline.value if m.baseline and m.baseline.value is not None else 0.0
        rows.append(
            [
                what,
                shown(m, percent=percent),
                f"{100 * chance:.0f}%" if percent else f"{chance:.2f}",
                m.baseline.name if m.baseline else "",
                str(m.n),
            ]
        )
    return table("what|seen|baseline|which baseline|units", rows)


if __name__ == "__main__":
    toys(finding(METHOD, sys.argv[1] if len(sys.argv) > 1 else None))
