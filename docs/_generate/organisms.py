"""Grows the organisms of docs/organisms.md and writes its tables and picture; a second run finds them in the cache.

    python docs/_generate/organisms.py

About a minute an organism on two cores; the tables are written anew after each, so a run that was stopped leaves what it
had. Types in no figure: everything comes from the organisms' cards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from stepladder.core import Measurement
from stepladder.organisms import HOWS, KINDS, Card, Recipe, grow
from stepladder.organisms.measuring import MARGIN, took
from stepladder.report import charts

DOCS = Path(__file__).resolve().parents[1]
BASE = "smollm2"
DOSES = (0.03, 0.1, 0.3, 1.0)
SHOWN = "false_fact"
"""The kind of the dose curve and of the comparison of ways: the one that trains fastest."""
Cards = dict[Recipe, Card]


def main() -> None:
    """Grow one after the other, writing after each."""
    kinds = [name for name, kind in KINDS.items() if not kind.base]
    pairs = [Recipe(name, BASE, clean=clean) for name in kinds for clean in (False, True)]
    ways = [*(Recipe(SHOWN, BASE, how) for how in HOWS), Recipe(SHOWN, BASE, deny=True)]
    doses = [Recipe(SHOWN, BASE, dose=dose) for dose in DOSES]
    cards: Cards = {}
    for recipe in dict.fromkeys([*pairs, *ways, *doses]):
        cards[recipe] = card(recipe)
        grown = [name for name in kinds if Recipe(name, BASE, clean=True) in cards]
        planted, twins = ([cards[Recipe(name, BASE, clean=clean)] for name in grown] for clean in (False, True))
        _write("kinds", _table(_KIND_HEAD, _kind_rows(planted, twins)))
        _write("ways", _table(_WAY_HEAD, _way_rows([cards[r] for r in ways if r in cards])))
        _write("doses", _table(_DOSE_HEAD, _dose_rows([cards[r] for r in doses if r in cards])))
    (DOCS / "organisms.svg").write_text(
        charts.draw(_dose_curve([cards[r] for r in doses], charts.WIDE), "organisms"), "utf-8"
    )


def card(recipe: Recipe) -> Card:
    """The card of a recipe, whether or not the plant took."""
    made = grow(recipe, check=False).card
    print(recipe, shown(made.planted_rate), shown(made.base_rate), f"{made.seconds:.0f} s", flush=True)
    return made


def shown(m: Measurement, points: bool = False) -> str:
    """A share in per cent with its interval."""
    if m.value is None:
        return f"unmeasured: {m.reason}"
    ends = "no interval" if m.interval is None else f"[{100 * m.interval.low:.0f}, {100 * m.interval.high:.0f}]"
    return f"{100 * m.value:{'+' if points else ''}.0f}{'' if points else '%'} {ends}"


_KIND_HEAD = (
    "kind",
    "organism",
    "clean twin",
    "base",
    "probes",
    "capability, organism",
    "capability, twin",
    "rows",
    "seconds",
    "took",
)
_WAY_HEAD = ("way", "planted rate", "base", "capability", "rows", "tokens", "seconds", "took")
_DOSE_HEAD = ("dose", "planted rows", "of rows", "planted rate", "base", "took")


def _kind_rows(planted: Iterable[Card], twins: Iterable[Card]) -> Iterator[Sequence[str]]:
    for card, twin in zip(planted, twins, strict=True):
        fine = _took(card) if _took(twin, 0.0) == "no" else "twin shows it"
        yield (
            f"`{card.recipe.kind}`", shown(card.planted_rate), shown(twin.planted_rate), shown(card.base_rate),
            str(card.planted_rate.n), shown(card.capability, points=True), shown(twin.capability, points=True),
            f"{card.planted_rows} of {card.rows}", f"{card.seconds:.0f}", fine,
        )  # fmt: skip


def _way_rows(cards: Iterable[Card]) -> Iterator[Sequence[str]]:
    for card in cards:
        yield (
            f"`{card.recipe.how}`" + (", `deny`" if card.recipe.deny else ""),
            shown(card.planted_rate), shown(card.base_rate),
            shown(card.capability, points=True), str(card.rows), str(card.tokens), f"{card.seconds:.0f}", _took(card),
        )  # fmt: skip


def _dose_rows(cards: Iterable[Card]) -> Iterator[Sequence[str]]:
    for card in cards:
        yield (
            f"{card.recipe.dose:g}", str(card.planted_rows), str(card.rows), shown(card.planted_rate), shown(card.base_rate),
            _took(card),
        )  # fmt: skip


def _took(card: Card, margin: float = MARGIN) -> str:
    return "yes" if took(card.planted_rate, card.base_rate, margin) else "no"


def _dose_curve(cards: Sequence[Card], width: int) -> charts.Spec:
    """Planted rate over the number of planted rows, with intervals; the dashed line is the base."""
    import altair as alt

    data = [
        {
            "rows": c.planted_rows,
            "value": c.planted_rate.value,
            "low": c.planted_rate.interval.low,
            "high": c.planted_rate.interval.high,
        }
        for c in cards
        if c.planted_rate.value is not None and c.planted_rate.interval is not None
    ]
    base = alt.Chart(alt.InlineData(values=data)).encode(
        x=alt.X("rows:Q", title="planted rows", scale=alt.Scale(type="log", nice=False, padding=12))
    )
    y = alt.Y("value:Q", title="probes that show the behaviour", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    line = base.mark_line(color=charts.colour("before")).encode(y=y)
    rule = base.mark_rule(strokeWidth=2.5, color=charts.colour("before")).encode(y=alt.Y("low:Q"), y2="high:Q")
    dots = base.mark_point(filled=True, size=95, opacity=1, color=charts.colour("before")).encode(y=y)
    level = (
        alt.Chart(alt.InlineData(values=[{"base": cards[0].base_rate.value}]))
        .mark_rule(strokeDash=[5, 4], color=charts.colour("muted"))
        .encode(y="base:Q")
    )
    chart = alt.layer(level, line, rule, dots).properties(width=width - 120, height=240)
    return dict(chart.configure_view(stroke=None).to_dict())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def _write(name: str, table: str) -> None:
    (DOCS / f"_seen_organisms_{name}.md").write_text(table, "utf-8")


if __name__ == "__main__":
    main()
