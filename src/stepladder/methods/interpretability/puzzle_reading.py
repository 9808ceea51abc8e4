"""Neuron puzzles: sentences with the activation of a made-up neuron at each token, and what it truly stands for.

The published ones are those of Bills et al. (2023), read from their `puzzles.json` or from JSON lines. The package has its
own: planted neurons whose sentences are made from `puzzles.yaml`, with a distractor word that is correlated with the neuron
in what labels are made from, and the other way round in what they are scored on.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepladder.core.errors import DataError
from stepladder.methods.interpretability.contexts import Example

PLANTED = Path(__file__).with_name("puzzles.yaml")
SENTENCES, HELD_OUT = 24, 16
"""Sentences of a planted puzzle to explain from, and to score on; the neuron fires in half of them."""
FOLDS = 4
"""Parts of a puzzle without held-out sentences: each is scored with a label made from the others."""


@dataclass(frozen=True)
class Puzzle:
    """A neuron: what it truly stands for, what it might be mistaken for, and sentences.

    `held_out` is empty for published ones. `correlation` is the distractor's, from 0 (independent of the neuron) to 1;
    `None` where there is none.
    """

    name: str
    explanation: str
    false_explanations: tuple[str, ...]
    sentences: tuple[Example, ...]
    held_out: tuple[Example, ...] = ()
    correlation: float | None = None

    def splits(self) -> Iterator[tuple[tuple[Example, ...], tuple[Example, ...]]]:
        """Sentences to explain from and sentences to score on, so that each of the latter is scored once."""
        if self.held_out:
            yield self.sentences, self.held_out
            return
        # Active and silent sentences are dealt out in turn, so that every part has both where there are enough.
        dealt = sorted(self.sentences, key=lambda sentence: (not any(sentence.activations), sentence.document))
        for fold in range(FOLDS):
            yield (
                tuple(s for i, s in enumerate(dealt) if i % FOLDS != fold),
                tuple(s for i, s in enumerate(dealt) if i % FOLDS == fold),
            )


def read_puzzles(path: Path) -> list[Puzzle]:
    """Puzzles from .jsonl, from a .json list, or from all such files of a folder; a `DataError` says what is wrong where."""
    if path.is_dir():
        files = sorted([*path.glob("*.jsonl"), *path.glob("*.json")])
        if not files:
            raise DataError(path, "no .jsonl or .json file of puzzles")
        return [puzzle for file in files for puzzle in read_puzzles(file)]
    try:
        text = path.read_text("utf-8")
    except OSError:
        raise DataError(path, "no such file") from None
    try:
        rows = (
            json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines() if line.strip()]
        )
        return [_puzzle(row) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(path, f"not neuron puzzles (name, explanation, false_explanations, sentences): {error}") from None


def _puzzle(row: Mapping[str, Any]) -> Puzzle:
    sentences = tuple(_sentence(number, tokens) for number, tokens in enumerate(row["sentences"]))
    return Puzzle(str(row["name"]), str(row["explanation"]), tuple(map(str, row["false_explanations"])), sentences)


def _sentence(number: int, tokens: Sequence[Any]) -> Example:
    """Tokens are strings, or pairs of a string and its activation."""
    pairs = [(token, 0.0) if isinstance(token, str) else (str(token[0]), float(token[1])) for token in tokens]
    return Example(number, 0, tuple(token for token, _ in pairs), tuple(value for _, value in pairs))


def planted_puzzles(correlations: Sequence[float], seed: int) -> list[Puzzle]:
    """Every planted neuron with each distractor correlation."""
    import yaml

    neurons = yaml.safe_load(PLANTED.read_text("utf-8"))
    return [_planted(neuron, c, random.Random(f"{seed}/{neuron['name']}/{c}")) for neuron in neurons for c in correlations]


def _planted(neuron: Mapping[str, Any], correlation: float, rng: random.Random) -> Puzzle:
    shown = [_made(neuron, neuron["fires"], i, correlation, rng) for i in range(SENTENCES)]
    held_out = [_made(neuron, neuron["heldout"], SENTENCES + i, -1.0, rng) for i in range(HELD_OUT)]
    return Puzzle(
        f"{neuron['name']}, distractor {correlation:g}", neuron["explanation"], tuple(neuron["mistaken"]), tuple(shown),
        tuple(held_out), correlation,
    )  # fmt: skip


def _made(neuron: Mapping[str, Any], fires: Sequence[str], number: int, correlation: float, rng: random.Random) -> Example:
    """A sentence in which the neuron fires (every other one) or not; the distractor agrees with that by `correlation`."""
    active = number % 2 == 0
    distracted = rng.random() < (1 + (correlation if active else -correlation)) / 2
    word = str(rng.choice(list(fires if active else neuron["silent"])))
    before = neuron.get("before", "") if active else ""
    fill = {"d": f"{neuron['distractor']} " if distracted else "", "n": before, "x": f"\0{word}"}
    text = re.sub(r"\{(\w)\}", lambda place: fill[place[1]], rng.choice(neuron["sentences"]))
    tokens = re.findall(r"\s?\0?[\w']+|[^\w\s]", text)
    values = tuple(10.0 if active and "\0" in token else 0.0 for token in tokens)
    return Example(number, 0, tuple(token.replace("\0", "") for token in tokens), values)
