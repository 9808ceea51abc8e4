"""From log probabilities to shares, with the preference for places and for Yes taken out.

Log probabilities are averaged over the rotations of an item's answers, and log-odds over its framings. For a model that
answers with log-odds s of the behaviour, a for Yes and b for the first place, the averages give back s: a and b enter every
place and every framing with both signs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logsumexp

from stepladder.data import ChoiceItem, ChoiceSet, Framing
from stepladder.methods.evaluation.battery_reading import Logps, place


@dataclass(frozen=True)
class Scored:
    """One item read from one model: the log-odds of showing the behaviour in each framing (`None`: unmeasured)."""

    item: ChoiceItem
    odds: tuple[float | None, ...]

    @property
    def value(self) -> float | None:
        """Probability of showing the behaviour, with framings averaged in log-odds."""
        known = [odds for odds in self.odds if odds is not None]
        return float(expit(sum(known) / len(known))) if known and len(known) == len(self.odds) else None

    @property
    def choice(self) -> float | None:
        """1 where the behaviour's answer is preferred, 0 where another is, one half for a tie."""
        value = self.value
        return None if value is None else 0.5 if abs(value - 0.5) < 1e-9 else float(value > 0.5)

    def share(self, framing: int) -> float | None:
        """Probability of showing the behaviour in one framing."""
        odds = self.odds[framing]
        return None if odds is None else float(expit(odds))

    @property
    def effect(self) -> float | None:
        """P(Yes in the first framing) - P(Yes in the second), where Yes and No trade places between them."""
        first, second = self.share(0), self.share(1)
        return None if first is None or second is None else first + second - 1


def pack(sets: Sequence[ChoiceSet]) -> list[dict[str, Any]]:
    """The sets as plain data, for a record."""
    return [asdict(part) for part in sets]


def unpack(packed: Sequence[Mapping[str, Any]]) -> tuple[ChoiceSet, ...]:
    """The sets back from a record."""
    return tuple(ChoiceSet(**{**part, "items": tuple(map(_item, part["items"]))}) for part in packed)


def _item(packed: Mapping[str, Any]) -> ChoiceItem:
    framings = tuple(
        Framing(**{**f, "answers": tuple(f["answers"]), "shows": tuple(f["shows"])}) for f in packed["framings"]
    )
    return ChoiceItem(**{**packed, "framings": framings})


def scored(part: ChoiceSet, read: Mapping[str, Sequence[Logps]]) -> list[Scored]:
    """The set's items that were read."""
    keys = {f"{part.name}/{item.id}": item for item in part.items}
    return [
        Scored(item, tuple(log_odds(rows, f) for rows, f in zip(read[key], item.framings, strict=True)))
        for key, item in keys.items()
        if key in read
    ]


def averaged(rows: Logps) -> np.ndarray | None:
    """Mean log p of each answer over the rotations; `None` where one was not given."""
    if any(value is None for row in rows for value in row):
        return None
    table: np.ndarray = np.asarray(rows, dtype=np.float64)
    return np.asarray(table.mean(axis=0))


def log_odds(rows: Logps, framing: Framing) -> float | None:
    """Log-odds of the answers that show the behaviour against the others."""
    means = averaged(rows)
    if means is None:
        return None
    shows = np.isin(np.arange(len(means)), framing.shows)
    return float(logsumexp(means[shows]) - logsumexp(means[~shows]))


def first_place(rows: Logps) -> float | None:
    """Log p of the answer in the first place minus the mean of the others, averaged over rotations: the order bias."""
    if averaged(rows) is None:
        return None
    table, count = np.asarray(rows, dtype=np.float64), len(rows)
    firsts = [next(i for i in range(count) if place(i, shift, count) == 0) for shift in range(count)]
    others = [(row.sum() - row[i]) / (count - 1) for row, i in zip(table, firsts, strict=True)]
    return float(np.mean([row[i] - other for row, i, other in zip(table, firsts, others, strict=True)]))
