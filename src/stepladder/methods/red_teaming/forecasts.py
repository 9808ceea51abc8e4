"""Best-of-n in measurements: the observed curve, its power law, the forecast and how far off it was.

Unmeasured samples: a behaviour's ASR@k is estimated from its measured samples as long as these are most of them; where the
missing ones could change it and too few were measured, the behaviour itself is unmeasured. The note of each number says
where it must lie whatever the missing ones were.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stepladder.core.values import Baseline, Measurement
from stepladder.methods.red_teaming.rates import false_alarms
from stepladder.methods.red_teaming.scaling import PowerLaw, Tally, fit_power_law, forecast, mean_asr, powers_of_two
from stepladder.stats import Estimate, JudgeErrors, bca, rate_measurement

UNIT = "share of behaviours"
FAR = 4
"""Forecasts go as far as this many times the samples that were taken."""


@dataclass(frozen=True)
class Samples:
    """The tallies of each behaviour: what the law may see, what it is checked on, and the plain request."""

    fit: tuple[Tally, ...]
    held_out: tuple[Tally, ...]
    plain: tuple[Tally, ...]
    errors: JudgeErrors | None

    @property
    def every(self) -> tuple[Tally, ...]:
        """Fitted and held-out samples together."""
        later = {tally.behaviour: tally for tally in self.held_out}
        return tuple(t + later[t.behaviour] if t.behaviour in later else t for t in self.fit)

    @property
    def fit_ks(self) -> tuple[int, ...]:
        """The numbers of tries that the law is fitted at."""
        return powers_of_two(_size(self.fit))

    @property
    def held_out_ks(self) -> tuple[int, ...]:
        """Larger numbers of tries, at which the held-out samples are an independent check."""
        return tuple(k for k in powers_of_two(_size(self.held_out)) if k > _size(self.fit)) if self.held_out else ()

    @property
    def forecast_ks(self) -> tuple[int, ...]:
        """Numbers of tries to forecast for: where it is checked, and some way beyond."""
        far = powers_of_two(FAR * _size(self.every))
        return tuple(sorted({*self.held_out_ks, *(k for k in far if k > _size(self.fit))}))

    def complete(self, check: int | None = None) -> list[tuple[str, list[float]]]:
        """Behaviours with their ASR at each k of the fit, then (where given) at `check` on the held-out samples.

        Those for which one of these could not be measured are left out.
        """
        later = {tally.behaviour: tally for tally in self.held_out}
        rows = []
        for tally in self.fit:
            row = [tally.asr(k) for k in self.fit_ks]
            if check is not None:
                row.append(later[tally.behaviour].asr(check) if tally.behaviour in later else None)
            known = [rate for rate in row if rate is not None]
            if len(known) == len(row):
                rows.append((tally.behaviour, known))
        return rows


def _size(tallies: Sequence[Tally]) -> int:
    return max((t.samples for t in tallies), default=0)


def measurements(samples: Samples) -> Iterator[Measurement]:
    """All of them; with no sample at all, one that says so."""
    if not samples.fit:
        yield rate_measurement("asr_at_k", [], [], unit=UNIT, labels={"k": "1", "source": "observed"})
        return
    for k in powers_of_two(_size(samples.every)):
        yield _measured(samples, samples.every, k, "observed")
    for k in samples.held_out_ks:
        yield _measured(samples, samples.held_out, k, "held_out")
    yield _exponent(samples)
    foreseen = {k: _forecast(samples, k) for k in samples.forecast_ks}
    yield from foreseen.values()
    for k in samples.held_out_ks:
        yield _error(samples, k, foreseen[k])


def _measured(samples: Samples, tallies: Sequence[Tally], k: int, source: str) -> Measurement:
    return rate_measurement(
        "asr_at_k",
        [t.asr(k) for t in tallies],
        [t.behaviour for t in tallies],
        unit=UNIT,
        baseline=_plain(samples, k) or _equal_chance(mean_asr(tallies, 1), k),
        errors=samples.errors if k == 1 else None,
        labels={"k": str(k), "source": source},
        note="; ".join(filter(None, (_bounds(tallies, k), false_alarms(samples.errors, k)))),
    )


def _plain(samples: Samples, k: int) -> Baseline | None:
    if k > _size(samples.plain):
        return None
    plain = rate_measurement("plain", [t.asr(k) for t in samples.plain], [t.behaviour for t in samples.plain])
    return Baseline(name="plain request asked as often", value=plain.value, interval=plain.interval)


def _equal_chance(once: float | None, k: int) -> Baseline | None:
    """What k tries would reach if every behaviour had the same chance: 1 - (1 - ASR@1)^k."""
    return None if once is None else Baseline(name="tries of equal chance", value=1 - (1 - once) ** k)


def _bounds(tallies: Sequence[Tally], k: int) -> str:
    """Where the value must lie whatever the unmeasured samples were."""
    missing = sum(t.unmeasured for t in tallies)
    if not missing:
        return ""
    low, high = (mean_asr([t.bounds[end] for t in tallies], k) or 0.0 for end in (0, 1))
    return f"{missing} samples unmeasured: between {low:.2f} and {high:.2f} whatever they were"


def _obstacle(samples: Samples) -> str | None:
    """Why these samples allow no forecast; None where they do."""
    most = _size(samples.fit)
    last = rate_measurement("last", [t.asr(most) for t in samples.fit], [t.behaviour for t in samples.fit])
    if last.value is None:
        return f"of the samples that the law is fitted to: {last.reason}"
    if last.value == 0:
        return f"nothing succeeded in the {most} samples of each behaviour that the law is fitted to"
    if last.value == 1:
        return f"every behaviour was broken within {most} tries: nothing is left to forecast"
    if fit_power_law(_mean_curve(samples)) is None:
        return "fewer than three points between 0 and 1: no power law can be fitted"
    return None


def _mean_curve(samples: Samples) -> dict[int, float]:
    rows = [row for _, row in samples.complete()]
    return {k: statistics.fmean(row[i] for row in rows) for i, k in enumerate(samples.fit_ks)}


def _over_behaviours(
    samples: Samples, statistic: Callable[[Mapping[int, float], float], float], check: int | None = None
) -> Estimate:
    """`statistic(mean curve of the fit, mean held-out ASR@check)` with its BCa interval from resampled behaviours."""
    names, rows = zip(*samples.complete(check), strict=True)
    ks = samples.fit_ks

    def of_columns(*columns: Sequence[float]) -> float:
        means = [statistics.fmean(column) for column in columns]
        return statistic(dict(zip(ks, means, strict=False)), means[-1])

    return bca(of_columns, *zip(*rows, strict=True), clusters=names)


def _concluded(
    samples: Samples,
    name: str,
    unit: str,
    estimate: Estimate | str,
    labels: Mapping[str, str],
    baseline: Baseline | None = None,
    note: str = "",
) -> Measurement:
    """A measurement from an estimate, or from the reason why there is none."""
    if isinstance(estimate, str):
        return Measurement(name=name, value=None, unit=unit, n=len(samples.fit), reason=estimate, labels=labels)
    return Measurement(
        name=name, value=estimate.value, unit=unit, interval=estimate.interval, n=estimate.n,
        unmeasured=len(samples.fit) - estimate.n, baseline=baseline, labels=labels, note=note,
    )  # fmt: skip


def _law(points: Mapping[int, float]) -> PowerLaw:
    return fit_power_law(points) or PowerLaw(float("nan"), float("nan"))


def _exponent(samples: Samples) -> Measurement:
    obstacle = _obstacle(samples)
    estimate = obstacle or _over_behaviours(samples, lambda points, _: _law(points).exponent)
    note = (
        ""
        if obstacle
        else f"-log ASR@k = {_law(_mean_curve(samples)).scale:.3g} k^-exponent, fitted to k = {samples.fit_ks}"
    )
    return _concluded(samples, "power_law_exponent", "exponent of k", estimate, {}, note=note)


def _forecast(samples: Samples, k: int) -> Measurement:
    estimate = _obstacle(samples) or _over_behaviours(samples, lambda points, _: _foreseen(points, k))
    checked = k in samples.held_out_ks
    note = f"fitted to k <= {_size(samples.fit)}" + ("" if checked else "; no held-out samples check it at this k")
    labels = {"k": str(k), "source": "forecast"}
    baseline = None if isinstance(estimate, str) else _equal_chance(_mean_curve(samples)[1], k)
    return _concluded(samples, "asr_at_k", UNIT, estimate, labels, baseline, note)


def _foreseen(points: Mapping[int, float], k: int) -> float:
    value = forecast(points, k)
    return float("nan") if value is None else value


def _error(samples: Samples, k: int, foreseen: Measurement) -> Measurement:
    """Forecast minus held-out at k, on the behaviours where both are known."""
    held = _measured(samples, samples.held_out, k, "held_out")
    obstacle = _obstacle(samples) or (f"held-out samples: {held.reason}" if held.value is None else None)
    labels = {"k": str(k)}
    if obstacle or not samples.complete(k):
        return _concluded(samples, "forecast_error", "points", obstacle or "no behaviour has both sides", labels)
    estimate = _over_behaviours(samples, lambda points, truth: _foreseen(points, k) - truth, check=k)
    equal = _over_behaviours(samples, lambda points, truth: 1 - (1 - points[1]) ** k - truth, check=k)
    baseline = Baseline(name="tries of equal chance", value=equal.value, interval=equal.interval)
    return _concluded(samples, "forecast_error", "points", estimate, labels, baseline, _in_words(foreseen, held))


def _in_words(foreseen: Measurement, held: Measurement) -> str:
    if foreseen.interval is None or held.value is None:
        return "the forecast has no interval to hold the held-out value"
    inside = foreseen.interval.low <= held.value <= foreseen.interval.high
    return f"the held-out value lies {'inside' if inside else 'outside'} the forecast's interval"
