"""From the logit differences that `patching_study` kept to measurements with intervals over prompt pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepladder.core import Baseline, Measurement
from stepladder.stats import Estimate, bca, clustered_mean, rate_measurement
from stepladder.stats.measurement import unmeasured_reason

Floats = NDArray[np.float64]
MAX_UNUSABLE = 0.2
SHARE, LOGITS, CORRELATION = "share of the gap", "logits", "Spearman correlation"


def measurements(data: Mapping[str, Any]) -> Iterator[Measurement]:
    """All of them; one that is unmeasured, with its reason, where tokens or answers leave nothing to move."""
    unusable = data["asked"] - data["usable"]
    reason = unmeasured_reason(unusable, data["asked"], MAX_UNUSABLE, "prompt pairs")
    if reason or "effects" not in data:
        yield _missing(f"{reason or 'too few prompt pairs'}: not aligned, or an answer of several tokens", unusable)
        return
    table = _Table(data)
    yield from table.behaviour()
    gap = clustered_mean(table.gap, range(len(table.gap)))
    if (gap.interval.low if gap.interval else gap.value) <= 0:
        yield _missing("the corrupted prompts do not change the answer", unusable)
        return
    yield from table.single()
    yield from table.groups()
    yield from table.paths()
    yield from table.correlations()


def share(effects: Floats, gaps: Floats, level: float = 0.95) -> Estimate:
    """Mean effect over mean gap with its interval over pairs (a ratio of means, linearised)."""
    ratio = float(effects.mean() / gaps.mean())
    return clustered_mean(ratio + (effects - ratio * gaps) / gaps.mean(), range(len(gaps)), level)


def rank_correlation(estimates: Floats, effects: Floats) -> float:
    """Spearman's over parts, of means over pairs: both (pairs, parts)."""
    from scipy.stats import rankdata

    first, second = (rankdata(values.mean(0)) for values in (estimates, effects))
    return float(np.corrcoef(first, second)[0, 1])


def _missing(reason: str, unmeasured: int) -> Measurement:
    return Measurement(name="patching_effect", value=None, unit=SHARE, n=0, unmeasured=unmeasured, reason=reason)


@dataclass(frozen=True)
class _Table:
    data: Mapping[str, Any]

    @cached_property
    def gap(self) -> Floats:
        gap: Floats = np.array(self.data["clean"]) - np.array(self.data["corrupted"])
        return gap

    @cached_property
    def effects(self) -> dict[str, Floats]:
        """By part, over all pairs."""
        rows = np.array(self.data["effects"])
        return {part[3]: row for part, row in zip(self.data["parts"], rows, strict=True)}

    @property
    def unusable(self) -> int:
        return int(self.data["asked"] - self.data["usable"])

    def names(self, site: str) -> list[str]:
        return [part[3] for part in self.data["parts"] if part[1] == site]

    def behaviour(self) -> Iterator[Measurement]:
        """Whether the model does the task at all."""
        for prompt in ("clean", "corrupted"):
            found = clustered_mean(self.data[prompt], range(len(self.gap)))
            yield self._measure("logit_difference", found, {"prompt": prompt}, unit=LOGITS)
        right = [float(a > 0 > b) for a, b in zip(self.data["clean"], self.data["corrupted"], strict=True)]
        guess = Baseline(name="an answer that ignores the prompt", value=0.0)
        yield rate_measurement("both_prompts_right", right, range(len(right)), baseline=guess)

    def single(self) -> Iterator[Measurement]:
        """Named heads, the strongest MLPs, the strongest token of each layer: found on even pairs, measured on odd."""
        yield from self._parts("head", self.data["named"], self.names("heads"))
        mlps = self.names("mlp")
        yield from self._parts("mlp", self._strongest(mlps)[:3], mlps)
        by_layer: dict[int, list[str]] = {}
        for layer, site, _, name in self.data["parts"]:
            if site == "residual":
                by_layer.setdefault(layer, []).append(name)
        for names in by_layer.values():
            yield from self._parts("stream", self._strongest(names)[:1], names)

    def _strongest(self, names: Sequence[str]) -> list[str]:
        return sorted(names, key=lambda name: -float(self.effects[name][0::2].mean()))

    def _parts(self, kind: str, chosen: Sequence[str], among: Sequence[str]) -> Iterator[Measurement]:
        rest = [self.effects[name][1::2] for name in among if name not in chosen]
        baseline = None
        if rest:
            others = share(np.mean(rest, axis=0), self.gap[1::2])
            baseline = Baseline(name=f"mean of the other {len(rest)}", value=others.value, interval=others.interval)
        for name in chosen:
            found = share(self.effects[name][1::2], self.gap[1::2], 1 - 0.05 / len(chosen))
            yield self._measure("patching_effect", found, {"kind": kind, "part": name}, baseline)

    def groups(self) -> Iterator[Measurement]:
        """All named heads at once; an ablation is a share of the clean logit difference, and negative where it costs."""
        names = {"patched": "restored_together", "zero": "ablation_effect", "mean": "ablation_effect"}
        for kind, name in names.items():
            scale = self.gap if kind == "patched" else np.array(self.data["clean"])
            unit = SHARE if kind == "patched" else "share of the clean logit difference"
            group = self.data["together"][kind]
            random = share(np.mean(group["random"], axis=0)[1::2], scale[1::2])
            count = len(group["random"])
            baseline = Baseline(
                name=f"as many random heads, mean of {count} draws", value=random.value, interval=random.interval
            )
            labels = {} if kind == "patched" else {"with": kind}
            yield self._measure(name, share(np.array(group["named"])[1::2], scale[1::2]), labels, baseline, unit)

    def paths(self) -> Iterator[Measurement]:
        """Direct paths between the named heads, and to the logits."""
        paths = self.data["paths"]
        named = [path for path in paths if path["kind"] == "named"]
        for path in named:
            found = share(np.array(path["effect"])[1::2], self.gap[1::2], 1 - 0.05 / len(named))
            labels = {"from": path["from"], "to": path["to"]}
            yield self._measure("path_effect", found, labels, self._random_path(path["to"]))

    def _random_path(self, end: str) -> Baseline | None:
        drawn = [path["effect"] for path in self.data["paths"] if path["kind"] == "random" and path["to"] == end]
        if not drawn:
            return None
        found = share(np.mean(drawn, axis=0)[1::2], self.gap[1::2])
        return Baseline(name="from random heads", value=found.value, interval=found.interval)

    def correlations(self) -> Iterator[Measurement]:
        """The gradient's estimate against brute force."""
        heads = self.names("heads")
        inner = [*heads, *self.names("mlp")]
        brute, quick = np.array(self.data["effects"])[: len(inner)].T, np.array(self.data["estimates"]).T
        for parts, count in (("heads", len(heads)), ("heads and MLPs", len(inner))):
            found = _correlated(quick[:, :count], brute[:, :count])
            note = f"{count} runs a pair by brute force; one run and one gradient by attribution"
            baseline = Baseline(name="parts in random order", value=0.0)
            yield self._measure("rank_correlation", found, {"parts": parts}, baseline, CORRELATION, note)

    def _measure(
        self, name: str, found: Estimate, labels: Mapping[str, str], baseline: Baseline | None = None, unit: str = SHARE,
        note: str = "",
    ) -> Measurement:  # fmt: skip
        return Measurement(
            name=name, value=found.value, unit=unit, interval=found.interval, n=found.n, unmeasured=self.unusable,
            labels=dict(labels), baseline=baseline, note=note,
        )  # fmt: skip


def _correlated(quick: Floats, brute: Floats) -> Estimate:
    """With pairs resampled whole."""
    pairs = range(len(brute))

    def statistic(chosen: Floats) -> float:
        rows = chosen.astype(int)
        return rank_correlation(quick[rows], brute[rows])

    return bca(statistic, np.array(pairs, float), clusters=pairs, resamples=500)
