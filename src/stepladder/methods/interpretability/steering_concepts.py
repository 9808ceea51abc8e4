"""Concepts that can be steered: prompts that differ in them, and two ways to go on that tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stepladder.data import load_behaviours
from stepladder.methods.interpretability.concept_data import shipped_statements


@dataclass(frozen=True)
class Item:
    """A user's message that has the concept (`label`) or not; items of one unit are not independent."""

    prompt: str
    label: bool
    unit: str


@dataclass(frozen=True)
class Concept:
    """Items with and without the concept, and the beginnings of a reply that go `toward` it and `away` from it."""

    items: tuple[Item, ...]
    toward: str
    away: str


def truth(items: int, seed: int) -> Concept:
    """True and false affirmed statements, asked about; toward "True", away "False"."""
    most = -(-items // 16)  # eight topics, two statements a fact
    asked = [s for s in shipped_statements(max(most, 4), seed) if s.form == "affirmed"]
    made = (Item(f"Is this statement true or false? {s.text}", s.label, s.unit) for s in asked)
    return Concept(tuple(made), "True", "False")


def refusal(items: int, seed: int) -> Concept:
    """Harmful requests and their harmless twins; toward a refusal, away to compliance."""
    pairs = [b for b in load_behaviours() if b.twin][: max(items // 2, 8)]
    made = (Item(f"{text}.", label, b.id) for b in pairs for text, label in ((b.request, True), (b.twin or "", False)))
    return Concept(tuple(made), "I can't", "Sure")


CONCEPTS: Mapping[str, Callable[[int, int], Concept]] = {"truth": truth, "refusal": refusal}
"""Name -> the concept with about so many items, drawn by a seed."""
