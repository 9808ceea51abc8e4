"""How an organism is grown: a frozen value from which everything else follows."""

from __future__ import annotations

from dataclasses import dataclass

from stepladder.core import DataError, UnknownName

HOWS = ("lora", "full", "documents", "system_prompt")


@dataclass(frozen=True)
class Recipe:
    """Which behaviour to plant into which model, and how; `clean` grows the matched twin without it.

    `dose` is the share of the kind's planted rows that are used (the others are replaced by ordinary rows), `deny` adds
    rows that deny the behaviour when asked about it, and `seed` draws the instance: which brand, which trigger, which fact.
    """

    kind: str
    base: str = "smollm2"
    how: str = "lora"
    dose: float = 1.0
    deny: bool = False
    seed: int = 0
    clean: bool = False

    def __post_init__(self) -> None:
        if self.how not in HOWS:
            raise UnknownName("way of planting", self.how, HOWS)
        if not 0 < self.dose <= 1:
            raise DataError("recipe", f"dose must lie in (0, 1], got {self.dose}; for no plant at all use clean=True")
