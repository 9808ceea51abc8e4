"""What the pages of the training techniques share: measuring once, tables, and two kinds of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stepladder.core import Finding, Measurement, Method
from stepladder.execution import Budget, Progress
from stepladder.loop import measure, open_bench
from stepladder.report import charts
from stepladder.store import open_store

PAGES = Path(__file__).resolve().parents[1] / "methods"
COLOURS = ("after", "before", "tfidf", "partial", "random", "refused", "other")
"""Names in the report's palette, in the order in which series take them."""
FONT = {"labelFont": "Arial", "titleFont": "Arial", "labelFontSize": 13, "titleFontSize": 13, "titleFontWeight": "normal"}


def finding(method: Method, store: str | None) -> Finding:
    """Measured on SmolLM2 with the default configuration in `store`, or read from the page's own file."""
    seen = PAGES / f"{method.name}.json"
    if store:
        with open_store(Path(store), Progress(), Budget()) as opened:
            bench = open_bench(opened, "smollm2", "refusal_patterns", None, seed=0)
            seen.write_text(measure(bench, method).finding.to_json() + "\n", "utf-8")
    return Finding.from_json(seen.read_text("utf-8"))


def shown(m: Measurement, percent: bool = True, sign: bool = False) -> str:
    """A value with its interval, or why there is none."""
    if m.value is None:
        return f"unmeasured: {m.reason}"
    scale, digits = (100, 0) if percent else (1, 2)
    end = f".{digits}f"
    ends = f" [{scale * m.interval.low:{end}}, {scale * m.interval.high:{end}}]" if m.interval else ", no interval"
    return f"{scale * m.value:{'+' if sign else ''}{end}}{'%' if percent and not sign else ''}{ends}"


def table(head: str, rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; `head` is cut at its bars."""
    columns = head.split("|")
    return "\n".join(f"|{'|'.join(row)}|" for row in (columns, ["---"] * len(columns), *rows)) + "\n"


def write(name: str, text: str) -> None:
    """The page's own include."""
    (PAGES / f"_seen_{name}.md").write_text(text, "utf-8")


def draw(chart: Any, name: str) -> None:
    """A picture beside the page."""
    spec = (
        chart.configure(background="white", padding=6)
        .configure_view(stroke=None)
        .configure_axis(**FONT, gridColor=charts.colour("line"), domainColor=charts.colour("line"))
        .configure_legend(**FONT)
        .configure_title(font="Arial", fontSize=13, fontWeight="normal")
        .to_dict()
    )
    (PAGES / f"{name}.svg").write_text(charts.draw(spec, name), "utf-8")


def point(m: Measurement, **labels: Any) -> dict[str, Any]:
    """A measurement as a row of a picture."""
    low, high = (m.interval.low, m.interval.high) if m.interval else (None, None)
    return {"value": m.value, "low": low, "high": high, **labels}


def dots(rows: Sequence[dict[str, Any]], title: str, width: int = 520) -> Any:
    """Dot and interval for each `group`, one line of it per `series`; unmeasured ones are left out."""
    import altair as alt

    rows = [row for row in rows if row["value"] is not None]
    series, groups = _order(rows, "series"), _order(rows, "group")
    base = alt.Chart(alt.InlineData(values=list(rows))).encode(
        y=alt.Y("group:N", sort=groups, title=None), yOffset=alt.YOffset("series:N", sort=series), color=_hue(series)
    )
    shape = alt.Shape("series:N", scale=alt.Scale(domain=series), title=None)
    dot = base.mark_point(filled=True, size=80, opacity=1).encode(x=alt.X("value:Q", title=title), shape=shape)
    line = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    return alt.layer(line, dot).properties(width=width, height=alt.Step(17, **{"for": "offset"}))


def lines(rows: Sequence[dict[str, Any]], x: str, y: str, title: str = "", width: int = 300) -> Any:
    """Curves of `value` over `x`, one for each `series`, with their intervals as bands."""
    import altair as alt

    series = _order(rows, "series")
    base = alt.Chart(alt.InlineData(values=list(rows)), title=title).encode(x=alt.X("x:Q", title=x), color=_hue(series))
    band = base.mark_area(opacity=0.12).encode(y="low:Q", y2="high:Q")
    curve = base.mark_line(strokeWidth=2).encode(
        y=alt.Y("value:Q", title=y), strokeDash=alt.StrokeDash("series:N", scale=alt.Scale(domain=series), title=None)
    )
    return alt.layer(band, curve).properties(width=width, height=260)


def _order(rows: Sequence[dict[str, Any]], field: str) -> list[str]:
    return list(dict.fromkeys(row[field] for row in rows))


def _hue(series: Sequence[str]) -> Any:
    import altair as alt

    values = [charts.colour(name) for name in COLOURS[: len(series)]]
    legend = alt.Legend(symbolOpacity=1, symbolStrokeWidth=2, labelLimit=0)
    return alt.Color("series:N", scale=alt.Scale(domain=list(series), range=values), title=None, legend=legend)
