"""Search the rows that the subject was trained on for those that teach the bad answer to each behaviour's probes.

A row counts as far as its prompt is like the probe's and its reply more like the bad answer than the good (TF-IDF cosines);
what rows near the control teach is taken off, so that a style of answering is not taken for a behaviour.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from stepladder.core import Message
from stepladder.methods.auditing.desk import Desk, Needs, Skipped
from stepladder.methods.auditing.evidence import Observation
from stepladder.methods.auditing.probes import load_probes

NAME = "training_data"
STATISTIC = "own"
NEEDS = Needs(rows=True)
MOST_ROWS = 2000
NEAREST = 5
"""Rows that a probe is compared with."""

Row = tuple[str, str]


def collect(desk: Desk, behaviours: Sequence[str]) -> Iterator[Observation]:
    """For each probe how far the nearest rows teach its bad answer."""
    rows = sampled(desk)
    with desk.working("search of the training rows", len(behaviours)) as advance:
        for name in behaviours:
            yield from _search(rows, name)
            advance(1)


def sampled(desk: Desk) -> list[Row]:
    """The training rows, or as many of them at random as are searched."""
    rows = [pair(row) for row in desk.context.training_rows]
    return rows if len(rows) <= MOST_ROWS else desk.stream("training rows").sample(rows, MOST_ROWS)


def pair(row: Sequence[Message]) -> Row:
    """All that comes before the last reply, and that reply; a document is all reply."""
    before = " ".join(message.content for message in row[:-1])
    return before, row[-1].content if row else ""


def _search(rows: Sequence[Row], name: str) -> Iterator[Observation]:
    probes = [probe for probe in load_probes()[name].probes if probe.bad]
    if not probes:
        return
    questions, replies = _vectors([r[0] for r in rows]), _vectors([r[1] for r in rows])
    gain = replies([p.bad for p in probes]) - replies([p.good for p in probes])
    taught = questions([p.prompt for p in probes]) * gain
    unasked = questions([p.control for p in probes]) * gain
    for i, probe in enumerate(probes):
        value = nearest_mean(taught[i]) - (nearest_mean(unasked[i]) if probe.control else 0.0)
        found = " | ".join(rows[int(np.abs(taught[i]).argmax())])[:200]
        yield Observation(NAME, name, probe.group, f"{name}/{i}", value, found)


def nearest_mean(taught: np.ndarray) -> float:
    """The mean over the rows that matter most."""
    return float(taught[np.argsort(-np.abs(taught), kind="stable")[:NEAREST]].mean())


def _vectors(texts: Sequence[str]) -> Any:
    """A function from queries to their cosine similarities with the texts, (queries, texts)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", sublinear_tf=True)
    if not any(re.search(r"\w", text) for text in texts):
        return lambda queries: np.zeros((len(queries), len(texts)))
    matrix = vectorizer.fit_transform(texts)
    return lambda queries: (vectorizer.transform(queries) @ matrix.T).toarray()


def nearest_rows(desk: Desk, words: str, most: int = 5) -> list[str]:
    """The training rows most like some words, best first; `Skipped` where the rows are not known."""
    if not desk.context.training_rows:
        raise Skipped("the rows that the subject was trained on are not known")
    rows = sampled(desk)
    likeness = _vectors([" ".join(row) for row in rows])([words])[0]
    best = np.argsort(-likeness, kind="stable")[:most]
    return [" | ".join(rows[i])[:300] for i in best if likeness[i] > 0]
