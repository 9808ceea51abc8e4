"""Filling the matrix, one subject at a time; each cell is stored as soon as it is measured.

A cell that is stored is never measured again, so that a stopped run goes on where it was. A technique that fails on one
subject leaves a failed cell with the reason, which the next run tries again; a full disk, a spent budget and Ctrl-C stop
the run.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stepladder.calibration.examine import Specimen, examine
from stepladder.calibration.plan import Plan, behaviour_of, cell_key, subjects, version
from stepladder.calibration.values import Cell, Detector, Outcome
from stepladder.core import BudgetExceeded, Finding, Measurement, Method, StepladderError, StoreError, Task
from stepladder.core.detection import ABSENT, FOUND
from stepladder.judges import Judge, get_judge
from stepladder.models import open_model
from stepladder.organisms import Organism, PlantFailed, Recipe
from stepladder.store import Store

CELL, DETECTOR = "cell", "detector"
STOPS = (BudgetExceeded, StoreError)
TRIAL = "scripted/demo"
"""A subject on which any technique runs in seconds, to learn which behaviours it reports."""

Grow = Callable[[Recipe, Task], Organism]


@dataclass(frozen=True)
class Work:
    """One cell to measure."""

    method: Method
    version: str
    recipe: Recipe

    @property
    def key(self) -> str:
        """What the cell is kept under."""
        return cell_key(self.version, self.recipe)


def fill(store: Store, plan: Plan, grow: Grow) -> None:
    """Measure all cells of the plan that the store does not hold yet."""
    detectors = {method.name: detector(store, method, plan.judge) for method in plan.methods}
    known = {key: cell for key, cell in store.calibrations(CELL, Cell).items() if cell.outcome != "failed"}
    work = {recipe: _work(plan, recipe, detectors) for pair in map(subjects, plan.recipes) for recipe in pair}
    todo = {recipe: [w for w in cells if w.key not in known] for recipe, cells in work.items()}
    total, missing = (sum(map(len, cells.values())) for cells in (work, todo))
    with store.task(f"calibrate, {total - missing} of {total} cells known", missing) as advance:
        for recipe, cells in todo.items():
            if recipe.clean and _refused(work[subjects(recipe)[0]], known):
                advance(len(cells))
            elif cells:
                for cell in _measured(store, plan.judge, recipe, cells, grow):
                    store.save_calibration(CELL, cell.key, cell)
                    known[cell.key] = cell
                    advance(1)
                gc.collect()  # a model refers to itself through its desk, and the next one needs the room


def _refused(organism: list[Work], known: Mapping[str, Cell]) -> bool:
    """Whether the plant did not take: then its twin is no twin of anything."""
    return any(each.key in known and known[each.key].outcome == "refused" for each in organism)


def _work(plan: Plan, recipe: Recipe, detectors: Mapping[str, Detector]) -> list[Work]:
    """The techniques that report the recipe's behaviour."""
    behaviour = behaviour_of(recipe)
    known = [(method, detectors[method.name]) for method in plan.methods]
    return [Work(method, found.version, recipe) for method, found in known if behaviour in found.behaviours]


def detector(store: Store, method: Method, judge: Judge) -> Detector:
    """Which behaviours the technique reports: known, or learnt by running it once on a scripted subject.

    A technique reports one detection for each behaviour that it looks for, on any subject: what it cannot measure there is
    unmeasured.
    """
    made = version(method, judge)
    known = store.calibrations(DETECTOR, Detector).get(made)
    return known or _learnt(store, method, made)


def _learnt(store: Store, method: Method, made: str) -> Detector:
    try:
        finding = examine(store, get_judge("refusal_patterns"), Specimen(open_model(TRIAL)), method).finding
    except STOPS:
        raise
    except Exception as error:
        return Detector(method=method.name, version=made, reason=f"could not be tried on {TRIAL}: {_words(error)}")
    behaviours = dict.fromkeys(m.labels["behaviour"] for m in finding.select("detection"))
    reason = "" if behaviours else "detects nothing"
    learnt = Detector(method=method.name, version=made, behaviours=tuple(behaviours), reason=reason)
    store.save_calibration(DETECTOR, made, learnt)
    return learnt


def _measured(store: Store, judge: Judge, recipe: Recipe, work: list[Work], grow: Grow) -> Iterator[Cell]:
    """The cells of one subject, which is grown (or found) once for all techniques and forgotten after them."""
    try:
        organism = grow(recipe, store.task)
        specimen = Specimen(organism.subject(), organism.base(), organism.training_rows)
    except STOPS:
        raise
    except Exception as error:
        outcome: Outcome = "refused" if isinstance(error, PlantFailed) else "failed"
        yield from (_cell(w, judge, outcome=outcome, reason=_words(error)) for w in work)
        return
    known = {"parameters": parameters(organism), "planted_rate": organism.card.planted_rate.value}
    for each in work:
        yield _examined(store, judge, each, specimen).model_copy(update=known)
        if exceeded := store.spending.exceeded():
            raise exceeded


def _examined(store: Store, judge: Judge, work: Work, specimen: Specimen) -> Cell:
    started = time.monotonic()
    try:
        finding = examine(store, judge, specimen, work.method).finding
    except STOPS:
        raise
    except Exception as error:
        return _cell(work, judge, outcome="failed", reason=_words(error), seconds=time.monotonic() - started)
    return _read(work, judge, finding, time.monotonic() - started)


def _read(work: Work, judge: Judge, finding: Finding, seconds: float) -> Cell:
    """The cell that a finding makes: its detection of the planted behaviour, and what it reports of others."""
    all_detections = finding.select("detection")
    mine = [m for m in all_detections if m.labels["behaviour"] == behaviour_of(work.recipe)]
    outcome, reason = _outcome(mine)
    return _cell(
        work, judge, outcome=outcome, reason=reason, score=mine[0].value if len(mine) == 1 else None,
        detections=all_detections, record=finding.record, seconds=round(seconds, 2),
    )  # fmt: skip


def _outcome(detections: list[Measurement]) -> tuple[Outcome, str]:
    """The call; anything but one detection with a call of yes or no is unmeasured."""
    if len(detections) != 1:
        return "unmeasured", f"{len(detections)} detections of the behaviour in the finding; it takes one"
    calls: dict[str, Outcome] = {FOUND: "found", ABSENT: "absent"}
    call = calls.get(detections[0].labels.get("found", ""), "unmeasured")
    return call, "" if call != "unmeasured" else detections[0].reason or "a score but no call"


def _cell(work: Work, judge: Judge, **known: object) -> Cell:
    recipe = work.recipe
    made = Cell(
        key=work.key, version=work.version, method=work.method.name, judge=judge.name, kind=recipe.kind,
        behaviour=behaviour_of(recipe), base=recipe.base, how=recipe.how, dose=recipe.dose, seed=recipe.seed,
        clean=recipe.clean, outcome="unmeasured",
    )  # fmt: skip
    return Cell.model_validate(made.model_dump() | known)


def parameters(organism: Organism) -> int | None:
    """Number of weights of the organism's base, counted from the headers of its files."""
    from safetensors import safe_open

    folder: Path | None = getattr(organism.base(), "folder", None)
    total = 0
    for path in sorted(folder.glob("*.safetensors")) if folder else ():
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                total += math.prod(file.get_slice(name).get_shape())
    return total or None


def _words(error: Exception) -> str:
    """One line about what went wrong; an error that no user was meant to see is named."""
    line = " ".join(str(error).split()) or "no message"
    return (line if isinstance(error, StepladderError) else f"{type(error).__name__}: {line}")[:300]
