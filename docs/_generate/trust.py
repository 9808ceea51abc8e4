"""The curves of the page on trust: what it takes to notice a bad helper, and how trust falls up a chain.

python docs/_generate/trust.py runs/demo/report.json
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import altair as alt

from stepladder.core import Finding, Measurement
from stepladder.loop.bad_helpers import error_after_flips, labels_for_width, labels_to_notice
from stepladder.loop.trust import Channel, chain_trust, channel
from stepladder.report import Report, charts, read_report

DOCS = Path(__file__).resolve().parents[1]
FLIPS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)
USUAL = (0.01, 0.05, 0.1)
HALF_WIDTH, RATE, POOL = 0.03, 0.5, 2000
RUNGS = 6


def main(path: Path) -> None:
    """Write two pictures and two tables."""
    report = read_report(path)
    _draw("trust_labels", _labels_chart())
    _draw("trust_chain", _chain_chart(report))
    (DOCS / "_seen_trust_labels.md").write_text(_labels_table(), "utf-8")
    (DOCS / "_seen_trust_helpers.md").write_text(_helpers_table(report), "utf-8")


def _draw(name: str, chart: alt.Chart | alt.LayerChart) -> None:
    (DOCS / f"{name}.svg").write_text(charts.draw(chart.to_dict(), name), "utf-8")


def _labels_chart() -> alt.LayerChart:
    """Human labels against q: to notice it at three usual errors, and for an interval of set width."""
    rows = [
        {"q": q, "labels": n, "what": f"notice it, usual error {usual:.0%}"}
        for usual in USUAL for q in FLIPS if (n := labels_to_notice(q, usual))
    ]  # fmt: skip
    rows += [
        {"q": q, "labels": n, "what": f"interval of ±{100 * HALF_WIDTH:.0f} points, usual error 5%"}
        for q in FLIPS if (n := labels_for_width(RATE, error_after_flips(0.05, q), HALF_WIDTH, POOL))
    ]  # fmt: skip
    x = alt.X("q:Q", scale=alt.Scale(type="log"), title="Share of verdicts flipped, q", axis=alt.Axis(format="%"))
    y = alt.Y("labels:Q", scale=alt.Scale(type="log"), title="Human labels needed")
    what = alt.Color("what:N", title=None, legend=alt.Legend(orient="bottom", columns=1, labelLimit=400))
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=what)
    return alt.layer(base.mark_line(), base.mark_point(filled=True)).properties(width=620, height=340)


def _chain_chart(report: Report) -> alt.LayerChart:
    """Trust against rungs, if every rung's helper were like the one measured, with the interval."""
    link = _link(report)
    rows = []
    for k in range(1, RUNGS + 1):
        trust = chain_trust([link] * k)
        assert trust.interval is not None
        rows.append({"rungs": k, "trust": trust.value, "low": trust.interval.low, "high": trust.interval.high})
    base = alt.Chart(alt.Data(values=rows)).encode(x=alt.X("rungs:O", title="Helpers one on the other"))
    y = alt.Y("trust:Q", title="Trust", scale=alt.Scale(domain=[0.5, 1]), axis=alt.Axis(format="%"))
    band = base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", title="Trust"), y2="high:Q")
    return alt.layer(band, base.mark_point(filled=True, size=90).encode(y=y)).properties(width=420, height=280)


def _link(report: Report) -> Channel:
    found = channel(report.findings["helper_check"])
    assert found is not None, "the demo's helper check is unmeasured"
    return found


def _labels_table() -> str:
    head = "| q | to notice it, usual error 1% | 5% | 10% | labels for ±3 points, helper's error 5% before flipping |\n"
    lines = []
    for q in FLIPS:
        counts = [labels_to_notice(q, usual) for usual in USUAL]
        counts.append(labels_for_width(RATE, error_after_flips(0.05, q), HALF_WIDTH, POOL))
        lines.append(f"| {q:.1%} | {' | '.join('more than tried' if n is None else f'{n:,}' for n in counts)} |\n")
    return head + "|---|---|---|---|---|\n" + "".join(lines)


def _helpers_table(report: Report) -> str:
    head = "| reader | defect | sensitivity | specificity | trust | p | noticed |\n|---|---|---|---|---|---|---|\n"
    names = {"reader_check": report.run["judge"], "helper_check": "the trained model"}
    rows = [
        f"| {who} | {' | '.join(_defect(report.findings[stage], test))} |\n"
        for stage, who in names.items() if stage in report.findings
        for test in report.findings[stage].select("defect_p")
    ]  # fmt: skip
    return head + "".join(rows) + f"\nFrom `{report.run['command']}`, {report.run['started'][:10]}; 95% intervals.\n"


def _defect(finding: Finding, test: Measurement) -> list[str]:
    defect = test.labels["defect"]
    rates = [finding.one(name, defect=defect) for name in ("helper_sensitivity", "helper_specificity")]
    said = "unmeasured" if test.value is None else f"{test.value:.2g}"
    return [defect, *map(_shown, rates), _shown(_trust(*rates)), said, test.labels.get("noticed", "unmeasured")]


def _trust(sensitivity: Measurement, specificity: Measurement) -> Measurement:
    if sensitivity.value is None or specificity.value is None:
        return chain_trust([None])
    return chain_trust([Channel(sensitivity.value, specificity.value, sensitivity.n, specificity.n)])


def _shown(m: Any) -> str:
    if m.value is None:
        return "unmeasured"
    ends = f" [{100 * m.interval.low:.0f}, {100 * m.interval.high:.0f}]" if m.interval else ""
    return f"{100 * m.value:.0f}%{ends}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
