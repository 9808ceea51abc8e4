"""What a latent is explained from and scored on: windows at several quantiles of its activation, and at random.

As in Bills et al. (2023) and Paulo et al. (arXiv:2410.13928): a window is 32 tokens; those where the latent fires are drawn
evenly from quantiles of their largest activation, not from the top alone, which would show a latent at its most convincing.
What differs: the split into windows to explain from and windows to score on is by text, so that a label is never scored on
anything beside that which it was made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stepladder.methods.interpretability.latent_index import LatentIndex

WINDOW = 32
"""Tokens of a window."""
ACTIVE = 0.3
"""Share of a window's largest activation from which a token counts as active."""
LEAST = 8
"""Fewest windows, in each half of the documents, of a latent that is explained at all."""


@dataclass(frozen=True)
class Example:
    """A window: the text it is from, its first row in the corpus, its tokens as text, and the latent's activation at each.

    `quantile` runs from 1 (weakest) up; 0 is a window where the latent is not active.
    """

    document: int
    start: int
    tokens: tuple[str, ...]
    activations: tuple[float, ...]
    quantile: int = 0

    @property
    def text(self) -> str:
        """The window in plain text."""
        return "".join(self.tokens)

    @property
    def marks(self) -> tuple[bool, ...]:
        """The tokens that count as active: at least 0.3 of the window's largest activation, as in delphi."""
        most = max(self.activations, default=0.0)
        return tuple(value > 0 and value >= ACTIVE * most for value in self.activations)


@dataclass(frozen=True)
class Contexts:
    """A latent's windows, active and not, in the half of the documents that explains (`train`) and in the other (`test`)."""

    latent: int
    maximum: float
    """Largest activation in `train`: what shares of activation are taken of."""
    train: tuple[Example, ...]
    train_inactive: tuple[Example, ...]
    test: tuple[Example, ...]
    test_inactive: tuple[Example, ...]


@dataclass(frozen=True)
class Sampling:
    """How many windows of each kind."""

    train: int = 40
    test: int = 40
    quantiles: int = 10
    seed: int = 0


class Sampler:
    """Draws the windows of any latent of an index.

    `pieces(token id)` is a token as text. The same seed splits the texts the same way for all latents.
    """

    def __init__(self, index: LatentIndex, pieces: Callable[[int], str], sampling: Sampling) -> None:
        self._index, self._pieces, self._sampling = index, pieces, sampling
        self._starts = window_starts(index.documents)
        texts, source = np.unique(index.sources, return_inverse=True)
        order = np.random.default_rng(sampling.seed).permutation(len(texts))
        held_out = np.zeros(len(texts), bool)
        held_out[order[: len(texts) // 2]] = True
        self._half = held_out[source[index.document_of(self._starts)]].astype(int)

    def __call__(self, latent: int) -> Contexts | None:
        """The latent's windows, or `None` where it fires in too few of either half to be explained and scored."""
        rows, values = self._index.latent(latent)
        rng = np.random.default_rng([self._sampling.seed, latent])
        windows, peaks = _peaks(np.searchsorted(self._starts, rows, side="right") - 1, values)
        halves = [self._half[windows] == half for half in (0, 1)]
        if min(int(half.sum()) for half in halves) < LEAST:
            return None
        train, test = (
            self._drawn(windows[half], peaks[half], count, rng, rows, values)
            for half, count in zip(halves, (self._sampling.train, self._sampling.test), strict=True)
        )
        others = [self._others(half, windows, len(chosen), rng) for half, chosen in ((0, train), (1, test))]
        return Contexts(latent, float(peaks[halves[0]].max()), train, others[0], test, others[1])

    def strongest(self, latent: int, count: int) -> tuple[Example, ...]:
        """The windows with the largest activations, of all documents, strongest first."""
        return self._ranked(latent, lambda number: range(min(count, number)))

    def across(self, latent: int, count: int) -> tuple[Example, ...]:
        """Windows at evenly spaced ranks of their largest activation, strongest first, down to the weakest."""
        return self._ranked(
            latent, lambda number: sorted({round(i) for i in np.linspace(0, number - 1, min(count, number))})
        )

    def _ranked(self, latent: int, ranks: Callable[[int], Iterable[int]]) -> tuple[Example, ...]:
        rows, values = self._index.latent(latent)
        windows, peaks = _peaks(np.searchsorted(self._starts, rows, side="right") - 1, values)
        order = np.argsort(-peaks, kind="stable")
        return tuple(self._example(int(windows[order[rank]]), rows, values) for rank in ranks(len(windows)))

    def _drawn(
        self, windows: NDArray[np.int64], peaks: NDArray[np.float32], count: int, rng: np.random.Generator,
        rows: NDArray[np.int64], values: NDArray[np.float32],
    ) -> tuple[Example, ...]:  # fmt: skip
        groups = np.array_split(windows[np.argsort(peaks, kind="stable")], self._sampling.quantiles)
        shares = [len(part) for part in np.array_split(np.arange(count), self._sampling.quantiles)]
        return tuple(
            self._example(int(window), rows, values, quantile)
            for quantile, (group, share) in enumerate(zip(groups, shares, strict=True), 1)
            for window in sorted(rng.choice(group, min(share, len(group)), replace=False))
        )

    def _others(self, half: int, windows: NDArray[np.int64], count: int, rng: np.random.Generator) -> tuple[Example, ...]:
        free = np.setdiff1d(np.flatnonzero(self._half == half), windows)
        chosen = rng.choice(free, min(count, len(free)), replace=False)
        nothing = np.zeros(0, np.int64), np.zeros(0, np.float32)
        return tuple(self._example(int(window), *nothing) for window in chosen)

    def _example(self, window: int, rows: NDArray[np.int64], values: NDArray[np.float32], quantile: int = 0) -> Example:
        start = int(self._starts[window])
        document = int(self._index.document_of(np.array([start]))[0])
        end = min(start + WINDOW, int(self._index.documents[document + 1]))
        activations = np.zeros(end - start)
        part = slice(*np.searchsorted(rows, [start, end]))
        activations[rows[part] - start] = values[part]
        tokens = tuple(self._pieces(int(token)) for token in self._index.tokens[start:end])
        return Example(int(self._index.sources[document]), start, tokens, tuple(activations.tolist()), quantile)


def window_starts(documents: NDArray[np.int64]) -> NDArray[np.int64]:
    """First rows of all windows: every 32 tokens from each document's beginning."""
    return np.concatenate([np.arange(a, b, WINDOW) for a, b in pairwise(documents.tolist())])


def _peaks(windows: NDArray[np.int64], values: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Each window that occurs (ascending in `windows`) with the largest of its values."""
    if not len(windows):
        return windows, values
    unique, first = np.unique(windows, return_index=True)
    return unique, np.maximum.reduceat(values, first)


def token_text(tokenizer: object, size: int) -> Callable[[int], str]:
    """Token id to text as it stands in a sentence, its leading space kept; what is no text by itself becomes a mark."""
    from functools import cache

    @cache
    def piece(token: int) -> str:
        if not 0 <= token < size:
            return "\ufffd"
        anchor = tokenizer.decode([token, token], clean_up_tokenization_spaces=False)  # type: ignore[attr-defined]
        alone = tokenizer.decode([token], clean_up_tokenization_spaces=False)  # type: ignore[attr-defined]
        # Tokenizers that join with spaces (or strip the first one) show it between two copies of the token.
        return str(anchor[len(alone) :]) if len(anchor) > 2 * len(alone) else str(alone)

    return piece
