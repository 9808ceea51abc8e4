"""Random changes to a request that leave it readable: scrambled words, random capitals, noise on characters.

Hughes et al., Best-of-N Jailbreaking (arXiv:2412.03556, appendix A.1). `strength` is the paper's sigma: at its 0.4 a word is
scrambled with chance 0.63, a letter capitalised with chance 0.63, and a character moved by one code with chance 0.064.
"""

from __future__ import annotations

import random
import re

_WORD = re.compile(r"\S{4,}")
_PRINTABLE = range(32, 127)


def scramble(text: str, chance: float, rng: random.Random) -> str:
    """Shuffle the inner characters of words of four and more, each word with that chance."""

    def inner(match: re.Match[str]) -> str:
        word = match[0]
        if rng.random() >= chance:
            return word
        middle = list(word[1:-1])
        rng.shuffle(middle)
        return word[0] + "".join(middle) + word[-1]

    return _WORD.sub(inner, text)


def capitalise(text: str, chance: float, rng: random.Random) -> str:
    """Put each lower-case letter in upper case with that chance."""
    return "".join(c.upper() if c.islower() and rng.random() < chance else c for c in text)


def add_noise(text: str, chance: float, rng: random.Random) -> str:
    """Move each printable ASCII character to its neighbour in the table with that chance; nothing leaves the table."""

    def moved(c: str) -> str:
        if ord(c) not in _PRINTABLE or rng.random() >= chance:
            return c
        step = ord(c) + rng.choice((-1, 1))
        return chr(step) if step in _PRINTABLE else c

    return "".join(map(moved, text))


def augment(request: str, strength: float, rng: random.Random) -> str:
    """All three changes, one after the other; `strength` 0 changes nothing."""
    scrambled = scramble(request, strength**0.5, rng)
    return add_noise(capitalise(scrambled, strength**0.5, rng), strength**3, rng)
