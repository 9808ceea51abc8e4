"""Latents whose rule is known, over sentences made for them: words as tokens, activations set by the rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stepladder.methods.interpretability.latent_index import LatentIndex, index_latents

SUBJECTS = ("Anna", "Ben", "The doctor", "My neighbour", "A pilot", "Their cousin", "The old baker")
VERBS = ("sold", "painted", "carried", "found", "counted", "repaired", "watched")
OBJECTS = ("apples", "boats", "letters", "lamps", "stones", "horses", "clocks")
ENDS = ("in the morning", "near the river", "before dinner", "without a word", "at the market")
FRENCH = ("le", "chat", "mange", "une", "pomme", "dans", "la", "maison", "avec", "son", "frère")
SPOKEN = ("do", "did", "could", "would", "should")


def sentence(rng: np.random.Generator) -> list[str]:
    pick: Callable[[Sequence[str]], str] = lambda words: str(words[rng.integers(len(words))])  # noqa: E731
    words = f"{pick(SUBJECTS)} {pick(SPOKEN)}{' not' if rng.random() < 0.35 else ''} see {pick(VERBS)} {pick(OBJECTS)}"
    if rng.random() < 0.35:
        words = words.replace("see", f"see {rng.integers(2, 999)}")
    if rng.random() < 0.2:
        words += " and said " + " ".join(pick(FRENCH) for _ in range(4))
    return [*f"{words} {pick(ENDS)}".split(), "."]


def digits(words: list[str]) -> list[float]:
    return [float(word.isdigit()) for word in words]


def after_not(words: list[str]) -> list[float]:
    return [0.0, *(float(word == "not") for word in words[:-1])]


def french(words: list[str]) -> list[float]:
    return [float(word in FRENCH) for word in words]


def polysemantic(words: list[str]) -> list[float]:
    return [max(a, b, c) for a, b, c in zip(digits(words), after_not(words), french(words), strict=True)]


def parity(words: list[str]) -> list[float]:
    """Fires where the number of words so far is divisible by seven and their letters even: nothing that statistics see."""
    lengths = np.cumsum([len(word) for word in words])
    return [float(i % 7 == 3 and length % 2 == 0) for i, length in enumerate(lengths)]


RULES: dict[str, Callable[[list[str]], list[float]]] = {
    "digits": digits, "after_not": after_not, "french": french, "polysemantic": polysemantic, "parity": parity,
}  # fmt: skip


class Corpus:
    """Documents of planted sentences with the activations of every rule."""

    def __init__(self, documents: int = 120, sentences: int = 8, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.words = [[w for _ in range(sentences) for w in sentence(rng)] for _ in range(documents)]
        self.vocabulary = sorted({word for document in self.words for word in document})
        number = {word: i for i, word in enumerate(self.vocabulary)}
        self.tokens = [np.array([number[word] for word in document], np.int32) for document in self.words]
        strength = np.random.default_rng(seed + 1)
        self.activations = [
            np.stack([np.array(rule(document)) * strength.uniform(0.5, 3, len(document)) for rule in RULES.values()], 1)
            for document in self.words
        ]

    def piece(self, token: int) -> str:
        return " " + self.vocabulary[token]

    def index(self, folder: Path) -> LatentIndex:
        import torch

        documents = [
            (tokens, torch.tensor(values, dtype=torch.float32))
            for tokens, values in zip(self.tokens, self.activations, strict=True)
        ]
        return index_latents(documents, all_latents, len(RULES), folder)


def all_latents(values: Any) -> tuple[Any, Any]:
    """Codes (n, latents) in the sparse form: every latent at every token."""
    import torch

    return torch.arange(values.shape[1]).expand_as(values), values
