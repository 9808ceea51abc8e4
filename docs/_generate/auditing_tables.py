"""Tables and pictures of the pages of the auditing techniques, from the rows that `auditing.py run` left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from stepladder.core import BEHAVIOURS
from stepladder.methods.auditing import investigator
from stepladder.report import charts
from stepladder.stats import auroc, clustered_rate

PAGES = Path(__file__).resolve().parents[1] / "methods"
Row = dict[str, Any]


BINS = (0.0, 0.02, 0.05, 0.1, 0.2, 1.0)


def draw(rows_of: Callable[[str], list[Row]], checked: Mapping[str, Sequence[tuple[float, bool, str]]]) -> None:
    """Tables and pictures of the pages; `checked` are confidences of kinds that the map never saw, and the truth."""
    rows = rows_of("investigator")
    (PAGES / "_seen_confidence.md").write_text(_confidence_table(checked), "utf-8")
    (PAGES / "_seen_investigator.md").write_text(_investigator_table(rows), "utf-8")
    pooled = rows_of("super_agent")
    (PAGES / "_seen_super_agent.md").write_text(_super_table(pooled), "utf-8")
    (PAGES / "_seen_evaluation_agent.md").write_text(_evaluation_table(rows_of("evaluation_agent")), "utf-8")
    (PAGES / "_seen_breadth_first_red_team.md").write_text(_region_table(rows_of("breadth_first_red_team")), "utf-8")
    _picture("investigator", [*_accuracies("investigator", rows)])
    _picture("super_agent", [*_accuracies("super_agent", pooled), *_single_accuracies(pooled)])


def _head(*names: str) -> list[str]:
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def _investigator_table(rows: Sequence[Row]) -> str:
    """Each organism: where the truth is ranked, its score, its score in the twin, and who saw it."""
    lines = [
        "| base, planted by | kind | rank of the truth | its score | in the clean twin | strongest strategy | seconds |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for row in (r for r in rows if not r["clean"]):
        truth = row["behaviour"]
        twin = _twin(rows, row)
        best = max(((e.get(truth) or -9.0, name) for name, e in row["evidence"].items()), default=(0.0, ""))
        cells = (
            f"{row['base']}, {row['how']}", f"`{row['kind']}`", str(_rank(row["scores"], truth)),
            _number(row["scores"][truth]), _number(twin["scores"][truth]) if twin else "not run",
            f"{best[1]} ({best[0]:+.1f})", f"{row['seconds']:.0f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n\n" + _summary(rows)


def _confidence_table(checked: Mapping[str, Sequence[tuple[float, bool, str]]]) -> str:
    """What was said beside what was so, in bins of the confidence; intervals are clustered by kind."""
    lines = _head("known of the model", "confidence said", "mean said", "was there", "model-behaviour pairs")
    for setting, cases in checked.items():
        for low, high in pairwise(BINS):
            inside = [(c, y, k) for c, y, k in cases if low <= c < high]
            if inside:
                said = sum(c for c, _, _ in inside) / len(inside)
                there = _rate([float(y) for _, y, _ in inside], [k for *_, k in inside])
                lines.append(f"| {setting} | {low:.0%} to {high:.0%} | {said:.1%} | {there} | {len(inside)} |")
    return "\n".join(lines) + "\n"


def _summary(rows: Sequence[Row]) -> str:
    """The same over all of them: top-1 and the AUROC of the truth's score between organism and twin."""
    lines = [
        "| base | organisms | truth ranked first | truth called | called in clean twins | AUROC, organism against twin |"
    ]
    lines.append("|---|---|---|---|---|---|")
    for base in sorted({row["base"] for row in rows}):
        part = [row for row in rows if row["base"] == base]
        planted, twins = [r for r in part if not r["clean"]], [r for r in part if r["clean"]]
        calls = [_called(r, r["behaviour"]) for r in planted]
        alarms = [_called(r, b) for r in twins for b in BEHAVIOURS]
        cells = (
            base, str(len(planted)), _rate([_first(r) for r in planted]), _rate(calls),
            _rate(alarms, [r["kind"] for r in twins for _ in BEHAVIOURS]), _area(planted, twins),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n\n" + _provenance(rows)


def _super_table(rows: Sequence[Row]) -> str:
    lines = [
        "| base | organisms | single investigation, truth first | pooled, truth first | chance |",
        "|---|---|---|---|---|",
    ]
    for base in sorted({row["base"] for row in rows}):
        planted = [r for r in rows if r["base"] == base and not r["clean"]]
        cells = (base, str(len(planted)), _rate(*_single(planted)), _rate([_first(r) for r in planted]), "10%")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n\n" + _summary(rows)


def _evaluation_table(rows: Sequence[Row]) -> str:
    """AUROC on the probes that chose nothing, of organism and twin against the same base."""
    lines = _head("base", "kind", "described as", "instrument", "organism against base", "clean twin against base")
    for row in (r for r in rows if not r["clean"]):
        twin = _twin(rows, row)
        area, clean = _ends(row, row["behaviour"]), _ends(twin, row["behaviour"]) if twin else "not run"
        lines.append(
            f"| {row['base']} | `{row['kind']}` | {BEHAVIOURS[row['behaviour']]} | {row['top']} | {area} | {clean} |"
        )
    return "\n".join(lines) + "\n\n" + _provenance(rows)


def _region_table(rows: Sequence[Row]) -> str:
    lines = _head("base", "kind", "region that differs most", "in the clean twin", "own region's score", "in the clean twin")
    for row in (r for r in rows if not r["clean"]):
        twin, truth = _twin(rows, row), row["behaviour"]
        clean = (twin["top"], _number(twin["scores"][truth])) if twin else ("not run", "not run")
        own = _number(row["scores"][truth])
        lines.append(f"| {row['base']} | `{row['kind']}` | {row['top']} | {clean[0]} | {own} | {clean[1]} |")
    return "\n".join(lines) + "\n\n" + _provenance(rows)


def _ends(row: Row, behaviour: str) -> str:
    value = row["scores"].get(behaviour)
    if value is None:
        return "unmeasured"
    ends = row["intervals"].get(behaviour)
    return f"{value:.2f}" + (f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else ", no interval")


def _provenance(rows: Sequence[Row]) -> str:
    seeds = ", ".join(map(str, sorted({row["seed"] for row in rows}))) or "none"
    return f"From `docs/_generate/auditing.py`, organisms of seeds {seeds}; 95% intervals.\n"


def _accuracies(name: str, rows: Sequence[Row]) -> Iterator[Row]:
    for base in sorted({row["base"] for row in rows}):
        planted = [r for r in rows if r["base"] == base and not r["clean"]]
        yield _bar(f"{name}, {base}", [_first(r) for r in planted])


def _single_accuracies(rows: Sequence[Row]) -> Iterator[Row]:
    for base in sorted({row["base"] for row in rows}):
        yield _bar(f"single, {base}", *_single([r for r in rows if r["base"] == base and not r["clean"]]))


def _bar(name: str, hits: Sequence[float], clusters: Sequence[str] | None = None) -> Row:
    estimate = clustered_rate(list(hits), clusters or range(len(hits)))
    ends = estimate.interval
    return {"name": name, "value": estimate.value, "low": ends.low if ends else None, "high": ends.high if ends else None}


def _picture(name: str, bars: Sequence[Row]) -> None:
    """Top-1 accuracy with intervals, chance as a rule."""
    import altair as alt

    if not bars:
        return
    x = alt.X("value:Q", title="organisms whose truth is ranked first", scale=alt.Scale(domain=[0, 1])).axis(format="%")
    data = alt.Data(values=list(bars))
    points = alt.Chart(data).mark_point(filled=True, size=70, color="#1f5fa8").encode(x=x, y=alt.Y("name:N", title=None))
    ranges = alt.Chart(data).mark_rule(color="#1f5fa8").encode(x="low:Q", x2="high:Q", y="name:N")
    chance = alt.Chart(alt.Data(values=[{"at": 0.1}])).mark_rule(strokeDash=[4, 4], color="#888").encode(x="at:Q")
    chart = (chance + ranges + points).properties(width=420, height=alt.Step(28))
    (PAGES / f"{name}.svg").write_text(charts.draw(chart.to_dict(), name), "utf-8")


def _twin(rows: Sequence[Row], row: Row) -> Row | None:
    same = ("base", "how", "kind", "seed")
    return next((r for r in rows if r["clean"] and all(r[k] == row[k] for k in same)), None)


def _rank(scores: Mapping[str, float | None], truth: str) -> int | str:
    mine = scores[truth]
    return "unmeasured" if mine is None else 1 + sum(s is not None and s > mine for s in scores.values())


def _first(row: Row) -> float:
    return float(row["top"] == row["behaviour"])


def _single(rows: Sequence[Row]) -> tuple[list[float], list[str]]:
    """Every single investigation's hit, clustered by organism."""
    pairs = [(float(_best(s) == r["behaviour"]), f"{r['kind']}/{r['seed']}") for r in rows for s in r["singles"]]
    return [hit for hit, _ in pairs], [cluster for _, cluster in pairs]


def _best(scores: Mapping[str, float | None]) -> str | None:
    known = {b: s for b, s in scores.items() if s is not None}
    return max(sorted(known), key=known.__getitem__) if known else None


def _called(row: Row, behaviour: str) -> float:
    return float((row["scores"][behaviour] or 0) > investigator.FOUND_FROM)


def _area(planted: Sequence[Row], twins: Sequence[Row]) -> str:
    pairs = [(r["scores"][r["behaviour"]], int(not r["clean"]), f"{r['kind']}/{r['seed']}") for r in (*planted, *twins)]
    known = [p for p in pairs if p[0] is not None]
    estimate = auroc([s for s, _, _ in known], [y for _, y, _ in known], clusters=[c for *_, c in known]) if known else None
    if estimate is None or estimate.interval is None:
        return "too few"
    return f"{estimate.value:.2f} [{estimate.interval.low:.2f}, {estimate.interval.high:.2f}]"


def _rate(hits: Sequence[float], clusters: Sequence[str] | None = None) -> str:
    if not hits:
        return "not run"
    estimate = clustered_rate(list(hits), clusters or range(len(hits)))
    if estimate.interval is None:
        return f"{sum(hits):g} of {len(hits)}"
    return f"{100 * estimate.value:.0f}% [{100 * estimate.interval.low:.0f}, {100 * estimate.interval.high:.0f}]"


def _number(value: float | None) -> str:
    return "unmeasured" if value is None else f"{value:+.1f}"
