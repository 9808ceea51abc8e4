"""All that a page about any latent is made from, in one folder that is read without torch and without the model.

latents/        where each latent fires (see `latent_index`)
decoder.npy     (latents, width) float32   decoder rows of length 1, for neighbours
logits.npz      tokens that each latent's row moves most: up, down (latents, 10) with their values; and the spread of all
                its logits as counts (latents, 40) between low and high (latents)
pieces.json     the vocabulary as text
labels.json     labels with their scores, by latent and explainer
about.json      model, layer, site
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stepladder.core.errors import StoreError
from stepladder.methods.interpretability.contexts import Example, Sampler, Sampling
from stepladder.methods.interpretability.latent_index import LatentIndex, open_index

if TYPE_CHECKING:
    from stepladder.methods.interpretability.explainers import Lens

TOKENS = 10
"""Tokens that are kept at either end of a latent's logits."""
BINS = 40
_BLOCK = 256


def write_readings(
    folder: Path, decoder: NDArray[np.float32], lens: Lens | None, pieces: Sequence[str], about: Mapping[str, Any]
) -> None:
    """Write everything but the index and the labels; `decoder` is (latents, width)."""
    unit = decoder / np.maximum(np.linalg.norm(decoder, axis=1, keepdims=True), 1e-12)
    np.save(folder / "decoder.npy", unit.astype(np.float32))
    (folder / "pieces.json").write_text(json.dumps(list(pieces)), "utf-8")
    (folder / "about.json").write_text(json.dumps(dict(about), indent=1), "utf-8")
    if lens is not None:
        blocks = [_extremes(lens.logits(unit[i : i + _BLOCK])) for i in range(0, len(unit), _BLOCK)]
        np.savez(folder / "logits.npz", **{name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]})  # type: ignore[arg-type]


def _extremes(logits: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    count = min(TOKENS, logits.shape[1] - 1)
    for name, signed in (("up", logits), ("down", -logits)):
        part = np.argpartition(-signed, count, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(signed, part, 1), axis=1, kind="stable")
        tokens = np.take_along_axis(part, order, 1)
        found |= {f"{name}_tokens": tokens.astype(np.int32), f"{name}_values": np.take_along_axis(logits, tokens, 1)}
    low, high = logits.min(1), logits.max(1)
    scale = BINS / np.maximum(high - low, 1e-6)
    bins = np.minimum((logits - low[:, None]) * scale[:, None], BINS - 1).astype(np.int64)
    bins += BINS * np.arange(len(logits))[:, None]
    counts = np.bincount(bins.ravel(), minlength=BINS * len(logits)).reshape(len(logits), BINS)
    return {**found, "counts": counts, "low": low, "high": high}


def write_labels(folder: Path, labels: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> None:
    """`{latent: {explainer: {"text": ..., "scores": {scorer: [value, low, high, baseline]}}}}`, `None` where unmeasured."""
    (folder / "labels.json").write_text(json.dumps({str(k): v for k, v in labels.items()}, indent=1), "utf-8")


@dataclass(frozen=True, eq=False)
class FeatureFolder:
    """An open folder; made by `open_features`. Arrays are mapped, and only what a latent needs is read."""

    folder: Path
    index: LatentIndex
    decoder: NDArray[np.float32]
    about: Mapping[str, Any]

    @cached_property
    def pieces(self) -> list[str]:
        """Token id to text."""
        return _json(self.folder / "pieces.json")  # type: ignore[no-any-return]

    @cached_property
    def labels(self) -> Mapping[str, Any]:
        """As `write_labels` has it; empty where nothing was labelled."""
        path = self.folder / "labels.json"
        return _json(path) if path.is_file() else {}

    @cached_property
    def sampler(self) -> Sampler:
        """Draws windows of any latent."""
        return Sampler(self.index, self.pieces.__getitem__, Sampling())

    @cached_property
    def _logits(self) -> Mapping[str, NDArray[Any]]:
        path = self.folder / "logits.npz"
        return dict(np.load(path)) if path.is_file() else {}

    def strongest(self, latent: int, count: int) -> tuple[Example, ...]:
        """The windows in which it fires most."""
        return self.sampler.strongest(latent, count)

    def across(self, latent: int, count: int) -> tuple[Example, ...]:
        """Windows from its strongest to its weakest, at evenly spaced ranks."""
        return self.sampler.across(latent, count)

    def moved(self, latent: int, end: str) -> list[tuple[str, float]]:
        """The tokens whose logits its row raises (`up`) or lowers (`down`) most; empty where no lens was given."""
        if not self._logits:
            return []
        pairs = zip(self._logits[f"{end}_tokens"][latent], self._logits[f"{end}_values"][latent], strict=True)
        return [(self.pieces[int(token)], float(value)) for token, value in pairs]

    def logit_histogram(self, latent: int) -> tuple[list[int], list[float]]:
        """Counts of all logits, and the middles of their bins."""
        if not self._logits:
            return [], []
        low, high = float(self._logits["low"][latent]), float(self._logits["high"][latent])
        return self._logits["counts"][latent].tolist(), _middles(low, high)

    def activation_histogram(self, latent: int) -> tuple[list[int], list[float]]:
        """Counts of the activations above 0, and the middles of their bins."""
        _, values = self.index.latent(latent)
        if not len(values):
            return [], []
        high = float(values.max())
        return np.histogram(values, BINS, (0, high))[0].tolist(), _middles(0.0, high)

    def neighbours(self, latent: int, count: int = 8) -> list[tuple[int, float]]:
        """The latents whose decoder rows point most nearly the same way, with their cosines."""
        cosines = self.decoder @ self.decoder[latent]
        order = [int(i) for i in np.argsort(-cosines, kind="stable") if i != latent][:count]
        return [(i, float(cosines[i])) for i in order]

    def frequency(self, latent: int) -> float:
        """Share of the corpus at which it fires."""
        return float(self.index.counts[latent]) / len(self.index.tokens)


def open_features(folder: Path) -> FeatureFolder:
    """Open what `write_readings` and `index_latents` wrote; `StoreError` where there is no such thing."""
    index, about = open_index(folder / "latents"), _json(folder / "about.json")
    try:
        return FeatureFolder(folder, index, np.load(folder / "decoder.npy", mmap_mode="r"), about)
    except (OSError, ValueError):
        raise StoreError(f"{folder}: decoder.npy is missing or damaged") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise StoreError(f"{path}: missing or damaged; not a folder of features") from None


def _middles(low: float, high: float) -> list[float]:
    width = (high - low) / BINS
    return [low + (i + 0.5) * width for i in range(BINS)]
