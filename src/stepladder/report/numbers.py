"""How a measurement is written: value, interval, n and unmeasured, or the reason why there is no value."""

from __future__ import annotations

from collections.abc import Mapping

from stepladder.core import Baseline, Interval, Measurement
from stepladder.core.values import Labels

PAIR_UNIT = "share of pairs"  # AUROC, by custom written as a number and not as a percentage
POINT_UNITS = frozenset(["points", "percentage points"])

NAMES: Mapping[str, str] = {
    "attack_success_rate": "Attack success",
    "attack_success_change": "Change in attack success",
    "refusal_rate": "Refusals of harmless requests",
    "over_refusal": "Over-refusal",
    "outcome_share": "Share of answers by outcome",
    "queries_per_success": "Queries per success",
    "asr_at_k": "Attack success within k tries",
    "auroc": "AUROC",
    "recall_at_fpr_1": "Recall at 1% false positives",
    "false_positive_rate": "False-positive rate",
    "added_compute": "Added compute",
    "power_law_exponent": "Exponent of the power law",
    "forecast_error": "Forecast minus held-out",
    "behaviours_broken": "Behaviours broken by at least one attack",
    "gain_over_direct": "Gain over the direct request",
    "cheapest_success": "Cheapest success",
    "queries_spent": "Queries spent",
    "attack_success_cell": "Attack success by family and category",
    "block_rate": "Attacks blocked by the guard",
    "lookalike_auroc": "AUROC against harmless near-twins",
    "lookalike_recall_at_fpr_1": "Recall at 1% false positives against harmless near-twins",
}


def is_share(unit: str) -> bool:
    """Whether values of that unit lie in [0, 1] and are written as percentages."""
    return unit.startswith("share") and unit != PAIR_UNIT


def words(name: str) -> str:
    """A measurement's or label's name as a reader would say it."""
    plain = name.replace("_", " ").strip()
    return NAMES.get(name, plain[:1].upper() + plain[1:])


def family_words(name: str) -> str:
    """An attack family's or other label's name as text; the family ``none`` is the request asked directly."""
    return "direct" if name == "none" else name.replace("_", " ")


def label_words(labels: Labels) -> str:
    """Labels as text: ``family: role play, condition: after``."""
    return ", ".join(f"{key.replace('_', ' ')}: {family_words(value)}" for key, value in labels.items())


def number(value: float, unit: str) -> str:
    """One number in its unit, without the unit's name where a sign says it."""
    if is_share(unit):
        return f"{_percent(value)}%"
    if unit in POINT_UNITS:
        return f"{_signed(100 * value)} points"
    if unit == PAIR_UNIT:
        return f"{value:.3f}"
    return f"{_plain(value)} {unit}".rstrip()


def interval(given: Interval | None, unit: str) -> str:
    """The interval alone, with its level where that is not 95%; ``no interval`` where none could be formed."""
    if given is None:
        return "no interval"
    low, high = (_bare(bound, unit) for bound in (given.low, given.high))
    level = "" if abs(given.level - 0.95) < 1e-9 else f" at {100 * given.level:g}%"
    return f"[{low}, {high}]{level}"


def value_text(m: Measurement) -> str:
    """The value, or ``unmeasured: reason``; never a blank and never a zero that was not measured."""
    return f"unmeasured: {m.reason}" if m.value is None else number(m.value, m.unit)


def full_text(m: Measurement) -> str:
    """A measurement in one line with all that it may not travel without."""
    lost = f", {m.unmeasured} unmeasured" if m.unmeasured else ""
    if m.value is None:
        return f"unmeasured: {m.reason} (n = {m.n}{lost})"
    return f"{number(m.value, m.unit)} {interval(m.interval, m.unit)} (n = {m.n}{lost})"


def baseline_text(baseline: Baseline | None, unit: str) -> str:
    """The trivial baseline with its interval; says so where it could not be measured."""
    if baseline is None:
        return "none"
    if baseline.value is None:
        return f"{baseline.name}: unmeasured"
    return f"{baseline.name}: {number(baseline.value, unit)} {interval(baseline.interval, unit)}"


def _bare(value: float, unit: str) -> str:
    if is_share(unit):
        return _percent(value)
    if unit in POINT_UNITS:
        return _signed(100 * value)
    return f"{value:.3f}" if unit == PAIR_UNIT else _plain(value)


def _percent(value: float) -> str:
    text = f"{100 * value:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", "−")


def _signed(value: float) -> str:
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def _plain(value: float) -> str:
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.2e}".replace("-", "−")
    text = f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"
    return text.replace("-", "−")
