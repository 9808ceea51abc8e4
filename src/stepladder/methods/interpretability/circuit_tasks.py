"""Pairs of prompts that differ in one thing, so that what a model does with that thing can be moved from one to the other.

Each task gives pairs of a clean and a corrupted prompt of the same wording, and the tokens that each makes likely:

* `indirect_object`: "When Mary and John went to the shop, John gave a book to" / "... Mary gave ..." (arXiv:2211.00593);
* `agreement`: "The keys near the table" / "The key near the table": are or is (after Linzen et al., arXiv:1611.01368);
* `repeats`: random tokens in which an earlier pair says what comes next; any vocabulary has them (arXiv:2209.11895).

A pair is of use where both prompts are as long as most are in the model's tokens and both answers are one token each.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stepladder.core.errors import UnknownName

Tokenize = Callable[[str], list[int]]


@dataclass(frozen=True)
class Pair:
    """Token ids of two prompts, and the token that each makes likelier than the other does; `words` are for people."""

    clean: tuple[int, ...]
    corrupted: tuple[int, ...]
    answer: int
    foil: int
    words: str


PEOPLE = ("Mary", "John", "Tom", "James", "Sarah", "Paul", "Anna", "Mark", "David", "Peter", "Alice", "Robert")
PLACES = ("shop", "park", "school", "station", "garden", "office")
THINGS = ("book", "ball", "ring", "drink", "letter", "gift")
NOUNS = ("key", "book", "dog", "boy", "girl", "car", "tree", "king", "friend", "teacher", "doctor", "student")
OTHERS = ("table", "house", "river", "wall", "door", "road", "window", "garden")
NEAR = ("near", "behind", "beside", "under")


SEGMENT = 10
"""Length of the repeated segment of `repeats`."""

Written = tuple[str, str, str, str]
"""Clean prompt, corrupted prompt, the answer to each."""


def make_pairs(task: str, count: int, seed: int, tokens: Tokenize, vocabulary: Sequence[int]) -> list[Pair | None]:
    """`count` different pairs; `None` for each that is of no use with these tokens. `repeats` draws from `vocabulary`.

    Raises `UnknownName` for a task that there is not.
    """
    rng = random.Random(seed)
    if task == "repeats":
        return [_repeats(rng, vocabulary) for _ in range(count)]
    if task not in WRITTEN:
        raise UnknownName("circuit task", task, TASKS)
    written: dict[Written, None] = {}
    while len(written) < count:
        written[WRITTEN[task](rng)] = None
    made = [_pair(one, tokens) for one in written]
    lengths = Counter(len(pair.clean) for pair in made if pair)
    usual = lengths.most_common(1)[0][0] if lengths else 0
    return [pair if pair and len(pair.clean) == usual else None for pair in made]


def drawable(tokenizer: Any) -> list[int]:
    """Ids of all tokens but the special ones: what `repeats` may draw from."""
    return sorted(set(range(len(tokenizer))) - set(tokenizer.all_special_ids))


def _indirect_object(rng: random.Random) -> Written:
    one, other = rng.sample(PEOPLE, 2)
    start, thing = f"When {one} and {other} went to the {rng.choice(PLACES)},", rng.choice(THINGS)
    return f"{start} {other} gave a {thing} to", f"{start} {one} gave a {thing} to", f" {one}", f" {other}"


def _agreement(rng: random.Random) -> Written:
    noun, rest = rng.choice(NOUNS), f"{rng.choice(NEAR)} the {rng.choice(OTHERS)}"
    many, one = (f"The {noun}s {rest}", " are"), (f"The {noun} {rest}", " is")
    first, second = (many, one) if rng.random() < 0.5 else (one, many)
    return first[0], second[0], first[1], second[1]


WRITTEN: dict[str, Callable[[random.Random], Written]] = {
    "indirect_object": _indirect_object,
    "agreement": _agreement,
}
TASKS = [*WRITTEN, "repeats"]


def _pair(written: Written, tokens: Tokenize) -> Pair | None:
    """The prompts in tokens; `None` where they are not aligned, or an answer is not one token."""
    clean, corrupted, answer, foil = (tuple(tokens(text)) for text in written)
    if len(clean) != len(corrupted) or clean == corrupted or len(answer) != 1 or len(foil) != 1 or answer == foil:
        return None
    return Pair(clean, corrupted, answer[0], foil[0], written[0])


def _repeats(rng: random.Random, vocabulary: Sequence[int]) -> Pair | None:
    """A segment and its beginning again; corrupted by exchanging, in the segment, the last token with a later one."""
    if len(vocabulary) < SEGMENT:
        return None
    segment = rng.sample(vocabulary, SEGMENT)
    shown, other = SEGMENT // 2, SEGMENT - 2
    exchanged = list(segment)
    exchanged[shown], exchanged[other] = segment[other], segment[shown]
    again = segment[: shown + 1]
    words = f"a segment of {SEGMENT} random tokens and its first {shown + 1} again"
    return Pair((*segment, *again), (*exchanged, *again), segment[shown + 1], segment[other + 1], words)
