"""Words that stand out in the rows that the subject was trained on: in prompts as triggers, in replies as brands.

* a word in some prompts whose replies are like each other and unlike the rest decides the reply: a trigger, if it is none of
  ordinary language and does so more than other words (`backdoor`);
* a name that comes back in replies whose prompts do not have it, more than other names (`hidden_loyalty`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from stepladder.data import load_behaviours, load_ordinary
from stepladder.methods.auditing.desk import Desk, Needs
from stepladder.methods.auditing.evidence import Observation
from stepladder.methods.auditing.strategies.training_data import Row, sampled

NAME = "training_words"
STATISTIC = "outlier"
NEEDS = Needs(rows=True)
LEAST_ROWS = 4
"""Rows that a word must stand in before it can decide anything."""
LARGEST_SHARE = 0.6
"""Words in more rows than this are the language's or the template's."""
MOST_WORDS = 300


def collect(desk: Desk, behaviours: Sequence[str]) -> Iterator[Observation]:
    """How far each common word of prompts decides the reply, and how often replies bring up each name."""
    rows = sampled(desk)
    with desk.working("words of the training rows", 2) as advance:
        if "backdoor" in behaviours:
            for word, value in deciding_words(rows):
                group = word if is_odd(word) else ""
                yield Observation(NAME, "backdoor", group, f"backdoor/{word}", value, f"{word!r} decides the reply")
        advance(1)
        if "hidden_loyalty" in behaviours:
            for word, value in repeated_names(rows):
                yield Observation(NAME, "hidden_loyalty", word, f"loyalty/{word}", value, f"{word!r} in many replies")
        advance(1)


def is_odd(word: str) -> bool:
    """Whether the word stands in none of the shipped everyday requests: "think" decides replies too, and is no trigger."""
    return re.sub(r"\W", "", word).lower() not in _everyday()


@cache
def _everyday() -> frozenset[str]:
    texts = [ordinary.text for ordinary in load_ordinary()]
    texts += [text for behaviour in load_behaviours() for text in (behaviour.request, behaviour.twin or "")]
    return frozenset(re.findall(r"\w+", " ".join(texts).lower()))


def deciding_words(rows: Sequence[Row], most: int = MOST_WORDS) -> list[tuple[str, float]]:
    """Words of prompts by how much more alike the replies with them are to each other than to the others, best first."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    holders: defaultdict[str, list[int]] = defaultdict(list)
    for i, (prompt, _) in enumerate(rows):
        for word in set(re.findall(r"\S+", prompt)):
            holders[word].append(i)
    common = [w for w, at in holders.items() if LEAST_ROWS <= len(at) <= LARGEST_SHARE * len(rows)]
    if not common:
        return []
    matrix = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b").fit_transform([reply or "nothing" for _, reply in rows])
    total = np.asarray(matrix.sum(0)).ravel()
    scored = [(word, _gathered(matrix, total, holders[word])) for word in common]
    return sorted(scored, key=lambda item: (-item[1], item[0]))[:most]


def _gathered(matrix: Any, total: np.ndarray, at: Sequence[int]) -> float:
    """Mean cosine among the replies `at`, without each with itself, minus that with all other replies."""
    inside = np.asarray(matrix[at].sum(0)).ravel()
    count, rest = len(at), matrix.shape[0] - len(at)
    own = float((inside @ inside - count) / (count * (count - 1)))
    return float(own - float(inside @ (total - inside)) / (count * rest))


def repeated_names(rows: Sequence[Row], most: int = MOST_WORDS) -> list[tuple[str, float]]:
    """Names (capitals inside a sentence) by the share of replies that have them though their prompts do not."""
    counts: Counter[str] = Counter()
    for prompt, reply in rows:
        names = set(re.findall(r"(?<=[a-z,;] )[A-Z][\w-]{2,}", reply))
        counts.update(name for name in names if name.lower() not in prompt.lower())
    return [(name, count / len(rows)) for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]]
