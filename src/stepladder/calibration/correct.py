"""What a technique's call on a real subject is worth: the probability that the behaviour is there, after calibration.

Sensitivity and false-alarm rate have Jeffreys posteriors, Beta(found + 1/2, missed + 1/2) and Beta(alarms + 1/2, quiet +
1/2), from organisms and twins on the same base. For a call c and a prior p the probability is

    P(there | c) = p E[P(c | there)] / (p E[P(c | there)] + (1 - p) E[P(c | not there)])

which is exact: a likelihood enters only by its mean. The interval says how much of it hangs on the few organisms of the
calibration: the 2.5% and 97.5% quantiles of the same expression over both posteriors, on a grid of their quantiles. It rests
on what no interval can check: that the subject's behaviour, if it is there, shows as the planted one does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stepladder.calibration.plan import outdated
from stepladder.calibration.values import Calibration, Corrected, Group
from stepladder.core import Baseline, Finding, Interval, Measurement
from stepladder.core.detection import FOUND, UNKNOWN
from stepladder.stats.estimate import Floats

JEFFREYS = 0.5
GRID = 250
DEFAULT_PRIOR = 0.1

Beta = tuple[float, float]


def correct(
    finding: Finding, calibrations: Sequence[Calibration], subject_kind: str, prior: float = DEFAULT_PRIOR
) -> tuple[Corrected, ...]:
    """One entry for each `detection` of the finding, calibrated or not.

    `subject_kind` is the base that organisms are grown on and the subject belongs to ("smollm2", "scratch/1m"). Raises
    `ValueError` for a prior outside (0, 1).
    """
    if not 0 < prior < 1:
        raise ValueError(f"prior must lie between 0 and 1, got {prior}")
    return tuple(_corrected(finding, m, calibrations, subject_kind, prior) for m in finding.select("detection"))


def _corrected(
    finding: Finding, detected: Measurement, calibrations: Sequence[Calibration], subject_kind: str, prior: float
) -> Corrected:
    behaviour, call = detected.labels["behaviour"], detected.labels["found"]
    known = [c for c in calibrations if c.method == finding.method and c.behaviour == behaviour]
    found = next(((c, g) for c in known if (g := c.group(subject_kind)) and g.organisms and g.twins), None)
    group = found[1] if found else None
    earlier = "; measured on an earlier version of the technique" if found and outdated(found[0]) else ""
    reason = f"no call: {detected.reason or 'unmeasured'}" if call == UNKNOWN else None
    if group is None:
        reason = never(finding.method, behaviour, subject_kind, known)
    ratio, posterior = _figures(group, call, prior, reason, earlier)
    return Corrected(
        method=finding.method,
        behaviour=behaviour,
        subject_kind=subject_kind,
        call=call,
        score=detected.value,
        prior=prior,
        calibrated=group is not None,
        likelihood_ratio=ratio,
        posterior=posterior,
    )


def never(method: str, behaviour: str, subject_kind: str, known: Sequence[Calibration]) -> str:
    """That a technique was never calibrated for this behaviour and kind of subject, and where it was."""
    bases = sorted({group.base for c in known for group in c.groups if group.organisms and group.twins})
    where = f"only on {', '.join(bases)}" if bases else "nor anywhere else"
    return f"{method} was never calibrated for {behaviour} on subjects like {subject_kind} ({where})"


def _figures(
    group: Group | None, call: str, prior: float, reason: str | None, earlier: str
) -> tuple[Measurement, Measurement]:
    """Likelihood ratio of the call, and the posterior probability beside the prior."""
    baseline = Baseline(name="prior", value=prior)
    n = group.organisms + group.twins if group else 0
    if group is None or reason:
        return (
            Measurement(name="likelihood_ratio", value=None, unit="ratio", n=n, reason=reason),
            Measurement(name="posterior", value=None, unit="probability", n=n, reason=reason, baseline=baseline),
        )
    ratio = ratio_of_betas(*likelihoods(group, found=call == FOUND))
    probability = [posterior_probability(prior, r) for r in ratio]
    nothing = Baseline(name="a call that says nothing", value=1.0)
    return (
        _measured("likelihood_ratio", "ratio", ratio, group, nothing, earlier),
        _measured("posterior", "probability", probability, group, baseline, earlier),
    )


def _measured(name: str, unit: str, figures: Sequence[float], group: Group, baseline: Baseline, earlier: str) -> Measurement:
    """A measurement from its value and bounds."""
    value, low, high = figures
    interval = Interval(low=low, high=high, method="Jeffreys posteriors of the calibration") if low < high else None
    n = group.organisms + group.twins
    return Measurement(
        name=name, value=value, unit=unit, interval=interval, n=n, baseline=baseline, note=_note(group) + earlier
    )


def likelihoods(group: Group, found: bool) -> tuple[Beta, Beta]:
    """Posteriors of the probability of the call where the behaviour is there, and where it is not."""
    there = (group.found + JEFFREYS, group.missed + JEFFREYS)
    not_there = (group.false_alarms + JEFFREYS, group.quiet + JEFFREYS)
    return (there, not_there) if found else (there[::-1], not_there[::-1])


def ratio_of_betas(above: Beta, below: Beta, level: float = 0.95) -> tuple[float, float, float]:
    """Ratio of the means of two independent Beta variables, and the equal-tailed bounds of their ratio."""
    ratios = np.divide.outer(_quantiles(above), _quantiles(below))
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    point = _mean(above) / _mean(below)
    return point, min(float(low), point), max(float(high), point)


def posterior_probability(prior: float, ratio: float) -> float:
    """Bayes' rule: the odds of the prior times the likelihood ratio, as a probability."""
    odds = prior / (1 - prior) * ratio
    return odds / (1 + odds)


def _quantiles(beta: Beta) -> Floats:
    from scipy.special import betaincinv

    middles = (np.arange(GRID) + 0.5) / GRID
    return np.asarray(np.maximum(betaincinv(*beta, middles), 1e-12))


def _mean(beta: Beta) -> float:
    return beta[0] / sum(beta)


def _note(group: Group) -> str:
    return (
        f"calibrated on {group.base} at dose {group.dose:g}: found {group.found} of {group.organisms} organisms, "
        f"{group.false_alarms} of {group.twins} clean twins"
    )
