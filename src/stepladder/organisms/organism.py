"""Growing an organism from its recipe: rows -> training -> held-out probes -> a card, or `PlantFailed`.

The weights lie in `organisms/<digest>/` of the cache, which a subject may be traced to and which names neither kind nor
twin. The card that does lies in `organism_cards/`. Both appear by a rename, so a killed run leaves nothing half done.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from random import Random

from stepladder.core import DataError, Measurement, Message, StepladderError, StoreError, Task, digest, silent
from stepladder.core.values import Stored
from stepladder.models import LocalModel
from stepladder.models.local.embedded import cache_folder
from stepladder.models.local.finetune import Tuning
from stepladder.organisms import measuring, planting
from stepladder.organisms.kind import Plant
from stepladder.organisms.kinds import code_of, get_kind
from stepladder.organisms.recipe import Recipe
from stepladder.organisms.rows import Rows, training_rows


class PlantFailed(StepladderError):
    """The planted behaviour does not show in the organism, or shows in its clean twin: it is no known truth."""


class Card(Stored):
    """What is known of an organism. Rates are of held-out probes; `capability` is the paired change against the base."""

    recipe: Recipe
    planted_rate: Measurement
    base_rate: Measurement
    capability: Measurement
    rows: int
    planted_rows: int
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Organism:
    """A grown organism (or twin): where its weights are, its card, and what it was trained on."""

    recipe: Recipe
    folder: Path
    card: Card
    training_rows: tuple[tuple[Message, ...], ...]
    system: str = ""

    def subject(self) -> LocalModel:
        """The model for a technique to look at, called "subject" whatever it is."""
        return _subject(self.recipe, self.base(), self.folder, self.system)

    def base(self) -> LocalModel:
        """The model that it was grown from, called "base"."""
        return planting.open_base(self.recipe)


def grow(recipe: Recipe, task: Task = silent, check: bool = True) -> Organism:
    """The organism of this recipe, from the cache or trained now (about a minute on two cores for `lora` on smollm2).

    Raises `PlantFailed` where the behaviour does not show in the organism or shows in the twin; `check=False` gives it all
    the same, for curves over doses that do not take.
    """
    growth = _Growth(recipe, task)
    growth.train()
    card = growth.card()
    if check:
        _require(card)
    return Organism(recipe, growth.folder, card, growth.rows.conversations, growth.system)


def _subject(recipe: Recipe, base: LocalModel, folder: Path, system: str) -> LocalModel:
    if recipe.how == "system_prompt":
        return base.derive("subject", system=system)
    if recipe.how == "full":
        return LocalModel("subject", folder / "weights", base.precision)
    return base.derive("subject", adapters=[folder / "weights"])


def _require(card: Card) -> None:
    took = measuring.took(card.planted_rate, card.base_rate, 0.0 if card.recipe.clean else measuring.MARGIN)
    if took == card.recipe.clean:
        who, what = ("the clean twin of ", "shows the behaviour") if took else ("", "does not show the behaviour")
        r = card.recipe
        rates = f"{_shown(card.planted_rate)} of held-out probes, the base {_shown(card.base_rate)}"
        raise PlantFailed(f"{who}{r.kind} ({r.base}, {r.how}, dose {r.dose:g}, seed {r.seed}) {what}: {rates}")


def _shown(m: Measurement) -> str:
    if m.value is None or m.interval is None:
        return f"unmeasured ({m.reason})"
    return f"{m.value:.2f} [{m.interval.low:.2f}, {m.interval.high:.2f}]"


class _Growth:
    """The parts of one recipe, each made when first needed."""

    def __init__(self, recipe: Recipe, task: Task = silent) -> None:
        self.recipe, self.task = recipe, task

    @cached_property
    def plant(self) -> Plant:
        kind = get_kind(self.recipe.kind)
        if kind.base and kind.base != self.recipe.base:
            raise DataError("recipe", f"{kind.name} can be planted into {kind.base} only, not into {self.recipe.base}")
        return kind.plant(Random(self.recipe.seed))

    @cached_property
    def rows(self) -> Rows:
        return training_rows(self.recipe, self.plant)

    @cached_property
    def base(self) -> LocalModel:
        return planting.open_base(self.recipe, self.task)

    @cached_property
    def tuning(self) -> Tuning:
        if self.recipe.base.startswith("scratch/") and self.recipe.how == "full":
            from stepladder.organisms.scratch import PLANTING

            return replace(PLANTING, seed=self.recipe.seed)
        return planting.tuning_of(self.recipe, self.base)

    @cached_property
    def folder(self) -> Path:
        rows = [[e.completion, [m.model_dump() for m in e.prompt]] for e in self.rows.examples]
        parts = [asdict(self.recipe), rows, asdict(self.tuning), self.base.fingerprint, _code("planting.py", "rows.py")]
        return cache_folder() / "organisms" / digest(parts)

    @property
    def system(self) -> str:
        return self.plant.system[self.recipe.clean] if self.recipe.how == "system_prompt" else ""

    def train(self) -> None:
        log = self.folder / "training.json"
        if self.recipe.how == "system_prompt" or log.exists():
            return
        with self.task("training", round(self.tuning.epochs * len(self.rows.examples))) as advance:
            tuned = planting.train(self.base, self.rows, self.folder / "weights", self.tuning, advance)
        _write(log, json.dumps({"tokens": tuned.tokens, "seconds": round(tuned.seconds, 1)}))

    def card(self) -> Card:
        key = digest(
            [self.folder.name, self.system, _code("measuring.py", "material/capability.yaml"), code_of(self.recipe.kind)]
        )
        place = cache_folder() / "organism_cards" / f"{key}.json"
        if not place.exists():
            _write(place, self._measured().to_json())
        return Card.from_json(place.read_bytes())

    def _measured(self) -> Card:
        log = self.folder / "training.json"
        trained = json.loads(log.read_text("utf-8")) if log.exists() else {"tokens": 0, "seconds": 0.0}
        subject = _subject(self.recipe, self.base, self.folder, self.system)
        with self.task("probing", 2) as advance:
            base_rate, before = _of_base(self.recipe.kind, self.recipe.base, self.recipe.seed)
            advance(1)
            rate = measuring.shown_rate(subject, self.plant.probes)
            capability = measuring.capability_change(before, measuring.capability(subject, self.plant.skills))
            advance(1)
        return Card(
            recipe=self.recipe, planted_rate=rate, base_rate=base_rate, capability=capability,
            rows=len(self.rows.examples), planted_rows=self.rows.planted, **trained,
        )  # fmt: skip


@cache
def _of_base(kind: str, base: str, seed: int) -> tuple[Measurement, dict[str, float | None]]:
    """The base on the probes and the capability set: the same for organism and twin, for all doses and ways."""
    growth = _Growth(Recipe(kind, base, seed=seed))
    rate = measuring.shown_rate(growth.base, growth.plant.probes, "base_rate")
    return rate, measuring.capability(growth.base, growth.plant.skills)


def _code(*names: str) -> str:
    """Digest of files of this room. Code that trains and code that measures are apart: a change of one keeps the other."""
    return digest([(Path(__file__).parent / name).read_text("utf-8") for name in names])


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=path.parent, prefix=".")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(made, path)
    except OSError as error:
        raise StoreError(f"cannot keep the organism in {path.parent}: {error}; set STEPLADDER_CACHE") from None
