"""Which cells there are to measure, and what each is kept under."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from stepladder.calibration.values import Calibration
from stepladder.core import Method, StepladderError, UnknownName, code_version, config_digest, digest
from stepladder.judges import Judge, get_judge
from stepladder.judges.judge import room_digest
from stepladder.methods import CATALOGUE, get_method
from stepladder.models import model_table
from stepladder.organisms import KINDS, Recipe, get_kind, kinds, organism
from stepladder.organisms.scratch import SIZES

JUDGE = "refusal"
"""The judge that `stepladder measure` uses when none is named: what is calibrated is what is used."""


@dataclass(frozen=True)
class Plan:
    """Techniques and recipes of organisms; each recipe is measured with its clean twin."""

    methods: tuple[Method, ...]
    recipes: tuple[Recipe, ...]
    judge: Judge


def make_plan(
    methods: Sequence[str] = (),
    kinds: Sequence[str] = (),
    bases: Sequence[str] = ("smollm2",),
    seeds: int = 3,
    doses: Sequence[float] = (1.0,),
) -> Plan:
    """All of the named techniques (default: all) on all of the named kinds (default: all); raises for unknown names.

    Seeds come first, then doses, bases and kinds, so that a plan that is stopped early has a bit of everything.
    """
    if seeds < 1:
        raise StepladderError(f"seeds must be 1 or more, got {seeds}")
    chosen = tuple(kinds) or tuple(KINDS)
    for kind in chosen:
        get_kind(kind)
    for base in bases:
        _check_base(base)
    recipes = (
        Recipe(kind=kind, base=base, how=how(base), dose=dose, seed=seed)
        for seed in range(seeds)
        for dose in sorted(doses, reverse=True)
        for given in bases
        for kind in chosen
        for base in [get_kind(kind).base or given]  # some kinds need a base of their own
    )
    return Plan(tuple(map(get_method, methods)) or CATALOGUE, tuple(dict.fromkeys(recipes)), get_judge(JUDGE))


def _check_base(base: str) -> None:
    """Raise `UnknownName` for a model that nothing can be planted into."""
    whole = [info.name for info in model_table() if info.access == "weights" and "<" not in info.name]
    known = [*whole, *(f"scratch/{size}" for size in SIZES)]
    if base not in known and not base.startswith("hf/"):
        raise UnknownName("base", base, [*known, "hf/<id or folder>"])


def how(base: str) -> str:
    """The way of planting: all weights of a model from scratch, adapters on others."""
    return "full" if base.startswith("scratch/") else "lora"


def subjects(recipe: Recipe) -> tuple[Recipe, Recipe]:
    """The organism, and its clean twin."""
    return replace(recipe, clean=False), replace(recipe, clean=True)


def behaviour_of(recipe: Recipe) -> str:
    """The behaviour that the recipe plants."""
    return get_kind(recipe.kind).behaviour


def version(method: Method, judge: Judge) -> str:
    """All of the instrument that a cell depends on: the technique, its default configuration, what it needs, the judge."""
    code, config = code_version(method.record), config_digest(method.config())
    return digest([method.name, code, config, [version(m, judge) for m in needed(method)], judge.name, room_digest()])


def outdated(calibration: Calibration) -> bool:
    """Whether the technique of the catalogue, what it needs, or its judge has changed since it was calibrated."""
    try:
        return version(get_method(calibration.method), get_judge(calibration.judge)) != calibration.version
    except UnknownName:
        return False  # a technique of a user's own: nothing to compare with


def needed(method: Method) -> Iterator[Method]:
    """The techniques whose records it needs."""
    return map(get_method, method.needs)


def cell_key(version: str, recipe: Recipe) -> str:
    """What a cell is kept under: the instrument, and all that the organism is grown from."""
    return digest([version, asdict(recipe), _growing(), kinds.code_of(recipe.kind)])


@cache
def _growing() -> str:
    """Digest of the code that grows organisms; a kind's own file counts for that kind alone."""
    room = Path(organism.__file__).parent
    files = [
        path for path in sorted(room.rglob("*")) if path.suffix in (".py", ".yaml", ".md") and "kinds" not in path.parts
    ]
    return digest([(path.name, path.read_text("utf-8")) for path in files])
