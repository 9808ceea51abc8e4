"""The figures of the behaviour battery's page, measured on the embedded model; types in no figure.

python docs/_generate/battery.py FOLDER    measure, with the real sets in FOLDER (<set>/dev.jsonl), then draw
python docs/_generate/battery.py           draw again from docs/methods/behaviour_battery.json
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from stepladder.core import Finding, Measurement
from stepladder.execution import Budget, Progress
from stepladder.loop import measure, open_bench
from stepladder.methods.evaluation.behaviour_battery import METHOD, Config
from stepladder.report import charts
from stepladder.store import open_store

PAGES = Path(__file__).resolve().parents[1] / "methods"
SEEN = PAGES / "behaviour_battery.json"
PUBLISHED = {"truthfulqa_en": 150, "bbq": 240, "anthropic_winogenerated": 420, "sycophancy_ab": 60}
"""Real sets, and how many items of each to read."""


def measured(sets: Path) -> dict[str, Finding]:
    """The battery's own sets, and those of others, on SmolLM2."""
    configs = {"own": Config()}
    for name, count in PUBLISHED.items():
        configs[name] = Config(items_file=str(sets / name / "dev.jsonl"), items_per_set=count, free_text_items=0)
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder), Progress(quiet=True), Budget()) as store:
        bench = open_bench(store, "smollm2", "refusal", None, seed=0)
        return {name: measure(bench, METHOD, config).finding for name, config in configs.items()}


def shown(m: Measurement, percent: bool = True) -> str:
    """A value with its interval, or why there is none."""
    if m.value is None:
        return f"unmeasured: {m.reason}"
    scale, digits, sign = (100, 0, "") if percent else (1, 2, "+")
    ends = f" [{scale * m.interval.low:.{digits}f}, {scale * m.interval.high:.{digits}f}]" if m.interval else ""
    return f"{scale * m.value:{sign}.{digits}f}{'%' if percent else ''}{ends}"


def table(head: str, rows: list[list[str]]) -> str:
    """A markdown table; `head` is cut at its bars."""
    columns = head.split("|")
    return "\n".join(f"|{'|'.join(row)}|" for row in (columns, ["---"] * len(columns), *rows)) + "\n"


def rates(own: Finding) -> str:
    names = [m.labels["behaviour"] for m in own.select("behaviour_rate", form="logprob")]
    rows = []
    for name in names:
        read, said = (own.one("behaviour_rate", behaviour=name, form=form) for form in ("logprob", "free_text"))
        gap = own.one("framing_gap", behaviour=name)
        rows.append([f"`{name}`", shown(read), str(read.n), shown(gap, percent=False), shown(said), str(said.n)])
    return table("set|by log probabilities|items|framing gap|by free text|items", rows)


def readings(own: Finding) -> str:
    """Capability by each reading, its baseline, and the order bias that was taken out."""
    rows = []
    for m in own.select("capability"):
        reading = m.labels.get("reading", "free text")
        base = "" if m.baseline is None or m.baseline.value is None else f"{m.baseline.name}: {100 * m.baseline.value:.0f}%"
        bias = [shown(b, percent=False) for b in own.select("order_bias", reading=reading)]
        rows.append([f"`{reading}`", shown(m), str(m.n), base, bias[0] if bias else "none listed"])
    return table("reading|accuracy|items|baseline|order bias, log-odds", rows)


def called(own: Finding) -> str:
    rows = [
        [f"`{m.labels['behaviour']}`", shown(m, percent=False), str(m.n), m.labels["found"], m.note]
        for m in own.select("detection")
    ]
    return table("behaviour|score|items|found|note", rows)


def published(found: dict[str, Finding]) -> str:
    rows = []
    for name in PUBLISHED:
        for m in found[name].measurements:
            label = " ".join((f"`{m.name}`", *(v for k, v in m.labels.items() if k in ("condition", "behaviour"))))
            base = "" if m.baseline is None or m.baseline.value is None else f"{m.baseline.value:.2f}"
            rows.append([f"`{name}`", label, shown(m, percent=False).replace("+", ""), str(m.n), base])
    return table("set|measurement|value|n|chance", rows)


def picture(own: Finding) -> str:
    conditions = {"logprob": "before", "free_text": "after"}
    data = [
        {
            "group": charts.short(m.labels["behaviour"]), "condition": conditions[m.labels["form"]], "value": m.value,
            "low": m.interval.low if m.interval else None, "high": m.interval.high if m.interval else None,
            "baseline": m.baseline.value if m.baseline else None,
        }
        for m in own.select("behaviour_rate")
    ]  # fmt: skip
    spec = charts.forest(data, "Shows the behaviour", charts.WIDE)
    return charts.draw(spec, "behaviour_battery")


def main() -> None:
    """Measure where a folder is given; draw."""
    if len(sys.argv) > 1:
        findings = measured(Path(sys.argv[1]))
        text = json.dumps({name: json.loads(found.to_json()) for name, found in findings.items()}, indent=1)
        SEEN.write_text(text + "\n", "utf-8")
    found = {name: Finding.model_validate(value) for name, value in json.loads(SEEN.read_text("utf-8")).items()}
    own = found["own"]
    parts = {"rates": rates(own), "readings": readings(own), "detections": called(own), "published": published(found)}
    for name, text in parts.items():
        (PAGES / f"_seen_battery_{name}.md").write_text(text, "utf-8")
    (PAGES / "behaviour_battery.svg").write_text(picture(own), "utf-8")


if __name__ == "__main__":
    main()
