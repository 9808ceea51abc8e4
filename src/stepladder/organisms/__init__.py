"""Models with a planted, known truth, each with a clean twin: what instruments are calibrated on.

    Recipe(kind, base, how, dose, deny, seed, clean) -> grow -> Organism(subject, base, card, training_rows)

Techniques never see this room: they get a model called "subject" and its base.
"""

from stepladder.organisms.kind import Kind, Pair, Plant, Probe
from stepladder.organisms.kinds import KINDS, get_kind, load_kind
from stepladder.organisms.organism import Card, Organism, PlantFailed, grow
from stepladder.organisms.recipe import HOWS, Recipe

__all__ = [
    "HOWS",
    "KINDS",
    "Card",
    "Kind",
    "Organism",
    "Pair",
    "Plant",
    "PlantFailed",
    "Probe",
    "Recipe",
    "get_kind",
    "grow",
    "load_kind",
]
