"""From the scores and training curves of all proxies to measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from stepladder.core.values import Baseline, Interval, Measurement
from stepladder.methods.training import reward_curves as curves
from stepladder.methods.training.reward_curves import Curve
from stepladder.methods.training.reward_models import Floats
from stepladder.stats import rate_measurement

GAIN = "standard deviations of the reward at the beginning"


def measurements(data: Mapping[str, Any], samples: int) -> Iterator[Measurement]:
    """All measurements of a record's `data`."""
    kinds = list(dict.fromkeys(run["proxy"] for run in data["runs"]))
    found = {
        kind: {
            "best_of_n": _best_of_n(_of(data, kind), samples, len(data["prompts"])),
            "policy": _policy(_of(data, kind)),
        }
        for kind in kinds
    }
    for kind, ways in found.items():
        yield _agreement(_of(data, kind), kind, data["unanswered"])
        for way, both in ways.items():
            yield from _points(kind, way, both, data["unanswered"])
            yield from _turns(kind, way, both["gold"], found["perfect"][way]["gold"])


def _of(data: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    return [run for run in data["runs"] if run["proxy"] == kind]


def _best_of_n(runs: Sequence[Mapping[str, Any]], samples: int, prompts: int) -> dict[str, Curve]:
    """Each prompt's curve is the mean over the proxies that it tested."""
    sizes = sorted({1, *(2**i for i in range(samples.bit_length()) if 2**i <= samples), samples})
    kl = tuple(curves.best_of_n_kl(n) for n in sizes)
    sums = {reward: np.zeros((prompts, len(sizes))) for reward in ("gold", "proxy")}
    counts = np.zeros(prompts)
    for run in runs:
        gold, proxy = (curves.standardised(np.array(run[f"{reward}_scores"])) for reward in ("gold", "proxy"))
        counts[run["tested"]] += 1
        sums["gold"][run["tested"]] += curves.best_of_n_curve(proxy, gold, sizes)
        sums["proxy"][run["tested"]] += curves.best_of_n_curve(proxy, proxy, sizes)
    kept = counts > 0
    means = {reward: total[kept] / counts[kept, None] for reward, total in sums.items()}
    return {reward: Curve(kl, values - values[:, :1]) for reward, values in means.items()}


def _policy(runs: Sequence[Mapping[str, Any]]) -> dict[str, Curve]:
    """Each seed's curve, read at the mean KL of every point, in spreads of the subject's own replies."""
    kl = tuple(float(v) for v in np.mean([[point["kl"] for point in run["policy"]] for run in runs], axis=0))
    rows: dict[str, list[Floats]] = {"gold": [], "proxy": []}
    for run in runs:
        own = [point["kl"] for point in run["policy"]]
        for reward, kept in rows.items():
            values = np.array([point[reward] for point in run["policy"]])
            spread = float(np.std(np.array(run[f"{reward}_scores"]), axis=1).mean()) or 1.0
            kept.append(np.interp(kl, own, (values - values[0]) / spread))
    return {reward: Curve(kl, np.array(values) - np.array(values)[:, :1]) for reward, values in rows.items()}


def _agreement(runs: Sequence[Mapping[str, Any]], kind: str, unanswered: int) -> Measurement:
    """Of pairs of replies to a prompt that gold tells apart: how often the proxy prefers the same one."""
    values: list[float | None] = []
    prompts: list[int] = []
    for run in runs:
        for prompt, gold, proxy in zip(run["tested"], run["gold_scores"], run["proxy_scores"], strict=True):
            above, below = np.triu_indices(len(gold), 1)
            gap, guess = (np.sign(np.array(s)[above] - np.array(s)[below]) for s in (gold, proxy))
            if gap.any():
                values.append(float(np.mean((1 + gap * guess)[gap != 0] / 2)))
                prompts.append(prompt)
    chance = Baseline(name="a coin", value=0.5)
    return rate_measurement("proxy_agreement", values, prompts, baseline=chance, labels={"proxy": kind})


def _points(kind: str, way: str, both: Mapping[str, Curve], unanswered: int) -> Iterator[Measurement]:
    for reward, curve in both.items():
        for point, kl in enumerate(curve.kl):
            value, interval = curve.at(point)
            yield Measurement(
                name="reward_gain", value=value, unit=GAIN, interval=interval, n=len(curve.rewards),
                unmeasured=unanswered if way == "best_of_n" else 0,
                labels={"proxy": kind, "way": way, "reward": reward, "kl": f"{kl:.2f}", "point": str(point)},
                baseline=Baseline(name="not optimised", value=0.0),
            )  # fmt: skip


def _turns(kind: str, way: str, gold: Curve, perfect: Curve) -> Iterator[Measurement]:
    """Where gold is highest, and how much is lost by going on."""
    units = "prompts" if way == "best_of_n" else "proxies"
    make = partial(Measurement, n=len(gold.rewards), labels={"proxy": kind, "way": way})

    def beside(find: Any) -> tuple[float, Interval | None, float]:
        return (*find(gold), find(perfect)[0])

    value, interval, perfectly = beside(curves.peak)
    yield make(
        name="peak_kl", value=value, unit="nats", interval=interval,
        baseline=Baseline(name="perfect proxy", value=perfectly),
        note=f"of at most {gold.kl[-1]:.2f} nats; unit: {units}",
    )  # fmt: skip
    value, interval, perfectly = beside(curves.lost_after_peak)
    yield make(
        name="overoptimisation", value=value, unit=GAIN, interval=interval,
        baseline=Baseline(name="perfect proxy", value=perfectly),
        note="gold at its peak minus gold at the end; the peak is chosen by the other units",
    )  # fmt: skip
