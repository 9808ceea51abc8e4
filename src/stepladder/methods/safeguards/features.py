"""TF-IDF classifiers that are saved as a word list and numbers, never as a pickle.

A text becomes two blocks of features, words (1-2 grams) and characters within words (3-5 grams), each with sublinear
counts, smoothed inverse document frequency and unit length, as scikit-learn's `TfidfVectorizer` makes them. Counting is the
slow part, so `count_terms` does it once for all texts and every fold picks its own vocabulary from its own training rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
LONGEST = 4000
"""Characters of a text that are read: the first third and the last two thirds of this, where a text is longer."""


def elide(text: str, longest: int) -> str:
    """At most `longest` characters: the head and the (twice as long) tail, because attacks put the request near the end."""
    if len(text) <= longest:
        return text
    head = longest // 3
    return text[:head] + text[len(text) - (longest - head) :]


@dataclass(frozen=True)
class Block:
    """Counts of one kind of term: a sparse matrix (texts, terms) and the terms."""

    counts: Any
    terms: NDArray[np.str_]

    @cached_property
    def position(self) -> dict[str, int]:
        """Column of each term."""
        return {term: column for column, term in enumerate(self.terms.tolist())}


@dataclass(frozen=True)
class Terms:
    """What a classifier knows of one kind of term: vocabulary, inverse document frequency, weight (all of one length)."""

    vocabulary: tuple[str, ...]
    idf: FloatArray
    weights: FloatArray


@dataclass(frozen=True)
class TextClassifier:
    """Logistic regression on the two blocks; scores are log odds."""

    words: Terms
    characters: Terms
    bias: float

    @cached_property
    def _counters(self) -> tuple[Any, Any]:
        return _vectorizer("word", self.words.vocabulary), _vectorizer("char_wb", self.characters.vocabulary)

    def score(self, texts: Sequence[str]) -> FloatArray:
        """Log odds of being harmful, one per text."""
        words, characters = (counter.transform(_read(texts)) for counter in self._counters)
        return _weigh(words, self.words) + _weigh(characters, self.characters) + self.bias


def count_terms(texts: Sequence[str]) -> tuple[Block, Block]:
    """Word and character blocks of all texts."""
    return _count("word", texts), _count("char_wb", texts)


def fit_text(
    blocks: tuple[Block, Block], rows: Sequence[int], labels: Sequence[int], *, rarest: int = 2, strength: float = 10.0
) -> TextClassifier:
    """Fit on the given rows alone: vocabulary (terms in at least `rarest` of them), frequencies and weights."""
    from scipy.sparse import hstack
    from sklearn.linear_model import LogisticRegression

    drafts = [_draft(block, rows, rarest) for block in blocks]
    matrix = hstack(
        [_tfidf(block.counts[rows][:, columns], idf) for block, (columns, idf) in zip(blocks, drafts, strict=True)]
    )
    model = LogisticRegression(C=strength, class_weight="balanced", solver="liblinear", max_iter=1000)
    model.fit(matrix.tocsr(), np.asarray(labels))
    cut = len(drafts[0][0])
    weights = model.coef_[0].astype(np.float64)
    fitted = [
        Terms(tuple(block.terms[columns].tolist()), idf, part)
        for block, (columns, idf), part in zip(blocks, drafts, (weights[:cut], weights[cut:]), strict=True)
    ]
    return TextClassifier(fitted[0], fitted[1], float(model.intercept_[0]))


def score_counts(classifier: TextClassifier, blocks: tuple[Block, Block], rows: Sequence[int]) -> FloatArray:
    """The same as `classifier.score` on the texts of these rows, from counts already made."""
    total = np.full(len(rows), classifier.bias)
    for block, terms in zip(blocks, (classifier.words, classifier.characters), strict=True):
        columns = [block.position[term] for term in terms.vocabulary]
        total += _weigh(block.counts[list(rows)][:, columns], terms)
    return total


def _read(texts: Sequence[str]) -> list[str]:
    return [elide(text, LONGEST) for text in texts]


def _vectorizer(analyzer: str, vocabulary: Sequence[str] | None = None) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer

    span = (1, 2) if analyzer == "word" else (3, 5)
    return CountVectorizer(analyzer=analyzer, ngram_range=span, vocabulary=vocabulary, dtype=np.float64)


def _count(analyzer: str, texts: Sequence[str]) -> Block:
    vectorizer = _vectorizer(analyzer)
    counts = vectorizer.fit_transform(_read(texts))
    return Block(counts.tocsr(), vectorizer.get_feature_names_out().astype(str))


def _draft(block: Block, rows: Sequence[int], rarest: int) -> tuple[NDArray[np.intp], FloatArray]:
    """Columns of the terms in at least `rarest` rows, and ln((1 + n) / (1 + df)) + 1 of each."""
    chosen = block.counts[list(rows)]
    frequency = np.asarray(chosen.getnnz(axis=0))
    columns = np.flatnonzero(frequency >= rarest)
    idf = np.log((1 + chosen.shape[0]) / (1 + frequency[columns])) + 1
    return columns, idf.astype(np.float64)


def _tfidf(counts: Any, idf: FloatArray) -> Any:
    """(1 + ln count) * idf, every row scaled to length 1 (rows of zeros stay)."""
    weighted = counts.astype(np.float64).tocsr(copy=True)
    weighted.data = (1 + np.log(weighted.data)) * idf[weighted.indices]
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1))).ravel()
    lengths[lengths == 0] = 1
    weighted.data /= np.repeat(lengths, np.diff(weighted.indptr))
    return weighted


def _weigh(counts: Any, terms: Terms) -> FloatArray:
    return np.asarray(_tfidf(counts, terms.idf) @ terms.weights, dtype=np.float64)
