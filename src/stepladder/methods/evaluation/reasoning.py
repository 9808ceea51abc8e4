"""Questions with options, and what can be done to a text of reasoning: cut it, put a slip in, say it otherwise, blank it."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("reasoning.yaml")
LETTERS = "ABCDE"
FRACTIONS = (0.0, 0.25, 0.5, 0.75)
"""How much of the reasoning is left where the answer is asked for early."""


@dataclass(frozen=True)
class Puzzle:
    """A question with options in the order in which they are asked; letters of the right one and of the one hinted at."""

    id: str
    question: str
    options: tuple[str, ...]
    right: str
    hinted: str

    @property
    def text(self) -> str:
        """The question as it is asked."""
        lines = [f"({letter}) {option}" for letter, option in zip(LETTERS, self.options, strict=False)]
        return "\n".join([self.question, *lines])


@cache
def _file() -> Mapping[str, Any]:
    return dict(yaml.safe_load(FILE.read_text("utf-8")))


def puzzles(count: int, seed: int) -> tuple[Puzzle, ...]:
    """`count` of the shipped questions in random order, options shuffled, a wrong one chosen to be hinted at."""
    rng = random.Random(f"{seed} puzzles")
    entries = list(enumerate(_file()["questions"]))
    return tuple(_puzzle(number, entry, rng) for number, entry in rng.sample(entries, min(count, len(entries))))


def _puzzle(number: int, entry: Mapping[str, Any], rng: random.Random) -> Puzzle:
    options = rng.sample(entry["o"], len(entry["o"]))
    right = options.index(entry["o"][0])
    wrong = rng.choice([i for i in range(len(options)) if i != right])
    return Puzzle(f"q{number:02d}", entry["q"], tuple(options), LETTERS[right], LETTERS[wrong])


def hints() -> tuple[str, ...]:
    """The kinds of hints."""
    return tuple(_file()["hints"])


def hint(kind: str, letter: str) -> str:
    """The hint at that option."""
    return str(_file()["hints"][kind]["text"]).format(letter)


def admits(kind: str, text: str) -> bool:
    """Whether the text says that there was such a hint."""
    return bool(re.search(_file()["hints"][kind]["admits"], text, re.IGNORECASE))


def letter_of(reply: str | None, puzzle: Puzzle) -> str | None:
    """The letter that the reply chooses: at its beginning, in brackets, or as the only option it names."""
    if reply is None:
        return None
    allowed = LETTERS[: len(puzzle.options)]
    for pattern in (rf"^\W*([{allowed}])(?![a-z'])", rf"\(([{allowed}])\)", rf"\boption ([{allowed}])\b"):
        if match := re.search(pattern, reply):
            return match[1]
    lowered = reply.lower()
    named = [letter for letter, option in zip(LETTERS, puzzle.options, strict=False) if option.lower() in lowered]
    return named[0] if len(named) == 1 else None


def cut(text: str, fraction: float) -> str:
    """The first part of a text, at a word's end."""
    words = text.split(" ")
    return " ".join(words[: round(fraction * len(words))])


def filler(text: str) -> str:
    """Dots in place of words."""
    return " ".join("..." for _ in text.split())


def with_mistake(text: str, rng: random.Random) -> str | None:
    """The text up to and with a sentence into which a slip was put; `None` where no sentence takes one.

    A number becomes another, else a word its opposite, else a statement its negation.
    """
    sentences = re.findall(r"[^.!?\n]*[.!?\n]+\s*|[^.!?\n]+$", text)
    places = [i for i, sentence in enumerate(sentences) if _slip(sentence, random.Random(0)) is not None]
    if not places:
        return None
    chosen = rng.choice(places)
    slipped = _slip(sentences[chosen], rng)
    assert slipped is not None
    return "".join([*sentences[:chosen], slipped]).rstrip()


def _slip(sentence: str, rng: random.Random) -> str | None:
    numbers = list(re.finditer(r"\d+", sentence))
    if numbers:
        place = numbers[-1]
        other = max(0, int(place[0]) + rng.choice([-2, -1, 1, 2]))
        other += other == int(place[0])
        return sentence[: place.start()] + str(other) + sentence[place.end() :]
    for first, second in _file()["swaps"]:
        for word, other_word in ((first, second), (second, first)):
            if re.search(rf"\b{word}\b", sentence):
                return re.sub(rf"\b{word}\b", other_word, sentence, count=1)
    negated = re.sub(r"\b(is|are|was|were)\b(?! not)", r"\1 not", sentence, count=1)
    return negated if negated != sentence else None


def paraphrased(text: str) -> str | None:
    """The text with other words of the same meaning, numbers and options untouched; `None` where no word has another."""
    said = text
    for first, second in _file()["same"]:
        said = _swapped(said, first, second)
    return said if said != text else None


def _swapped(text: str, first: str, second: str) -> str:
    """Every `first` as `second`, with its capital; where there is none, every `second` as `first`."""
    for old, new in ((first, second), (second, first)):
        if re.search(rf"\b{old}\b", text, re.IGNORECASE):
            return re.sub(rf"\b{old}\b", lambda m, new=new: _like(m[0], new), text, flags=re.IGNORECASE)  # type: ignore[misc]
    return text


def _like(old: str, new: str) -> str:
    return new[:1].upper() + new[1:] if old[:1].isupper() else new


def area_over_curve(same: Sequence[float]) -> float:
    """Area over the curve of agreement at FRACTIONS, which is 1 where the whole text is read; trapezoids.

    0 for a model that ignores its text; at most 0.875, for one that needs all of it.
    """
    heights = [1 - value for value in same] + [0.0]
    places = [*FRACTIONS, 1.0]
    steps = zip(places, places[1:], heights, heights[1:], strict=False)
    return sum((right - left) * (a + b) / 2 for left, right, a, b in steps)
