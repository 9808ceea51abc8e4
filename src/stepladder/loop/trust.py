"""How far a verdict at the top of a chain of helpers can be trusted: each helper's error, carried up.

A helper that is right about a share Se of what is so and Sp of what is not is a noisy channel with Youden's index
J = Se + Sp - 1. Channels one behind the other multiply: J of a chain is the product of the J, exactly, when errors are
independent. Trust is the chain's balanced accuracy

    T = (1 + J_1 J_2 ... J_k) / 2            chance level 1/2: a coin's verdict

and its interval comes from draws of every Se and Sp from their Jeffreys posteriors. Errors that add up as badly as they can
(never together, never cancelling) leave `1 - sum (1 - T_j)`, which is shown beside it. W. J. Youden, Cancer 3 (1950).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepladder.core import Baseline, Finding, Interval, Measurement

DRAWS = 20_000
COIN = Baseline(name="a coin", value=0.5)


@dataclass(frozen=True)
class Channel:
    """One helper: its sensitivity and specificity with the numbers of independent units that each was measured on."""

    sensitivity: float
    specificity: float
    positives: int
    negatives: int

    @property
    def youden(self) -> float:
        """Sensitivity + specificity - 1: 1 for one who is always right, 0 for a coin, below 0 for a liar."""
        return self.sensitivity + self.specificity - 1

    @property
    def trust(self) -> float:
        """Balanced accuracy, 0 to 1."""
        return (1 + self.youden) / 2

    def draws(self, random: np.random.Generator) -> np.ndarray:
        """(DRAWS,) of Youden's index."""
        sensitivity = self._beta(random, self.sensitivity, self.positives)
        specificity = self._beta(random, self.specificity, self.negatives)
        return np.asarray(sensitivity + specificity - 1)

    @staticmethod
    def _beta(random: np.random.Generator, share: float, n: int) -> np.ndarray:
        drawn: np.ndarray = random.beta(share * n + 0.5, (1 - share) * n + 0.5, DRAWS)
        return drawn


def channel(finding: Finding) -> Channel | None:
    """The helper that a `helper_check` finding describes; `None` where either rate is unmeasured."""
    sensitivity, specificity = _overall(finding, "helper_sensitivity"), _overall(finding, "helper_specificity")
    if sensitivity.value is None or specificity.value is None:
        return None
    return Channel(sensitivity.value, specificity.value, sensitivity.n, specificity.n)


def _overall(finding: Finding, name: str) -> Measurement:
    return next(m for m in finding.select(name) if dict(m.labels) == {"defect": "none"})


def chain_trust(
    channels: Sequence[Channel | None], level: float = 0.95, labels: dict[str, str] | None = None
) -> Measurement:
    """Trust in what the last helper of the chain says; unmeasured as soon as one helper is."""
    known = [link for link in channels if link is not None]
    n = min((min(link.positives, link.negatives) for link in known), default=0)
    if not channels or len(known) < len(channels):
        reason = (
            "no helper was measured" if not known else f"{len(channels) - len(known)} of {len(channels)} helpers unmeasured"
        )
        return Measurement(name="trust", value=None, unit="share", n=n, reason=reason, labels=labels or {})
    value = (1 + float(np.prod([link.youden for link in known]))) / 2
    worst = max(0.0, 1 - sum(1 - link.trust for link in known))
    return Measurement(
        name="trust", value=value, unit="share", n=n, interval=_interval(known, value, level), baseline=COIN,
        labels=labels or {}, note=f"if errors add up as badly as they can: {worst:.3f}",
    )  # fmt: skip


def _interval(channels: Sequence[Channel], value: float, level: float) -> Interval:
    random = np.random.default_rng(0)
    drawn = (1 + np.prod([link.draws(random) for link in channels], axis=0)) / 2
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        low=min(float(low), value), high=max(float(high), value), level=level, method="draws from Jeffreys posteriors"
    )
