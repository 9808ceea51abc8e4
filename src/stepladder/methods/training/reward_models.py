"""A gold reward that is a pure function of texts, and proxies learned from few noisy comparisons by it.

The gold reward stands for what people want. It sees a reply as its words do: about the prompt, not repeating itself, of
middling length, in sentences. A proxy is a Bradley-Terry model (ridge-penalised) on TF-IDF features of replies, learned
from pairs of replies to the same prompt; the better one by gold is named with chance sigmoid(difference / noise).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Reward = Callable[[Sequence[tuple[str, str]]], Floats]
"""Rewards of (prompt, reply) pairs."""

FILLERS = frozenset(re.findall(r"\w+", """
a about after all also an and any are as at be because been before being but by can could did do does each for from get give
had has have he her here him his how i if in into is it its just like make many may me more most my no not of on one only or
other our out over own people s same she should so some such t than that the their them then there these they this those to
too two up us use very was way we well were what when where which while who why will with without write would you your
"""))  # fmt: skip
WANTED_WORDS = 30
_SENTENCE = re.compile(r"[.!?]+")


def words(text: str) -> list[str]:
    """The words of a text in lower case."""
    return re.findall(r"[^\W_]+(?:'\w+)?", text.casefold())


def topic_words(prompt: str) -> list[str]:
    """Words of a prompt that say what it is about."""
    return list(dict.fromkeys(word for word in words(prompt) if word not in FILLERS)) or words(prompt)[:1]


def gold(prompt: str, reply: str) -> float:
    """0 to 1: the mean of relevance, variety, length and form."""
    said = words(reply)
    if not said:
        return 0.0
    about, distinct = set(topic_words(prompt)), set(said)
    relevance = min(1.0, len(about & distinct) / max(1, min(3, len(about))))
    variety = len(distinct) / len(said)
    length = max(0.0, 1 - abs(len(said) - WANTED_WORDS) / WANTED_WORDS)
    sentences = [len(words(part)) for part in _SENTENCE.split(reply) if words(part)]
    form = sum(4 <= count <= 25 for count in sentences) / len(sentences)
    return (relevance + variety + length + form) / 4


def gold_rewards(pairs: Sequence[tuple[str, str]]) -> Floats:
    """`gold` of each pair."""
    return np.array([gold(prompt, reply) for prompt, reply in pairs], np.float64)


def learn_proxy(
    prompts: Sequence[str], replies: Sequence[Sequence[str]], comparisons: int, noise: float, seed: int
) -> Reward:
    """A proxy from `comparisons` pairs of replies to the same prompt; `noise` is in standard deviations of gold.

    Where no two replies to a prompt differ it knows nothing and gives 0 to all.
    """
    rng = np.random.default_rng(seed)
    features = _Features([reply for group in replies for reply in group])
    pairs = _distinct_pairs(replies, comparisons, rng)
    if not pairs:
        return lambda asked: np.zeros(len(asked))
    first, second = ([(prompts[p], replies[p][pair[side]]) for p, *pair in pairs] for side in (0, 1))
    gap = gold_rewards(first) - gold_rewards(second)
    spread = float(np.std([gold(prompts[p], reply) for p, group in enumerate(replies) for reply in group])) or 1.0
    chosen = rng.random(len(gap)) < 1 / (1 + np.exp(-np.clip(gap / (noise * spread + 1e-9), -50, 50)))
    weights = bradley_terry(features(first) - features(second), chosen)
    return lambda asked: np.asarray(features(asked) @ weights, np.float64)


def bradley_terry(differences: Any, chosen: NDArray[np.bool_], ridge: float = 1.0) -> Floats:
    """Weights w that make sigmoid(w . difference) the chance that the first of two is chosen."""
    from sklearn.linear_model import LogisticRegression

    both = np.concatenate([differences, -differences])
    labels = np.concatenate([chosen, ~chosen])
    model = LogisticRegression(C=1 / ridge, fit_intercept=False, max_iter=1000).fit(both, labels)
    return np.asarray(model.coef_[0], np.float64)


def _distinct_pairs(replies: Sequence[Sequence[str]], count: int, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """Prompt and two replies that are not the same, at random."""
    usable = [p for p, group in enumerate(replies) if len(set(group)) > 1]
    found: list[tuple[int, int, int]] = []
    while usable and len(found) < count:
        p = int(rng.choice(usable))
        a, b = (int(i) for i in rng.choice(len(replies[p]), 2, replace=False))
        if replies[p][a] != replies[p][b]:
            found.append((p, a, b))
    return found


class _Features:
    """TF-IDF of a reply's words, its length, and how many words of the prompt it repeats."""

    def __init__(self, texts: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._tfidf = TfidfVectorizer(tokenizer=words, token_pattern=None, lowercase=False, sublinear_tf=True, min_df=2)
        self._tfidf.fit([*texts, *texts])  # twice, so that a word of one text counts as well

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        tfidf = self._tfidf.transform([reply for _, reply in pairs]).toarray()
        return np.hstack([tfidf, [_shape(prompt, reply) for prompt, reply in pairs]])


def _shape(prompt: str, reply: str) -> tuple[float, float]:
    said = words(reply)
    return np.log1p(len(said)), np.log1p(sum(word in said for word in topic_words(prompt)))
