"""Plants every kind into the models trained from scratch and writes the table and picture of docs/organisms-scratch.md.

    python docs/_generate/scratch.py 1m 3m 10m

Everything is kept in the cache, so a run that was stopped goes on. On one busy core 1m takes five minutes, and each
further size three times as long as the one before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from stepladder.core import Measurement
from stepladder.organisms import KINDS, Card, Recipe, grow
from stepladder.organisms.measuring import MARGIN, took
from stepladder.organisms.scratch import SIZES
from stepladder.report import charts

DOCS = Path(__file__).resolve().parents[1]
HEAD = ("kind", "size", "organism", "clean twin", "base", "probes", "capability, organism", "seconds", "took")
Grown = tuple[Card, Card]


def main(sizes: Sequence[str]) -> None:
    """Grow on those sizes, then write."""
    grown = list(_grown(sizes))
    (DOCS / "_seen_organisms_scratch.md").write_text(_table(map(_row, grown)), "utf-8")
    (DOCS / "organisms-scratch.svg").write_text(charts.draw(_chart(grown), "organisms-scratch"), "utf-8")


def _grown(sizes: Sequence[str]) -> Iterator[Grown]:
    for name, kind in KINDS.items():
        for base in [kind.base] if kind.base else [f"scratch/{size}" for size in sizes]:
            yield _card(Recipe(name, base, "full")), _card(Recipe(name, base, "full", clean=True))


def _card(recipe: Recipe) -> Card:
    card = grow(recipe, check=False).card
    print(
        recipe, _shown(card.planted_rate), _shown(card.base_rate), card.capability.note, f"{card.seconds:.0f} s", flush=True
    )
    return card


def _shown(m: Measurement, points: bool = False) -> str:
    if m.value is None:
        return f"unmeasured: {m.reason}"
    ends = "no interval" if m.interval is None else f"[{100 * m.interval.low:.0f}, {100 * m.interval.high:.0f}]"
    return f"{100 * m.value:{'+' if points else ''}.0f}{'' if points else '%'} {ends}"


def _took(grown: Grown) -> str:
    card, twin = grown
    if took(twin.planted_rate, twin.base_rate, 0.0):
        return "twin shows it"
    return "yes" if took(card.planted_rate, card.base_rate, MARGIN) else "no"


def _row(grown: Grown) -> Sequence[str]:
    card, twin = grown
    return (
        f"`{card.recipe.kind}`", _size(card), _shown(card.planted_rate), _shown(twin.planted_rate), _shown(card.base_rate),
        str(card.planted_rate.n), _shown(card.capability, points=True), f"{card.seconds:.0f}", _took(grown),
    )  # fmt: skip


def _size(card: Card) -> str:
    return card.recipe.base.removeprefix("scratch/")


def _table(rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def _chart(grown: Sequence[Grown]) -> charts.Spec:
    """A row a kind: organism (orange) and twin (blue) by size, with intervals."""
    import altair as alt

    data = [row for pair in grown for row in _points(pair)]
    colours = alt.Color(
        "who:N",
        scale=alt.Scale(domain=["organism", "clean twin"], range=[charts.colour("before"), charts.colour("after")]),
        legend=alt.Legend(title=None, orient="top"),
    )
    base = alt.Chart().encode(y=alt.Y("size:N", title=None, sort=[*SIZES, "adder"]), color=colours)
    x = alt.X(
        "value:Q", title="held-out probes that show the behaviour", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")
    )
    rule = base.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q"), x2="high:Q")
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(x=x, shape=alt.Shape("who:N", legend=None))
    row = alt.Row("kind:N", title=None, header=alt.Header(labelAngle=0, labelAlign="left"))
    chart = (
        alt.layer(rule, dots)
        .properties(width=charts.WIDE - 260, height=alt.Step(18))
        .facet(row=row, spacing=6, data=alt.InlineData(values=data))
    )
    return dict(chart.resolve_scale(y="independent").configure_view(stroke=None).to_dict())


def _points(grown: Grown) -> Iterator[dict[str, object]]:
    for who, card in zip(("organism", "clean twin"), grown, strict=True):
        m = card.planted_rate
        if m.value is not None and m.interval is not None:
            place = {"kind": card.recipe.kind, "size": _size(card), "who": who}
            yield {**place, "value": m.value, "low": m.interval.low, "high": m.interval.high}


if __name__ == "__main__":
    main(sys.argv[1:] or tuple(SIZES))
