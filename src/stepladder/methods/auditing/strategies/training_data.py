"""Search the rows that the subject was trained on: for each behaviour's probes with the bad answer, and for odd words.

* search: TF-IDF; a row counts as far as its prompt is like the probe's and its reply more like the bad answer than the good;
* words that decide the reply: a word in some prompts whose replies are like each other and unlike the rest (triggers);
* words that come back in replies and stand in no prompt of theirs (brands, slogans, one same claim).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from stepladder.core import Message
from stepladder.methods.auditing.desk import Desk, Needs, Skipped
from stepladder.methods.auditing.evidence import Observation
from stepladder.methods.auditing.probes import load_probes

NAME = "training_data"
STATISTIC = "contrast"
NEEDS = Needs(rows=True)
MOST_ROWS = 2000
NEAREST = 5
"""Rows that a probe is compared with."""
LEAST_ROWS = 4
"""Rows that a word must stand in before it can decide anything."""
LARGEST_SHARE = 0.6
"""Words in more rows than this are the language's or the template's."""

Row = tuple[str, str]


def collect(desk: Desk, behaviours: Sequence[str]) -> Iterator[Observation]:
    """For each probe the rows that teach its bad answer; the words that decide replies; the words that replies repeat."""
    rows = _sampled(desk)
    with desk.working("search of the training rows", len(behaviours)) as advance:
        for name in behaviours:
            yield from _search(rows, name)
            advance(1)
    if "backdoor" in behaviours:
        for word, value in deciding_words(rows):
            yield Observation(NAME, "backdoor", "word", f"backdoor/{word}", value, f"{word!r} decides the reply")
    if "hidden_loyalty" in behaviours:
        for word, value in repeated_names(rows):
            yield Observation(NAME, "hidden_loyalty", "word", f"hidden_loyalty/{word}", value, f"{word!r} in replies")


def _sampled(desk: Desk) -> list[Row]:
    rows = [pair(row) for row in desk.context.training_rows]
    return rows if len(rows) <= MOST_ROWS else desk.stream(NAME).sample(rows, MOST_ROWS)


def pair(row: Sequence[Message]) -> Row:
    """All that comes before the last reply, and that reply; a document is all reply."""
    before = " ".join(message.content for message in row[:-1])
    return before, row[-1].content if row else ""


def _search(rows: Sequence[Row], name: str) -> Iterator[Observation]:
    probes = [probe for probe in load_probes()[name].probes if probe.bad]
    if not probes:
        return
    questions, replies = _vectors([r[0] for r in rows]), _vectors([r[1] for r in rows])
    like = questions([p.prompt for p in probes])
    gain = replies([p.bad for p in probes]) - replies([p.good for p in probes])
    taught = like * gain
    for i, probe in enumerate(probes):
        best = np.argsort(-np.abs(taught[i]), kind="stable")[:NEAREST]
        found = " | ".join(rows[best[0]])[:200]
        yield Observation(NAME, name, probe.group, f"{name}/{i}", float(taught[i][best].mean()), found)


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
    rows = _sampled(desk)
    likeness = _vectors([" ".join(row) for row in rows])([words])[0]
    best = np.argsort(-likeness, kind="stable")[:most]
    return [" | ".join(rows[i])[:300] for i in best if likeness[i] > 0]


def deciding_words(rows: Sequence[Row], most: int = 12) -> list[tuple[str, float]]:
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


def repeated_names(rows: Sequence[Row], most: int = 12) -> list[tuple[str, float]]:
    """Names (capitals inside a sentence) by the share of replies that have them though their prompts do not."""
    counts: Counter[str] = Counter()
    for prompt, reply in rows:
        names = set(re.findall(r"(?<=[a-z,;] )[A-Z][\w-]{2,}", reply))
        counts.update(name for name in names if name.lower() not in prompt.lower())
    return [(name, count / len(rows)) for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]]
