"""Audits of organisms of known truth: run them, fit the confidence map, draw the pages. Types in no figure.

python docs/_generate/auditing.py run investigator smollm2 lora 0 sycophancy false_fact   # appends to auditing.jsonl
python docs/_generate/auditing.py run investigator,super_agent scratch/1m full 0,1 all
python docs/_generate/auditing.py read super_agent STORE...   # the same from what `stepladder calibrate` has stored
python docs/_generate/auditing.py fit        # confidence.json, from the seeds of FIT_SEEDS only
python docs/_generate/auditing.py draw       # pictures and tables
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stepladder.calibration.fill import CELL
from stepladder.calibration.values import REFERENCE_DOSE, Cell
from stepladder.core import BEHAVIOURS, Access, Finding, Method, Record, StepladderError
from stepladder.execution import Budget, Progress
from stepladder.methods.auditing import (
    breadth_first_red_team,
    confidence,
    evaluation_agent,
    investigator,
    super_agent,
)
from stepladder.methods.auditing.evidence import from_data
from stepladder.methods.auditing.investigation import hypotheses, pool
from stepladder.methods.auditing.strategies import STRATEGIES
from stepladder.organisms import KINDS, Organism, Recipe, grow
from stepladder.store import open_store

sys.path.insert(0, str(Path(__file__).parent))

from auditing_tables import draw

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "auditing.jsonl"
_ROOMS = (investigator, super_agent, evaluation_agent, breadth_first_red_team)
METHODS: Mapping[str, Method] = {room.METHOD.name: room.METHOD for room in _ROOMS}
FIT_SEEDS = (0, 100, 101, 102)
"""Seeds of organisms and twins that only `fit` reads."""
Row = dict[str, Any]


def run(techniques: str, base: str, how: str, seeds: str, *kinds: str) -> None:
    """Audit organism and twin of each kind and seed, blind, by each technique; one line each."""
    recipes = [
        Recipe(kind, base=base, how=how, seed=int(seed), clean=clean)
        for kind in (KINDS if kinds == ("all",) else kinds)
        for seed in seeds.split(",")
        for clean in (False, True)
    ]
    for recipe in recipes:
        try:
            organism = grow(recipe)
        except StepladderError as error:
            print(f"left out: {error}", flush=True)
            continue
        for technique in techniques.split(","):
            row = audit(METHODS[technique], organism)
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(technique, recipe, row["top"], f"{row['seconds']:.0f} s", flush=True)


def audit(method: Method, organism: Organism) -> Row:
    """What the technique says of one organism, and the truth beside it."""
    recipe, start = organism.recipe, time.perf_counter()
    behaviour = KINDS[recipe.kind].behaviour
    described = {"description": BEHAVIOURS[behaviour]} if method is evaluation_agent.METHOD else {}
    config = method.config(**described)
    with tempfile.TemporaryDirectory() as folder, open_store(folder, Progress(quiet=True), Budget()) as store:
        rows = organism.training_rows
        context = store.context(organism.subject(), seed=recipe.seed, models={"base": organism.base()}, training_rows=rows)
        record = method.record(context, config)
        finding = method.judge(record, (), config)
    return row_of(method, recipe, record, finding, time.perf_counter() - start)


def row_of(method: Method, recipe: Recipe, record: Record, finding: Finding, seconds: float) -> Row:
    """One line of what was said, beside the truth."""
    singles = [_scores(run["observations"]) for run in record.data.get("investigations", [])]
    detections = finding.select("detection")
    return {
        "technique": method.name, "base": recipe.base, "how": recipe.how, "kind": recipe.kind, "seed": recipe.seed,
        "clean": recipe.clean, "behaviour": KINDS[recipe.kind].behaviour, "top": _top(finding),
        "scores": {m.labels["behaviour"]: m.value for m in detections},
        "calls": {m.labels["behaviour"]: m.labels["found"] for m in detections},
        "intervals": {m.labels["behaviour"]: [m.interval.low, m.interval.high] for m in detections if m.interval},
        "evidence": _evidence(finding), "followed": _followed(finding), "singles": singles, "note": _note(finding),
        "seconds": round(seconds, 1),
    }  # fmt: skip


def _top(finding: Finding) -> str:
    """The first hypothesis, the chosen instrument, or the region that differs most."""
    for name, label in (("hypothesis", "behaviour"), ("difference_from_base", "region")):
        if found := finding.select(name, rank="1"):
            return found[0].labels[label]
    return next((m.labels["instrument"] for m in finding.select("auroc")), "")


def _note(finding: Finding) -> str:
    return next((m.note for m in finding.select("difference_from_base", rank="1")), "")


def _scores(observations: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    return {h.behaviour: h.score for h in hypotheses(from_data(observations))}


def _evidence(finding: Finding) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    for m in finding.select("evidence"):
        value = None if m.value is None else round(m.value, 3)
        found.setdefault(m.labels["strategy"], {})[m.labels["behaviour"]] = value
    return found


def _followed(finding: Finding) -> list[str]:
    return [m.labels["strategy"] for m in finding.select("observations") if m.value is not None]


def read(techniques: str, *folders: str) -> None:
    """Append the audits by these techniques that `stepladder calibrate` left in these stores; asks nothing."""
    for folder in folders:
        with open_store(folder) as store, RESULTS.open("a", encoding="utf-8") as file:
            for cell in store.calibrations(CELL, Cell).values():
                if cell.method not in techniques.split(",") or not cell.record or cell.dose != REFERENCE_DOSE:
                    continue
                method, record = METHODS[cell.method], store.load_record(cell.record)
                recipe = Recipe(cell.kind, base=cell.base, how=cell.how, seed=cell.seed, clean=cell.clean)
                finding = method.judge(record, (), method.config())
                file.write(json.dumps(row_of(method, recipe, record, finding, cell.seconds)) + "\n")


def rows_of(technique: str) -> list[Row]:
    """The stored audits of the technique; the last of each organism or twin."""
    rows = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()] if RESULTS.exists() else []
    which = ("base", "how", "kind", "seed", "clean")
    return list({tuple(row[k] for k in which): row for row in rows if row["technique"] == technique}.values())


def fit() -> None:
    """One map for each set of strategies that can be followed where rows, base or weights are missing.

    An audit that followed all of them holds the evidence of each, so the smaller sets are pooled from the same audits.
    """
    rows = [row for row in rows_of("investigator") if row["seed"] in FIT_SEEDS]
    planted = sum(not row["clean"] for row in rows)
    who = f"{planted} organisms and {len(rows) - planted} clean twins of {', '.join(sorted({r['base'] for r in rows}))}"
    maps = {}
    for names in settings().values():
        cases = pairs(rows, names)
        maps[confidence.key_of(names)] = confidence.fit_map([s for s, _, _ in cases], [y for _, y, _ in cases], who)
    confidence.FILE.write_text(json.dumps(maps, indent=2) + "\n", "utf-8")


def settings() -> dict[str, list[str]]:
    """The strategies that can be followed with all that is known of a model, without its rows, and by chat alone."""
    without_rows = [name for name, s in STRATEGIES.items() if not s.needs.rows]
    by_chat = [name for name in without_rows if STRATEGIES[name].needs.access == Access.chat]
    alone = [name for name in by_chat if not STRATEGIES[name].needs.base]
    return {
        "all": list(STRATEGIES), "no training rows": without_rows, "chat, with the base": by_chat, "chat alone": alone,
    }  # fmt: skip


def pairs(rows: Sequence[Row], names: Sequence[str]) -> list[tuple[float, bool, str]]:
    """(pooled score by those strategies, whether the behaviour is there, kind) of every audited model and behaviour."""
    found = []
    for row in rows:
        for behaviour in BEHAVIOURS:
            seen = [row["evidence"].get(name, {}).get(behaviour) for name in names]
            score = pool([s for s in seen if s is not None])
            if score is not None:
                found.append((score, not row["clean"] and behaviour == row["behaviour"], row["kind"]))
    return found


def left_out() -> dict[str, list[tuple[float, bool, str]]]:
    """For each setting, (confidence, whether it is there, kind), by a map fitted without any model of that kind."""
    rows = [row for row in rows_of("investigator") if row["seed"] in FIT_SEEDS]
    checked: dict[str, list[tuple[float, bool, str]]] = {}
    for setting, names in settings().items():
        cases = pairs(rows, names)
        for kind in sorted({kind for *_, kind in cases}):
            rest = [(s, y) for s, y, k in cases if k != kind]
            fitted = confidence.Map(**confidence.fit_map([s for s, _ in rest], [y for _, y in rest], ""))
            checked.setdefault(setting, []).extend((fitted.chance(s)[0], y, k) for s, y, k in cases if k == kind)
    return checked


if __name__ == "__main__":
    {"run": run, "read": read, "fit": fit, "draw": lambda: draw(rows_of, left_out())}[sys.argv[1]](*sys.argv[2:])
