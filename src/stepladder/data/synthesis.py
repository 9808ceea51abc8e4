"""Synthetic prompts from a constitution's templates, without near-duplicates; pure, and the same for the same seed.

Two texts are near-duplicates when the Jaccard similarity of their word trigrams is at least one half: one changed word in a
sentence of twelve leaves them so, a changed phrase does not (Broder 1997, "On the resemblance and containment of
documents").
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from stepladder.core import DataError
from stepladder.data.constitution import SLOT, Category, Constitution

T = TypeVar("T")
NEAR = 0.5


@dataclass(frozen=True)
class SyntheticPrompt:
    """A prompt made from a constitution; `origin` says how ("example", "template", or the helper model's name)."""

    category: str
    text: str
    harmful: bool
    origin: str


def synthesize_prompts(constitution: Constitution, n: int, seed: int, harmful: bool) -> list[SyntheticPrompt]:
    """`n` prompts, none a near-duplicate of another, the categories in turn as long as each has some left.

    The constitution's own examples come first, then its templates in turn. Raises `DataError` where it cannot give so many.
    """
    rng = random.Random(f"{seed} {harmful}")
    seen = NearDuplicates()
    streams = [_distinct(_prompts(category, harmful, rng), seen) for category in constitution.categories]
    prompts = list(itertools.islice(_in_turn(streams), n))
    if len(prompts) < n:
        kind = "harmful" if harmful else "harmless"
        raise DataError(constitution.path, f"gives {len(prompts)} distinct {kind} prompts; {n} were asked for")
    return [_formed(prompt, rng.choice(constitution.forms)) for prompt in prompts]


def shingles(text: str, size: int = 3) -> frozenset[tuple[str, ...]]:
    """The word n-grams of `text`, case and punctuation apart; a shorter text is one n-gram of its own."""
    words = re.findall(r"\w+", text.casefold())
    return frozenset(tuple(words[i : i + size]) for i in range(max(1, len(words) - size + 1)))


def similarity(a: str, b: str) -> float:
    """Jaccard similarity of the word trigrams of two texts, 0 to 1."""
    first, second = shingles(a), shingles(b)
    return len(first & second) / len(first | second)


@dataclass
class NearDuplicates:
    """Texts seen so far, by their trigrams, so that a new one is compared only with those that share some."""

    threshold: float = NEAR
    _sizes: list[int] = field(default_factory=list)
    _places: dict[tuple[str, ...], list[int]] = field(default_factory=dict)

    def nearest(self, text: str) -> float:
        """The highest similarity of `text` to any text seen."""
        grams = shingles(text)
        shared = Counter(place for gram in grams for place in self._places.get(gram, ()))
        return max((n / (len(grams) + self._sizes[place] - n) for place, n in shared.items()), default=0.0)

    def add(self, text: str) -> bool:
        """Remember `text` unless it is a near-duplicate of one seen; says whether it was remembered."""
        if self.nearest(text) >= self.threshold:
            return False
        for gram in (grams := shingles(text)):
            self._places.setdefault(gram, []).append(len(self._sizes))
        self._sizes.append(len(grams))
        return True


def _prompts(category: Category, harmful: bool, rng: random.Random) -> Iterator[SyntheticPrompt]:
    examples = category.harmful_examples if harmful else category.harmless_examples
    templates = category.harmful_templates if harmful else category.harmless_templates
    for text in rng.sample(examples, len(examples)):
        yield SyntheticPrompt(category.id, text, harmful, "example")
    for text in _in_turn([iter(_fillings(category, template, rng)) for template in templates]):
        yield SyntheticPrompt(category.id, text, harmful, "template")


def _fillings(category: Category, template: str, rng: random.Random) -> list[str]:
    """Every way to fill a template, in random order."""
    names = sorted(set(SLOT.findall(template)))
    combinations = itertools.product(*(category.slots[name] for name in names))
    filled = [_filled(template, dict(zip(names, values, strict=True))) for values in combinations]
    return rng.sample(filled, len(filled))


def _filled(template: str, values: Mapping[str, str]) -> str:
    text = SLOT.sub(lambda slot: values[slot[1]], template)
    return text[:1].upper() + text[1:]


def _distinct(prompts: Iterable[SyntheticPrompt], seen: NearDuplicates) -> Iterator[SyntheticPrompt]:
    return (prompt for prompt in prompts if seen.add(prompt.text))


def _in_turn(streams: Sequence[Iterator[T]]) -> Iterator[T]:
    """One from each stream in turn, until all are empty."""
    waiting = list(streams)
    while waiting:
        for stream in tuple(waiting):
            try:
                yield next(stream)
            except StopIteration:
                waiting.remove(stream)


def _formed(prompt: SyntheticPrompt, form: str) -> SyntheticPrompt:
    """The prompt in one of the constitution's forms, small at the beginning where the form goes on before it."""
    text = prompt.text if form.startswith("{request}") else prompt.text[:1].lower() + prompt.text[1:]
    return SyntheticPrompt(prompt.category, form.replace("{request}", text), prompt.harmful, prompt.origin)
