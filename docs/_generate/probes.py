"""The figures of the pages on concept probes and concept steering; types in no figure.

python docs/_generate/probes.py STORE    measure on the embedded model (STORE keeps the answers), then draw
python docs/_generate/probes.py STORE FILE    and with the repe_facts statements of FILE as a further topic, at five layers
python docs/_generate/probes.py          draw again from docs/methods/concept_probes*.json and concept_steering.json
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from training_charts import FONT, PAGES, draw, finding, lines, point, shown, table, write

from stepladder.core import Finding
from stepladder.execution import Budget, Progress
from stepladder.loop import measure, open_bench
from stepladder.methods.interpretability import concept_probes, concept_steering
from stepladder.methods.interpretability.probe_measures import PROBES, TESTS
from stepladder.store import open_store

NAMES = {
    "logistic": "logistic", "whitened_mass_mean": "mass-mean, whitened", "mass_mean": "mass-mean", "ccs": "CCS",
    "random_direction": "random direction", "bag_of_words": "bag of words",
}  # fmt: skip
REPE = PAGES / "concept_probes_repe_facts.json"
DIRECTIONS = {"concept": "the concept's direction", "random": "random, same length"}


def probes(seen: Finding) -> None:
    """Layer sweep, transfer matrix and tables."""
    import altair as alt

    panels = [
        lines(
            [
                point(m, series=NAMES[name], x=int(m.labels["layer"]))
                for name in (*PROBES, "random_direction")
                for m in seen.select("probe_auroc", test=test, probe=name)
                if m.value is not None
            ],
            "Layer", "AUROC", title=test, width=300,
        )
        for test in TESTS
    ]  # fmt: skip
    draw(alt.concat(*panels, columns=2), "concept_probes")
    draw(_matrix(seen), "concept_probes_transfer")
    write("concept_probes", "\n".join([_tests(seen), _selectivity(seen), _erased(seen)]))


def _matrix(seen: Finding) -> Any:
    import altair as alt

    rows = [
        {"from": m.labels["trained_on"], "to": m.labels["tested_on"], "value": m.value, "text": f"{m.value:.2f}".lstrip("0")}
        for m in seen.select("transfer_auroc", probe="logistic")
        if m.value is not None
    ]
    topics = list(dict.fromkeys(row["from"] for row in rows))
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("to:N", sort=topics, title="tested on", axis=alt.Axis(labelAngle=-35, **FONT)),
        y=alt.Y("from:N", sort=topics, title="trained on", axis=alt.Axis(**FONT)),
    )
    shade = alt.Color(
        "value:Q",
        scale=alt.Scale(domain=[0, 0.5, 1], range=["#d55e00", "#ffffff", "#0072b2"], interpolate="rgb"),
        title="AUROC",
    )
    text = base.mark_text(fontSize=12).encode(text="text:N")
    return (base.mark_rect().encode(color=shade) + text).properties(width=400, height=360)


def _layer(seen: Finding) -> str:
    return seen.one("held_out_accuracy", probe="logistic").labels["layer"]


def _tests(seen: Finding) -> str:
    layer, rows = _layer(seen), []
    for name in (*PROBES, "random_direction"):
        cells = []
        for test in TESTS:
            found = seen.select("probe_auroc", test=test, probe=name, layer=layer)
            cells.append(shown(found[0], percent=False) if found else "")
        rows.append([NAMES[name], *cells, shown(seen.one("held_out_accuracy", probe=name))])
    words = [seen.select("probe_auroc", test=test, layer=layer)[0].baseline for test in TESTS]
    cells = ["" if b is None or b.value is None else _baseline(b) for b in words]
    rows.append(["bag of words", *cells, shown(seen.one("held_out_accuracy", probe="bag_of_words"))])
    shuffled = seen.one("probe_auroc", probe="shuffled_labels", layer=layer)
    rows.append(["logistic, shuffled labels", shown(shuffled, percent=False), "", "", "", ""])
    return table("|".join([f"layer {layer}, AUROC", *TESTS, "accuracy, held-out facts"]), rows)


def _baseline(found: Any) -> str:
    ends = f" [{found.interval.low:.2f}, {found.interval.high:.2f}]" if found.interval else ""
    return f"{found.value:.2f}{ends}"


def _selectivity(seen: Finding) -> str:
    rows = [
        [NAMES[m.labels["probe"]], shown(seen.one("control_accuracy", probe=m.labels["probe"])), shown(m, sign=True)]
        for m in seen.select("selectivity")
    ]
    return table("probe|accuracy on control tasks|selectivity, points", rows)


def _erased(seen: Finding) -> str:
    layer, rows = _layer(seen), []
    for m in seen.select("erased_auroc", layer=layer):
        assert m.baseline is not None
        rows.append([m.labels["learned_from"], _baseline(m.baseline), shown(m, percent=False)])
    return table("a new logistic probe learns from|AUROC before LEACE|AUROC after", rows)


def steering(seen: Finding) -> None:
    """Dose and response, cost, and tables."""
    import altair as alt

    concepts = list(dict.fromkeys(m.labels["concept"] for m in seen.select("unsteered_auroc")))
    panels = [
        lines(
            [
                point(m, series=DIRECTIONS[m.labels["direction"]], x=float(m.labels["strength"]))
                for direction in DIRECTIONS
                for m in sorted(
                    seen.select(name, concept=concept, direction=direction), key=lambda m: float(m.labels["strength"])
                )
            ],
            "Strength, distances of the means", axis, title=concept,
        )
        for name, axis in (("concept_shift", "Shift of the log-odds, nats"), ("fluency_cost", "Fluency cost, nats a token"))
        for concept in concepts
    ]  # fmt: skip
    draw(alt.concat(*panels, columns=len(concepts)), "concept_steering")
    write("concept_steering", "\n".join([_slopes(seen, concepts), _doses(seen, concepts)]))


def _slopes(seen: Finding, concepts: list[str]) -> str:
    rows = []
    for concept in concepts:
        own, random = (seen.one("shift_per_strength", concept=concept, direction=d) for d in DIRECTIONS)
        excess, plain = seen.one("excess_shift_per_strength", concept=concept), seen.one("unsteered_auroc", concept=concept)
        rows.append(
            [concept, shown(plain, percent=False), *(shown(m, percent=False, sign=True) for m in (own, random, excess))]
        )
    head = "concept|AUROC of the log-odds unsteered|nats per distance of the means|random direction|difference"
    return table(head, rows)


def _doses(seen: Finding, concepts: list[str]) -> str:
    rows = []
    for concept in concepts:
        for m in seen.select("concept_shift", concept=concept, direction="concept"):
            place = {"concept": concept, "strength": m.labels["strength"], "direction": "concept"}
            rate, cost, again = (seen.one(name, **place) for name in ("toward_rate", "fluency_cost", "repetition"))
            numbers = [shown(m, percent=False, sign=True), shown(rate), shown(cost, percent=False, sign=True), shown(again)]
            rows.append([concept, m.labels["strength"], *numbers])
    head = "concept|strength|shift, nats|toward the concept|fluency cost, nats a token|repeated trigrams"
    return table(head, rows)


def with_file(store: str, file: str) -> None:
    """Measure with a file of statements beside the shipped ones."""
    with open_store(Path(store), Progress(), Budget()) as opened:
        bench = open_bench(opened, "smollm2", "refusal_patterns", None, seed=0)
        config = concept_probes.Config(statements=file, layers=5)
        REPE.write_text(measure(bench, concept_probes.METHOD, config).finding.to_json() + "\n", "utf-8")


def foreign(seen: Finding, topic: str) -> None:
    """From each topic to the statements of a file."""
    rows = []
    for m in seen.select("transfer_auroc", probe="logistic", tested_on=topic):
        source = m.labels["trained_on"]
        mean = seen.one("transfer_auroc", probe="mass_mean", trained_on=source, tested_on=topic)
        assert m.baseline is not None
        rows.append([source, shown(m, percent=False), shown(mean, percent=False), _baseline(m.baseline)])
    write("concept_probes_repe_facts", table("trained on|logistic|mass-mean|bag of words", rows))


if __name__ == "__main__":
    store = sys.argv[1] if len(sys.argv) > 1 else None
    if len(sys.argv) > 2:
        with_file(sys.argv[1], sys.argv[2])
    probes(finding(concept_probes.METHOD, store))
    foreign(Finding.from_json(REPE.read_text("utf-8")), "repe_facts")
    steering(finding(concept_steering.METHOD, store))
