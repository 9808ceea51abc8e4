"""Pictures as Vega-Lite specifications, drawn to SVG without a browser.

Each chart is drawn twice, wide and narrow, at the size at which it is shown, so that its text is as large as the page's.
Colours are Okabe and Ito's, told apart by shape as well; the style sheet maps them to their dark-mode twins by value
(`PALETTE`), which is why every colour used here is one of that table. Legends are the page's own.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stepladder.core import Measurement
from stepladder.report.comparison import Comparison, tries
from stepladder.report.document import OutcomeCount
from stepladder.report.escape import visible
from stepladder.report.numbers import family_words, full_text

Spec = dict[str, Any]
WIDE, HALF, NARROW = 840, 460, 348
LABEL_COLUMNS = 22

# name: (light, dark)
PALETTE: Mapping[str, tuple[str, str]] = {
    "ink": ("#1d2430", "#e6e9ee"),
    "muted": ("#5b6472", "#a3adba"),
    "line": ("#d9dde3", "#39424e"),
    "before": ("#d55e00", "#f08a3c"),
    "after": ("#0072b2", "#56b4e9"),
    "tfidf": ("#009e73", "#3fc79f"),
    "random": ("#6b6f76", "#9aa3ae"),
    "complied": ("#d55e01", "#e8772a"),
    "partial": ("#e69f00", "#e9b13b"),
    "off-topic": ("#cfd4da", "#6d7683"),
    "other": ("#b9a7c9", "#8d7aa0"),
    "refused": ("#56b4e8", "#4aa3d6"),
    "blocked": ("#0072b1", "#1f6fa8"),
    "unmeasured": ("#9a9a9b", "#9a9a9b"),
}
CONDITION_STYLE: Mapping[str, tuple[str, str]] = {
    "before": ("before", "circle"),
    "after": ("after", "square"),
    "after_tfidf": ("tfidf", "triangle-up"),
    "after_random": ("random", "diamond"),
}


def colour(name: str) -> str:
    """The light-mode colour by its name in `PALETTE`."""
    return PALETTE[name][0]


def draw(spec: Spec, name: str) -> str:
    """SVG of a specification; ids inside carry `name`, so that several drawings can share a page."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    svg = re.sub(r'\b(id="|url\(#)', rf"\g<1>{name}-", svg)
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def short(name: str) -> str:
    """A family's name for an axis, at most `LABEL_COLUMNS` wide (Vega's own cutting splits surrogate pairs and fails)."""
    kept, columns = "", 0
    for char in visible(family_words(name)).replace("\n", " ").replace("\t", " "):
        columns += 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if columns > LABEL_COLUMNS:
            return kept + "…"
        kept += char
    return kept


def rows(comparisons: Iterable[Comparison], conditions: Sequence[str]) -> list[Spec]:
    """One row per quantity and condition with value, interval and the baseline: the data of the forest plots."""
    return [
        {"group": short(c.quantity), "condition": condition, **_point(c.cells[condition])}
        for c in comparisons
        for condition in conditions
        if condition in c.cells
    ]


def _point(m: Measurement) -> Spec:
    low, high = (m.interval.low, m.interval.high) if m.interval else (None, None)
    baseline = m.baseline.value if m.baseline else None
    return {"value": m.value, "low": low, "high": high, "n": m.n, "baseline": baseline, "text": visible(full_text(m))}


def forest(data: Sequence[Spec], title: str, width: int) -> Spec:
    """Dot and interval per group and condition; an unmeasured one is written out where its dot would be."""
    import altair as alt

    groups = list(dict.fromkeys(row["group"] for row in data))
    here = list(dict.fromkeys(row["condition"] for row in data))
    y = alt.Y("group:N", sort=groups, title=None, axis=alt.Axis(grid=True, ticks=False, domain=False, labelLimit=0))
    offset = alt.YOffset("condition:N", sort=here, scale=alt.Scale(paddingOuter=0.35))
    x = alt.X("value:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=_percent_axis(width))
    base = alt.Chart(_inline(data)).encode(y=y, yOffset=offset)
    known = base.transform_filter("isValid(datum.value)")
    return _finish(
        alt.layer(
            base.transform_filter("isValid(datum.baseline)")
            .mark_tick(color=colour("muted"), thickness=2, size=13)
            .encode(x="baseline:Q"),
            known.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q"), x2="high:Q", color=_hue(here)),
            known.mark_point(filled=True, size=95, opacity=1).encode(x=x, color=_hue(here), shape=_shape(here)),
            base.transform_filter("!isValid(datum.value)")
            .mark_text(align="left", dx=4, fontStyle="italic", color=colour("muted"), text="unmeasured")
            .encode(x=alt.datum(0)),
        ).properties(width=width, height=alt.Step(17, **{"for": "offset"})),
        fit="fit-x",
    )


def tradeoff(points: Sequence[tuple[str, Measurement, Measurement]], width: int) -> Spec:
    """Attack success against over-refusal of near-twins, with both intervals; the lower left corner is the goal."""
    import altair as alt

    data = [_pair(*point) for point in points if point[1].value is not None and point[2].value is not None]
    here = [row["condition"] for row in data]
    x = alt.X("value:Q", title="Harmless near-twins refused", scale=_room(data, "value", "high"), axis=_few_percents())
    y = alt.Y("success:Q", title="Attack success", scale=_room(data, "success", "success_high"), axis=_few_percents())
    base = alt.Chart(_inline(data)).encode(color=_hue(here))
    return _finish(
        alt.layer(
            base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q", y="success:Q"),
            base.mark_rule(strokeWidth=2).encode(y="success_low:Q", y2="success_high:Q", x="value:Q"),
            base.mark_point(filled=True, size=150, opacity=1).encode(x=x, y=y, shape=_shape(here)),
        ).properties(width=min(width, 660), height=min(380, width))
    )


def _pair(condition: str, refused: Measurement, success: Measurement) -> Spec:
    up = _point(success)
    return {
        "condition": condition,
        **_point(refused),
        "success": up["value"],
        "success_low": up["low"],
        "success_high": up["high"],
        "success_text": up["text"],
    }


def best_of_n_data(stages: Mapping[str, Any]) -> list[Spec]:
    """One row per k, source and condition of the best-of-n stages' `asr_at_k`."""
    return [
        {"k": k, "source": source, "condition": condition, **_point(m)}
        for condition, stage in (("before", "best_of_n"), ("after", "best_of_n_again"))
        for source in ("observed", "forecast", "held_out")
        for k, m in sorted(tries(stages.get(stage), (source,)).items())
    ]


def best_of_n(data: Sequence[Spec], width: int) -> Spec:
    """Attack success within k tries: observed, the forecast with its band, and what held-out larger k gave."""
    import altair as alt

    known = [row for row in data if row["value"] is not None]
    here = list(dict.fromkeys(row["condition"] for row in known))
    ticks = _log_ticks(sorted({row["k"] for row in known}), width)
    x = alt.X(
        "k:Q", title="Tries per request, k", scale=alt.Scale(type="log", nice=False), axis=alt.Axis(values=ticks, format="d")
    )
    y = alt.Y("value:Q", title="Attack success", scale=alt.Scale(domain=[0, 1]), axis=_few_percents())
    base = alt.Chart(_inline(known)).encode(x=x, color=_hue(here))
    forecast = base.transform_filter("datum.source == 'forecast'")
    seen = base.transform_filter("datum.source != 'forecast'")
    return _finish(
        alt.layer(
            forecast.mark_area(opacity=0.16).encode(y="low:Q", y2="high:Q", fill=_hue(here, alt.Fill)),
            forecast.mark_line(strokeDash=[6, 4], strokeWidth=2).encode(y=y),
            seen.mark_rule(strokeWidth=2).encode(y="low:Q", y2="high:Q"),
            base.transform_filter("datum.source == 'observed'")
            .mark_point(filled=True, size=85, opacity=1)
            .encode(y="value:Q", shape=_shape(here)),
            base.transform_filter("datum.source == 'held_out'")
            .mark_point(filled=False, size=130, strokeWidth=2.2, opacity=1)
            .encode(y="value:Q", shape=_shape(here)),
        ).properties(width=width, height=min(360, width))
    )


def outcome_bars(counts: Sequence[OutcomeCount], width: int) -> Spec:
    """Stacked shares of all answers by outcome, one bar per family; they add up to 1 with the unmeasured among them."""
    import altair as alt

    from stepladder.report.document import OUTCOMES

    data: list[Spec] = [
        {"family": short(row.family), "outcome": outcome, "order": order, "count": row.counts[outcome]}
        | {"share": row.counts[outcome] / sum(row.counts.values())}
        for row in counts
        for order, outcome in enumerate(OUTCOMES)
        if row.counts.get(outcome)
    ]
    families = list(dict.fromkeys(row["family"] for row in data))
    here = [o for o in OUTCOMES if any(row["outcome"] == o for row in data)]
    bars = (
        alt.Chart(_inline(data))
        .mark_bar(height=17)
        .encode(
            y=alt.Y("family:N", sort=families, title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=0)),
            x=alt.X(
                "share:Q", title="Share of answers", stack="zero", scale=alt.Scale(domain=[0, 1]), axis=_percent_axis(width)
            ),
            color=alt.Color("outcome:N", scale=_scale(here, [colour(o.replace("_", "-")) for o in here]), legend=None),
            order="order:Q",
        )
    )
    return _finish(bars.properties(width=width, height=alt.Step(25)), fit="fit-x")


def _log_ticks(ks: Sequence[int], width: int) -> list[int]:
    room = max(2, width // 55)
    return list(ks) if len(ks) <= room else [k for k in ks if (k & (k - 1)) == 0][:: 1 + len(ks) // (2 * room)]


def _percent_axis(width: int) -> Any:
    import altair as alt

    return alt.Axis(format="%", values=[0, 0.5, 1] if width <= NARROW else [0, 0.25, 0.5, 0.75, 1])


def _few_percents() -> Any:
    import altair as alt

    return alt.Axis(format="%", tickCount=5)


def _room(data: Sequence[Spec], value: str, high: str) -> Any:
    """A scale from 0 to the next tenth above the largest interval."""
    import altair as alt

    top = max((row[high] if row[high] is not None else row[value] for row in data), default=1.0)
    return alt.Scale(domain=[0, min(1.0, max(0.2, math.ceil(10 * top) / 10))])


def _scale(domain: Sequence[str], values: Sequence[str]) -> Any:
    import altair as alt

    return alt.Scale(domain=list(domain), range=list(values))


def _hue(here: Sequence[str], channel: Any = None) -> Any:
    import altair as alt

    colours = [colour(CONDITION_STYLE[c][0]) for c in here]
    return (channel or alt.Color)("condition:N", scale=_scale(here, colours), legend=None)


def _shape(here: Sequence[str]) -> Any:
    import altair as alt

    return alt.Shape("condition:N", scale=_scale(here, [CONDITION_STYLE[c][1] for c in here]), legend=None)


def _inline(rows: Sequence[Spec]) -> Any:
    import altair as alt

    return alt.InlineData(values=list(rows))


def _finish(chart: Any, fit: str = "fit") -> Spec:
    font = {
        "labelFontSize": 14,
        "titleFontSize": 14,
        "labelFont": "Arial",
        "titleFont": "Arial",
        "titleFontWeight": "normal",
    }
    ink = {"labelColor": colour("ink"), "titleColor": colour("muted"), "gridColor": colour("line")}
    edges = {"domainColor": colour("line"), "tickColor": colour("line")}
    spec: Spec = (
        chart.properties(autosize={"type": fit, "contains": "padding"}, background="transparent", padding=4)
        .configure_view(stroke=None)
        .configure_text(font="Arial", fontSize=14)
        .configure_axis(**font, **ink, **edges)
        .to_dict()
    )
    return spec


def describe(title: str, data: Sequence[Spec], key: str) -> str:
    """The chart in words, every value with its interval and n: its text alternative."""
    lines = [f"{row[key]}, {row['condition'].replace('_', ' ')}: {row['text']}" for row in data]
    return f"{title}. " + "; ".join(lines) + "."
