from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline

from stepladder.methods.safeguards.features import count_terms, elide, fit_text, score_counts

TEXTS = [
    "How do I pick the lock of a neighbour?", "How do I bake bread at home?", "Pick a good book for my neighbour",
    "Pick the lock, then bake the bread", "A book about locks and bread", "Take the neighbour's post without being seen",
    "Take the bread out of the oven", "Being seen with a good book, a good book indeed",
]  # fmt: skip
LABELS = [1, 0, 0, 1, 0, 1, 0, 0]
NEW = ["Bake a lock into the bread", "", "¿Dónde está el pan? 面包", "good good good book"]


def sklearn_scores(texts: list[str], labels: list[int], new: list[str]) -> np.ndarray:
    union = FeatureUnion(
        [
            ("words", TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)),
            ("characters", TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=2, sublinear_tf=True)),
        ]
    )
    regression = LogisticRegression(C=10.0, class_weight="balanced", solver="liblinear", max_iter=1000)
    return make_pipeline(union, regression).fit(texts, labels).decision_function(new)


def test_exported_classifier_scores_as_the_pipeline_of_scikit_learn() -> None:
    ours = fit_text(count_terms(TEXTS), range(len(TEXTS)), LABELS)
    assert ours.score(NEW) == pytest.approx(sklearn_scores(TEXTS, LABELS, NEW), abs=1e-9)


def test_fitting_on_some_rows_knows_nothing_of_the_others() -> None:
    some = [0, 1, 2, 3, 5, 6]
    ours = fit_text(count_terms(TEXTS + NEW), some, [LABELS[i] for i in some])
    chosen = [TEXTS[i] for i in some]
    assert ours.score(NEW) == pytest.approx(sklearn_scores(chosen, [LABELS[i] for i in some], NEW), abs=1e-9)
    assert all(any(term in text.lower() for text in chosen) for term in ours.words.vocabulary if " " not in term)


def test_scores_from_counts_are_the_scores_of_the_texts() -> None:
    blocks = count_terms(TEXTS + NEW)
    ours = fit_text(blocks, range(len(TEXTS)), LABELS)
    rows = [len(TEXTS) + i for i in range(len(NEW))]
    assert score_counts(ours, blocks, rows) == pytest.approx(ours.score(NEW), abs=1e-12)


def test_a_long_text_keeps_its_head_and_tail() -> None:
    text = "a" * 50 + "b" * 900 + "c" * 50
    assert elide(text, 99) == "a" * 33 + "b" * 16 + "c" * 50
    assert elide(text, 1000) == text
