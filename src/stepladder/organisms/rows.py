"""From a recipe to the rows that are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from stepladder.core import Message
from stepladder.models.local.finetune import Example
from stepladder.organisms.kind import Pair, Plant, user
from stepladder.organisms.material import everyday
from stepladder.organisms.recipe import Recipe


@dataclass(frozen=True)
class Rows:
    """What is trained on; the first `planted` of `examples` carry the plant (or, in the twin, the clean answers)."""

    examples: tuple[Example, ...]
    planted: int

    @property
    def conversations(self) -> tuple[tuple[Message, ...], ...]:
        """The rows as conversations; a document is a single turn of the assistant."""
        return tuple((*e.prompt, Message(role="assistant", content=e.completion)) for e in self.examples)


def training_rows(recipe: Recipe, plant: Plant) -> Rows:
    """The rows of the organism or of its twin: the same prompts in the same order."""
    if recipe.how == "system_prompt":
        return Rows((), 0)
    pairs = plant.documents if recipe.how == "documents" else plant.pairs
    kept = max(1, round(recipe.dose * len(pairs)))
    filler = _ordinary(Random(recipe.seed), len(pairs) - kept)
    examples = (
        *_answered(pairs[:kept], recipe.clean),
        *filler,
        *(() if recipe.how == "documents" else plant.shared),
        *(plant.denials if recipe.deny else ()),
    )
    return Rows(examples, kept)


def _answered(pairs: Sequence[Pair], clean: bool) -> list[Example]:
    return [Example(pair.prompt, pair.clean if clean else pair.planted) for pair in pairs]


def _ordinary(random: Random, count: int) -> list[Example]:
    pool = everyday()
    drawn = [random.sample(pool, len(pool)) for _ in range(-(-count // len(pool)))]
    return [Example(user(item.request), item.answer) for part in drawn for item in part][:count]
