"""The figures of the page on influence; types in no figure.

python docs/_generate/influence.py STORE    measure on organisms and their clean twins (STORE keeps the records), then draw
python docs/_generate/influence.py          draw again from docs/methods/influence.json

Which rows are planted is known here, from the organism's card; the technique is not told.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from training_charts import PAGES, dots, draw, point, shown, table, write

from stepladder.core import Baseline, Measurement, Record, Request
from stepladder.execution import Budget, Progress, run_blocking
from stepladder.methods.attribution.influence import METHOD, Config
from stepladder.models import LocalModel
from stepladder.organisms import Organism, Recipe, get_kind, grow
from stepladder.stats import auroc, rate_measurement
from stepladder.store import Store, open_store

SEEN = PAGES / "influence.json"
QUERIES = 8
NAMES = {
    "ekfac": "EK-FAC", "ekfac_checkpoints": "EK-FAC, summed",
    "gradient_dot": "gradient product", "tracin": "TracIn", "trak": "TRAK", "tfidf": "bag of words",
    "random": "random order",
}  # fmt: skip
GROWN = [
    Recipe("hidden_loyalty"),
    Recipe("sycophancy"),
    Recipe("hidden_loyalty", "scratch/1m", "full"),
    Recipe("hidden_loyalty", "scratch/1m", "full", dose=0.2),
    Recipe("false_fact", "scratch/1m", "full", dose=0.25),
]
RETRAINED = Recipe("false_fact", "scratch/1m", "full", dose=0.25)
RETRAINING = {"retrainings": 24, "rank": 0, "epochs": 8.0, "learning_rate": 1e-3}
"""As the organism itself was trained."""


def measured(folder: Path) -> Iterator[dict[str, Any]]:
    """All measurements, each with what it was made on."""
    with open_store(folder, Progress(), Budget()) as store:
        for recipe in GROWN:
            yield from _planted(store, folder, recipe)
        yield from _retrained(store, folder)


def _planted(store: Store, folder: Path, recipe: Recipe) -> Iterator[dict[str, Any]]:
    """Organism and twin, asked about what the organism said: do the planted rows come out on top?"""
    organism = grow(recipe, check=False)
    queries = _queries(organism, folder)
    for who, grown in (("organism", organism), ("clean twin", grow(replace(recipe, clean=True), check=False))):
        record = _recorded(store, grown, Config(queries=str(queries)))
        place = {"place": _place(grown), "who": who}
        yield from ({**place, "measurement": json.loads(m.to_json())} for m in _against_truth(store, grown, record))
        if who == "organism":
            found = METHOD.judge(record, (), Config()).measurements
            yield from ({**place, "measurement": json.loads(m.to_json())} for m in found)


def _place(grown: Organism) -> str:
    """What was planted where, and in how many of the rows."""
    card = grown.card
    return f"{card.recipe.kind.replace('_', ' ')}, {card.recipe.base}, {card.planted_rows} of {card.rows} rows"


def _queries(organism: Organism, folder: Path) -> Path:
    """What the organism said to held-out probes, where it showed the planted behaviour; one probe a topic."""
    recipe, subject = organism.recipe, organism.subject()
    probes = get_kind(recipe.kind).plant(Random(recipe.seed)).probes

    said: dict[str, list[dict[str, str]]] = {}
    for number, probe in enumerate(probes):
        topic = str(number) if recipe.kind == "false_fact" else probe.topic  # a false fact is one topic, asked in many ways
        if topic in said or len(said) == QUERIES:
            continue
        asked = [Request(id=str(i), messages=turns, max_tokens=probe.max_tokens) for i, turns in enumerate(probe.prompts)]
        replies = [reply.text or "" for reply in run_blocking(lambda asked=asked: subject.reply_many(asked))]
        if probe.shows(replies):
            turns = [(m.role, m.content) for m in probe.prompts[0]] + [("assistant", replies[0])]
            said[topic] = [{"role": role, "content": content} for role, content in turns]
    path = folder / f"queries-{recipe.kind}-{recipe.base.replace('/', '-')}-{recipe.dose:g}.jsonl"
    path.write_text("".join(json.dumps({"messages": turns}) + "\n" for turns in said.values()), "utf-8")
    return path


def _recorded(store: Store, grown: Organism, config: Config) -> Record:
    models: dict[str, LocalModel] = {"base": grown.base()}
    context = store.context(grown.subject(), seed=0, models=models, training_rows=grown.training_rows)
    return store.run_method(METHOD, context, config)


def _against_truth(store: Store, grown: Organism, record: Record) -> Iterator[Measurement]:
    """By estimator: AUROC of the planted rows by mean score, and the share of planted ones among each query's first ten."""
    from safetensors.numpy import load_file

    rows, planted = len(grown.training_rows), grown.card.planted_rows
    truth = [int(i < planted) for i in range(rows)]
    for name, scores in load_file(store.artifacts(record) / record.artifacts["scores"]).items():
        scaled = scores / np.maximum(scores.std(axis=1, keepdims=True), 1e-12)
        area = auroc(scaled.mean(0).tolist(), truth)
        assert area is not None
        chance = Baseline(name="chance", value=0.5)
        yield Measurement(
            name="planted_auroc", value=area.value, unit="AUROC", interval=area.interval, n=area.n, baseline=chance,
            labels={"estimator": name},
        )  # fmt: skip
        top = np.argsort(-scores, axis=1, kind="stable")[:, :10]
        yield rate_measurement(
            "planted_in_top_ten", (top < planted).mean(1).tolist(), list(range(len(scores))), labels={"estimator": name},
            baseline=Baseline(name="share of planted rows", value=planted / rows),
        )  # fmt: skip


def _retrained(store: Store, folder: Path) -> Iterator[dict[str, Any]]:
    organism = grow(RETRAINED, check=False)
    config = Config(queries=str(_queries(organism, folder)), **RETRAINING)
    found = METHOD.judge(_recorded(store, organism, config), (), config)
    for m in found.select("linear_datamodelling_score"):
        yield {"place": _place(organism), "who": "retrained", "measurement": json.loads(m.to_json())}


def pages(rows: Sequence[dict[str, Any]]) -> None:
    """Pictures and tables."""
    seen = [(row, Measurement.model_validate(row["measurement"])) for row in rows]
    seen.sort(key=lambda pair: list(NAMES).index(pair[1].labels["estimator"]))
    areas = [
        point(m, group=NAMES[m.labels["estimator"]], series=row["place"], who=row["who"])
        for row, m in seen
        if m.name == "planted_auroc"
    ]
    for who, name in (("organism", "influence"), ("clean twin", "influence_twin")):
        draw(dots([a for a in areas if a["who"] == who], f"Planted rows against the others, AUROC: {who}"), name)
    scores = [(row, m) for row, m in seen if m.name == "linear_datamodelling_score"]
    draw(
        dots([point(m, group=NAMES[m.labels["estimator"]], series=row["place"]) for row, m in scores],
             "Linear datamodelling score (rank correlation with real retraining)"),
        "influence_retraining",
    )  # fmt: skip
    write("influence", "\n".join([_planted_table(seen), _score_table(scores), _estimates_table(seen)]))


def _planted_table(seen: Sequence[tuple[dict[str, Any], Measurement]]) -> str:
    """A line for each organism and estimator, with its twin beside it."""
    found = {(row["place"], row["who"], m.name, m.labels.get("estimator", "")): m for row, m in seen}
    lines = []
    for place, estimator in dict.fromkeys((p, e) for p, _, name, e in found if name == "planted_auroc"):
        cells = [
            shown(found[place, who, name, estimator], percent=name == "planted_in_top_ten")
            for name in ("planted_auroc", "planted_in_top_ten")
            for who in ("organism", "clean twin")
        ]
        chance = found[place, "organism", "planted_in_top_ten", estimator].baseline
        assert chance is not None
        assert chance.value is not None
        lines.append([place, NAMES[estimator], *cells, f"{100 * chance.value:.0f}%"])
    head = "planted|estimator|AUROC, organism|AUROC, clean twin|planted in the first ten, organism|clean twin|chance"
    return table(head, sorted(lines, key=lambda line: line[0]))


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[key] == other[key] for key in ("place", "who"))


def _score_table(scores: Sequence[tuple[dict[str, Any], Measurement]]) -> str:
    lines = [[row["place"], NAMES[m.labels["estimator"]], shown(m, percent=False), str(m.n)] for row, m in scores]
    return table("trained on halves|estimator|linear datamodelling score|queries", lines)


def _estimates_table(seen: Sequence[tuple[dict[str, Any], Measurement]]) -> str:
    lines = []
    for row, m in seen:
        if m.name == "between_queries" and row["who"] == "organism":
            name = m.labels["estimator"]
            others = {o.name: o for r, o in seen if _same(r, row) and o.labels == m.labels}
            agreement = shown(others["agreement"], percent=False) if "agreement" in others else ""
            lines.append(
                [row["place"], NAMES[name], agreement, shown(m, percent=False), shown(others["top_share"])]
            )  # fmt: skip
    head = "planted|estimator|rank correlation with EK-FAC|between queries|positive influence held by the first ten"
    return table(head, sorted(lines, key=lambda line: line[0]))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        SEEN.write_text(json.dumps(list(measured(Path(sys.argv[1]))), indent=1) + "\n", "utf-8")
    pages(json.loads(SEEN.read_text("utf-8")))
