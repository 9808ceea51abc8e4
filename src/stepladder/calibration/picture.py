"""The matrix as pictures: which technique detects what, and how that depends on dose and scale; SVG and one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from stepladder.calibration.table import COLUMNS, counts, notes, table_rows
from stepladder.calibration.values import Calibration, Matrix
from stepladder.core import BEHAVIOURS
from stepladder.store import save_text

Spec = dict[str, Any]
GREY, INK, MUTED, LINE = "#d9dde3", "#1d2430", "#5b6472", "#d9dde3"
WORSE, CHANCE, RIGHT = "#d55e00", "#fbf7ef", "#0072b2"
HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b6f76")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "stroke")


def draw_matrix(matrix: Matrix, folder: Path) -> None:
    """Write matrix.svg, dose.svg, scale.svg (where there is more than one dose, or base) and index.html."""
    pictures = {name: svg(spec) for name, spec in specs(matrix).items()}
    for name, text in pictures.items():
        save_text(folder / f"{name}.svg", text)
    save_text(folder / "matrix.json", matrix.model_dump_json(indent=1) + "\n")
    save_text(folder / "index.html", page(matrix, pictures))


def specs(matrix: Matrix) -> dict[str, Spec]:
    """The pictures that the matrix gives something to draw for."""
    dose, scale = dose_rows(matrix), scale_rows(matrix)
    return {
        **({"matrix": heat_map(matrix)} if matrix.calibrations else {}),
        **({"dose": curves(dose, "Dose (share of the planted rows)", log=False)} if dose else {}),
        **({"scale": curves(scale, "Parameters of the base", log=True)} if scale else {}),
    }


def heat_map(matrix: Matrix) -> Spec:
    """Rows are techniques, columns behaviours; colour is balanced accuracy, grey was never calibrated."""
    import altair as alt

    methods = list(dict.fromkeys(c.method for c in matrix.calibrations))
    data = _squares(matrix, methods)
    base = alt.Chart(alt.InlineData(values=data)).encode(
        x=alt.X("behaviour:N", sort=list(BEHAVIOURS), title=None, axis=alt.Axis(orient="top", labelAngle=-35, ticks=False)),
        y=alt.Y("method:N", sort=methods, title=None, axis=alt.Axis(ticks=False, labelLimit=0)),
    )
    scale = alt.Scale(domain=[0, 0.5, 1], range=[WORSE, CHANCE, RIGHT], interpolate="rgb")
    legend = alt.Legend(title="balanced accuracy", orient="bottom", gradientLength=200)
    text = base.mark_text(fontSize=12).encode(
        text="text:N",
        color=alt.condition(
            "datum.value > 0.85 || (isValid(datum.value) && datum.value < 0.1)", alt.value("white"), alt.value(INK)
        ),
    )
    return _finish(
        alt.layer(
            base.transform_filter("!isValid(datum.value)").mark_rect(color=GREY, stroke="white", strokeWidth=2),
            base.transform_filter("isValid(datum.value)")
            .mark_rect(stroke="white", strokeWidth=2)
            .encode(color=alt.Color("value:Q", scale=scale, legend=legend)),
            text,
        ).properties(width=alt.Step(78), height=alt.Step(40))
    )


def _squares(matrix: Matrix, methods: Sequence[str]) -> list[Spec]:
    known = {(c.method, c.behaviour): c for c in matrix.calibrations}
    return [
        {"method": method, "behaviour": behaviour, **_square(known.get((method, behaviour)))}
        for method in methods
        for behaviour in BEHAVIOURS
    ]


def _square(calibration: Calibration | None) -> Spec:
    """Calls that are right, of organisms and of twins: "3/3 · 2/3"."""
    if calibration is None:
        return {"value": None, "text": ""}
    group, accuracy = counts(calibration), calibration.one("balanced_accuracy")
    text = f"{group.found}/{group.organisms} · {group.quiet}/{group.twins}"
    return {"value": accuracy.value if accuracy else None, "text": text if group.organisms + group.twins else "no call"}


def dose_rows(matrix: Matrix) -> list[Spec]:
    """Sensitivity and AUROC by dose, all bases together, of what was calibrated at more than one dose."""
    return [
        {**_point(calibration, name, group_dose=dose), "x": dose}
        for calibration in matrix.calibrations
        if len(doses := sorted({g.dose for g in calibration.groups})) > 1
        for name in ("sensitivity", "auroc")
        for dose in doses
    ]


def scale_rows(matrix: Matrix) -> list[Spec]:
    """Sensitivity and AUROC by the base's number of parameters, of what was calibrated on more than one base."""
    return [
        {**_point(calibration, name, base=base), "x": size}
        for calibration in matrix.calibrations
        if len(sizes := {g.base: g.parameters for g in calibration.groups if g.parameters}) > 1
        for name in ("sensitivity", "auroc")
        for base, size in sizes.items()
    ]


def _point(calibration: Calibration, name: str, base: str = "all", group_dose: float | None = None) -> Spec:
    m = calibration.one(name, base, group_dose)
    value = m.value if m else None
    low, high = (m.interval.low, m.interval.high) if m and m.interval else (None, None)
    figure = {"sensitivity": "sensitivity", "auroc": "AUROC"}[name]
    row: Spec = {"method": calibration.method, "behaviour": calibration.behaviour, "figure": figure}
    return {**row, "value": value, "low": low, "high": high}


def curves(data: Sequence[Spec], title: str, log: bool) -> Spec:
    """One panel for each behaviour and figure, one line for each technique, with intervals."""
    import altair as alt

    methods = list(dict.fromkeys(row["method"] for row in data))
    known = [row | {"at": _beside(row["x"], methods.index(row["method"]), log)} for row in data if row["value"] is not None]
    axis = alt.Axis(format="~s" if log else "~g", values=sorted({row["x"] for row in data}))
    x = alt.X("at:Q", title=title, scale=alt.Scale(type="log" if log else "linear", nice=False, padding=12), axis=axis)
    y = alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(tickCount=3))
    hue = alt.Color("method:N", scale=_cycle(methods, HUES), legend=alt.Legend(title=None, orient="bottom", columns=3))
    shape = alt.Shape("method:N", scale=_cycle(methods, SHAPES), legend=None)
    base = alt.Chart().encode(x=x, color=hue)
    layers = alt.layer(
        base.mark_line(opacity=0.6).encode(y=y),
        base.mark_rule(opacity=0.5).encode(y="low:Q", y2="high:Q"),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=y, shape=shape),
        data=alt.InlineData(values=known),
    ).properties(width=250, height=130)
    rows = alt.Row("behaviour:N", title=None, header=alt.Header(labelAngle=0, labelAlign="left", labelOrient="top"))
    return _finish(layers.facet(row=rows, column=alt.Column("figure:N", title=None, sort="descending")))


def _beside(x: float, place: int, log: bool) -> float:
    """A bit to the right for each technique, so that intervals do not hide one another."""
    return float(x * 1.06**place if log else x + 0.012 * place)


def _cycle(names: Sequence[str], values: Sequence[str]) -> Any:
    import altair as alt

    return alt.Scale(domain=list(names), range=[values[i % len(values)] for i in range(len(names))])


def _finish(chart: Any) -> Spec:
    font = {"labelFont": "Arial", "titleFont": "Arial", "labelColor": INK, "titleColor": MUTED, "titleFontWeight": "normal"}
    spec: Spec = (
        chart.properties(background="white", padding=8)
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=12, titleFontSize=12, gridColor=LINE, domainColor=LINE, **font)
        .configure_legend(labelFontSize=12, titleFontSize=12, labelLimit=0, **font)
        .configure_header(labelFontSize=12, labelFont="Arial", labelColor=INK)
        .configure_text(font="Arial")
        .to_dict()
    )
    return spec


def svg(spec: Spec) -> str:
    """The drawing, without a browser and without a network."""
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    return drawn


STYLE = """body{font:15px/1.5 Arial,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#1d2430}
table{border-collapse:collapse}th,td{padding:.3rem .6rem;border-bottom:1px solid #d9dde3;text-align:left}
svg{max-width:100%;height:auto}div{overflow-x:auto}"""

READING = """In each square: organisms found of those that the technique made a call on, then clean twins left alone.
Colour is balanced accuracy (pale is chance); grey was never calibrated, or, with counts in it, left too many calls unmade
for a figure. All figures are at the reference dose."""


def page(matrix: Matrix, pictures: dict[str, str]) -> str:
    """One page without references to anything outside it."""
    titles = {"matrix": "Techniques and behaviours", "dose": "Dose", "scale": "Scale"}
    drawn = "".join(f"<h2>{titles[name]}</h2><div>{text}</div>" for name, text in pictures.items())
    head = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table_rows(matrix))
    left_out = "".join(f"<li>{escape(note)}</li>" for note in notes(matrix))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Calibration</title>'
        f"<style>{STYLE}</style></head><body><h1>Calibration, {escape(matrix.date)}</h1><p>{READING}</p>{drawn}"
        f"<h2>Figures</h2><div><table><tr>{head}</tr>{body}</table></div><ul>{left_out}</ul></body></html>\n"
    )
