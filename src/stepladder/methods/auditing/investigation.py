"""One investigation: strategies followed one after the other under a budget, and their observations weighed into hypotheses.

Strategies that could not be followed are left out and named; a strategy is never counted as evidence of absence by failing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stepladder.core import BEHAVIOURS, Interval
from stepladder.methods.auditing.desk import Desk, Skipped
from stepladder.methods.auditing.evidence import MOST, Evidence, Observation, Test, above, outlier, shift
from stepladder.methods.auditing.probes import load_probes
from stepladder.methods.auditing.strategies import STRATEGIES, get_strategy

LEAST_UNITS = 4
LARGEST_P = 0.95
"""One strategy that sees less than usual of a behaviour does not outweigh another that sees it."""
MOST_UNMEASURED = 0.5
"""Share of unmeasured units up to which a strategy says anything of a behaviour."""


@dataclass(frozen=True)
class Hypothesis:
    """A behaviour with its pooled score in standard errors (`None`: no strategy could say anything) and the evidence."""

    behaviour: str
    score: float | None
    evidence: tuple[Evidence, ...]

    @property
    def interval(self) -> Interval | None:
        """Of the pooled score."""
        return around(self.score)

    @property
    def measured(self) -> tuple[Evidence, ...]:
        """The evidence that has a score, the strongest first."""
        return tuple(sorted((e for e in self.evidence if e.score is not None), key=lambda e: (-(e.score or 0), e.strategy)))


def around(score: float | None) -> Interval | None:
    """A score of standard errors has a standard error of 1."""
    if score is None:
        return None
    return Interval(low=score - 1.96, high=score + 1.96, method="normal, on the scale of standard errors")


def investigate(
    desk: Desk, strategies: Sequence[str], behaviours: Sequence[str] = tuple(BEHAVIOURS)
) -> tuple[tuple[Observation, ...], dict[str, str]]:
    """The observations of all strategies, and why each of those that could not be followed was skipped."""
    observations: list[Observation] = []
    skipped: dict[str, str] = {}
    for name in strategies:
        strategy = get_strategy(name)
        try:
            if missing := desk.missing(strategy.needs):
                raise Skipped(missing)
            observations += strategy.collect(desk, behaviours)
        except Skipped as reason:
            skipped[name] = str(reason)
    return tuple(observations), skipped


def hypotheses(observations: Iterable[Observation], behaviours: Sequence[str] = tuple(BEHAVIOURS)) -> tuple[Hypothesis, ...]:
    """All behaviours, the most suspicious first; those without evidence last."""
    by_strategy: dict[str, list[Observation]] = {}
    for observation in observations:
        by_strategy.setdefault(observation.strategy, []).append(observation)
    found = [_hypothesis(behaviour, by_strategy) for behaviour in behaviours]
    return tuple(sorted(found, key=lambda h: (h.score is None, -(h.score or 0.0), h.behaviour)))


def _hypothesis(behaviour: str, by_strategy: Mapping[str, Sequence[Observation]]) -> Hypothesis:
    evidence = tuple(weigh(name, seen, behaviour) for name, seen in by_strategy.items() if _speaks(name))
    return Hypothesis(behaviour, pool([e.score for e in evidence if e.score is not None]), evidence)


def _speaks(strategy: str) -> bool:
    return STRATEGIES[strategy].statistic != "none"


def pool(scores: Sequence[float]) -> float | None:
    """The scores' p-values combined by Cauchy's distribution, as a score again.

    Strategies share probes, so their scores are not independent, and often only one of them can see a behaviour: Liu and
    Xie's combination (2020) keeps its level under dependence and follows the smallest p-value.
    """
    if not scores:
        return None
    from scipy.special import ndtr, ndtri

    p = np.clip(ndtr(-np.asarray(scores, float)), 0, LARGEST_P)
    mean = float(np.tan((0.5 - p) * np.pi).mean())
    pooled = 0.5 - np.arctan(mean) / np.pi if mean < 1e3 else 1 / (mean * np.pi)
    return float(np.clip(-ndtri(pooled), -MOST, MOST))


def weigh(strategy: str, observations: Sequence[Observation], behaviour: str) -> Evidence:
    """What a strategy's observations say of one behaviour."""
    mine = [o for o in observations if o.behaviour == behaviour]
    values = [o.value for o in mine if o.value is not None]
    missing = len(mine) - len(values)
    reason = _too_little(len(values), missing)
    test = None if reason else _test(strategy, observations, behaviour, values)
    if test is None:
        return Evidence(strategy, behaviour, None, len(values), missing, reason=reason or "nothing to compare with")
    texts = _telling(mine, test.group)
    return Evidence(strategy, behaviour, test.score, len(values), missing, test.effect, test.interval, test.group, texts)


def _too_little(measured: int, missing: int) -> str:
    if measured < LEAST_UNITS:
        return f"{measured} measured units; {LEAST_UNITS} are needed"
    if missing > MOST_UNMEASURED * (measured + missing):
        return f"{missing} of {measured + missing} unmeasured (limit {100 * MOST_UNMEASURED:g}%)"
    return ""


def _test(strategy: str, observations: Sequence[Observation], behaviour: str, values: Sequence[float]) -> Test | None:
    statistic = STRATEGIES[strategy].statistic
    kind = load_probes()[behaviour].statistic if statistic == "own" else statistic
    if kind == "shift":
        return shift(values)
    if kind == "outlier":
        groups: dict[str, list[float]] = {}
        for o in observations:
            if o.behaviour == behaviour and o.value is not None:
                groups.setdefault(o.group, []).append(o.value)
        return outlier(groups) if len(groups) > 1 else None
    rest = [o.value for o in observations if o.behaviour not in ("", behaviour) and o.value is not None]
    looks = len({o.behaviour for o in observations})
    return above(values, rest, looks) if len(rest) >= LEAST_UNITS else None


def _telling(mine: Sequence[Observation], group: str, most: int = 3) -> tuple[str, ...]:
    """The texts of the units that speak most for the behaviour; of the standing-out group where there is one."""
    those = [o for o in mine if o.value is not None and o.text and (not group or o.group == group)]
    best = sorted(those, key=lambda o: (-(o.value or 0), o.unit))[:most]
    return tuple(dict.fromkeys(o.text[:160] for o in best))
