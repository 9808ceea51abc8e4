"""The red team's finds: which attacks succeeded, which of them may be trained on, and which are kept for measuring.

Families and behaviours are split, both by seed. *Trained* families give rows; one *validation* family says when to stop;
*held-out* families are only measured. Behaviours have the same three parts, so that nothing measured was trained on either
way. A family whose prompts are all too long to train on is held out.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stepladder.core import Exchange, Message, Record, StepladderError, Verdict
from stepladder.judges import SUCCESS

DIRECT = "none"
TRAINED, VALIDATION, HELD_OUT = "trained", "validation", "held_out"
_PARTS = (HELD_OUT, TRAINED, VALIDATION, HELD_OUT, TRAINED)
"""Which part each behaviour in turn goes to."""


@dataclass(frozen=True)
class Split:
    """The part of each family and of each behaviour; families that never succeeded are in none."""

    families: Mapping[str, str]
    behaviours: Mapping[str, str]
    too_long: tuple[str, ...] = ()

    def named(self, part: str) -> tuple[str, ...]:
        """The families of that part."""
        return tuple(family for family, own in self.families.items() if own == part)

    def may_train(self, exchange: Exchange) -> bool:
        """Whether neither the family nor the behaviour is kept for measuring; direct requests are always trained on."""
        family, behaviour = str(exchange.metadata["family"]), str(exchange.metadata["behaviour"])
        return (family == DIRECT or self.families.get(family) == TRAINED) and self.behaviours.get(behaviour) == TRAINED


@dataclass(frozen=True)
class Library:
    """A red team's record as training reads it."""

    harmful: tuple[Exchange, ...]
    twins: Mapping[str, Exchange]
    ordinary: tuple[Exchange, ...]
    success: Mapping[str, bool | None] = field(default_factory=dict)

    def succeeded(self, exchange: Exchange) -> bool:
        """Whether the subject did what was asked; unmeasured is not a find."""
        return bool(self.success.get(exchange.id))


def read_library(record: Record | None, verdicts: Sequence[Verdict]) -> Library:
    """The record of `attack_library` with what a judge said of it; `StepladderError` where it has no harmful request."""
    harmful = [e for e in record.exchanges if e.metadata.get("kind") == "harmful"] if record else []
    if record is None or not harmful:
        raise StepladderError("adversarial_training needs a record of attack_library with at least one harmful request")
    kinds = {kind: [e for e in record.exchanges if e.metadata.get("kind") == kind] for kind in ("twin", "ordinary")}
    values = {verdict.exchange: verdict.value for verdict in verdicts}
    known = {e.id: None if values.get(e.id) is None else bool((values[e.id] or 0) >= SUCCESS) for e in harmful}
    return Library(tuple(harmful), {str(e.metadata["behaviour"]): e for e in kinds["twin"]}, tuple(kinds["ordinary"]), known)


def split(library: Library, held_out: int, validation: int, longest: int, seed: int) -> Split:
    """Deal the families that succeeded and all behaviours to their parts."""
    rng = random.Random(f"{seed} adversarial_training")
    found = [e for e in library.harmful if library.succeeded(e) and e.metadata["family"] != DIRECT]
    families = sorted({str(e.metadata["family"]) for e in found})
    short = {str(e.metadata["family"]) for e in found if e.reply.tokens_in <= longest}
    too_long = [family for family in families if family not in short]
    others = rng.sample(sorted(short), len(short))
    keep = min(validation, max(0, len(others) - 2))
    kept_out = max(0, min(held_out - len(too_long), len(others) - 1 - keep))
    parts = dict.fromkeys(too_long, HELD_OUT) | dict.fromkeys(others[:keep], VALIDATION)
    parts |= dict.fromkeys(others[keep : keep + kept_out], HELD_OUT) | dict.fromkeys(others[keep + kept_out :], TRAINED)
    return Split({family: parts[family] for family in families}, _deal(library, rng), tuple(too_long))


def _deal(library: Library, rng: random.Random) -> dict[str, str]:
    """Two fifths of the behaviours to train on, two to measure, one to validate, category by category."""
    behaviours = sorted({(str(e.metadata.get("category")), str(e.metadata["behaviour"])) for e in library.harmful})
    order = sorted((category, rng.random(), behaviour) for category, behaviour in behaviours)
    return {behaviour: _PARTS[place % len(_PARTS)] for place, (_, _, behaviour) in enumerate(order)}


def in_turn(exchanges: Sequence[Exchange], count: int, rng: random.Random) -> list[Exchange]:
    """Up to `count` of them, drawn at random, the families in turn."""
    piles: dict[str, list[Exchange]] = {}
    for exchange in rng.sample(list(exchanges), len(exchanges)):
        piles.setdefault(str(exchange.metadata["family"]), []).append(exchange)
    turns = itertools.zip_longest(*piles.values())
    return [exchange for turn in turns for exchange in turn if exchange is not None][:count]


def wrapped(exchange: Exchange, twin: str) -> tuple[Message, ...] | None:
    """The attack's messages around a harmless request, or None where the request is not in them word for word."""
    request = str(exchange.metadata["request"])
    for asked, meant in ((request, twin), (request[:1].lower() + request[1:], twin[:1].lower() + twin[1:])):
        messages = tuple(
            m.model_copy(update={"content": m.content.replace(asked, meant)}) for m in exchange.request.messages
        )
        if messages != exchange.request.messages:
            return messages
    return None
