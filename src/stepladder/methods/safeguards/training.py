"""From the corpus to a guard: classifiers of every fold, their scales and limits, and the scores of all that is tested.

Terms are counted once and activations computed once per text for all folds. Probes are fitted on the mean token of each
training text in a first pass; a second pass projects the tokens of all other texts on every fold's probes at once, so that
no token's activations are kept.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stepladder.methods.safeguards.cascade import (
    CLASSIFIERS,
    EXCHANGE,
    INPUT,
    MOMENTS,
    Bounds,
    fit_limits,
    fit_scale,
    text_only,
)
from stepladder.methods.safeguards.corpus import Case, in_fold
from stepladder.methods.safeguards.features import FloatArray, TextClassifier, count_terms, fit_text, score_counts
from stepladder.methods.safeguards.guard import FINAL, Fold, Guard, item_key
from stepladder.methods.safeguards.probe import Probe, fit_probe, pool, score_tokens
from stepladder.methods.safeguards.reading import Item, Reader

TIMED_CHUNK = 64


@dataclass(frozen=True)
class Corpus:
    """Cases of training, tuning and calibration, and the items that are tested, after them in every table."""

    cases: tuple[Case, ...]
    tested: tuple[Item, ...]

    @property
    def items(self) -> list[Item]:
        """All texts: the cases', then the tested ones."""
        return [Item(case.messages, case.reply) for case in self.cases] + list(self.tested)

    def rows(self, role: str, moment: str = INPUT) -> list[int]:
        """Positions of the cases of a role that can be read at that moment."""
        return [i for i, c in enumerate(self.cases) if c.role == role and (moment == INPUT or c.reply is not None)]

    def fit_rows(self, moment: str, held_out: str | None) -> list[int]:
        """Positions that a fold trains on."""
        return [i for i in self.rows("train", moment) if in_fold(self.cases[i], held_out)]

    def labels(self, rows: Sequence[int]) -> list[int]:
        """1 for harmful, of cases at these positions."""
        return [int(self.cases[i].harmful) for i in rows]

    def readable(self, moment: str) -> list[int]:
        """Positions of all items that can be read at that moment."""
        return [i for i, item in enumerate(self.items) if moment == INPUT or item.reply is not None]


@dataclass(frozen=True)
class Column:
    """One classifier of every fold, and its raw scores (items, folds): NaN for what cannot be read or was trained on."""

    fitted: Sequence[TextClassifier] | Sequence[Probe]
    raw: FloatArray


@dataclass(frozen=True)
class Trained:
    """The guard, and per fold the standardised scores of the tested items by classifier (NaN where unreadable)."""

    guard: Guard
    scores: Mapping[str, Mapping[str, FloatArray]]
    chunks: tuple[Mapping[str, float], ...]


def train_guard(corpus: Corpus, families: Sequence[str], reader: Reader, window: int, bounds: Bounds) -> Trained:
    """A fold per family and the final one. `families` are those to hold out in turn."""
    folds: dict[str, str | None] = {**{family: family for family in families}, FINAL: None}
    columns: dict[str, Column] = {f"tfidf_{m}": _text_column(corpus, m, reader, list(folds.values())) for m in MOMENTS}
    timings: dict[str, FloatArray] = {}
    if reader.source is not None:
        for moment in MOMENTS:
            column, timings[moment] = _probe_column(corpus, moment, reader, list(folds.values()), window)
            columns[f"probe_{moment}"] = column
    fitted = {name: _fold(corpus, columns, place, bounds) for place, name in enumerate(folds)}
    guard = Guard(
        folds={name: fold for name, (fold, _) in fitted.items()},
        reader=Reader(reader.characters, reader.reply, reader.layers if reader.source else ()),
        window=window,
        source=reader.source.fingerprint if reader.source else "",
        seen={m: _seen(corpus, columns, m, reader) for m in MOMENTS if reader.source},
    )
    trained = Trained(guard, {name: scores for name, (_, scores) in fitted.items()}, ())
    return dataclasses.replace(trained, chunks=_chunks(corpus, trained, timings))


def _text_column(corpus: Corpus, moment: str, reader: Reader, folds: Sequence[str | None]) -> Column:
    rows, items = corpus.readable(moment), corpus.items
    place = {row: i for i, row in enumerate(rows)}
    blocks = count_terms([reader.text(moment, items[row]) for row in rows])
    others = _scored_rows(corpus, moment)
    raw = np.full((len(items), len(folds)), np.nan)
    known: dict[tuple[int, ...], TextClassifier] = {}  # a family without wrappers leaves the final fold's rows
    fitted = []
    for number, held_out in enumerate(folds):
        chosen = tuple(corpus.fit_rows(moment, held_out))
        if chosen not in known:
            known[chosen] = fit_text(blocks, [place[row] for row in chosen], corpus.labels(chosen))
        fitted.append(known[chosen])
        raw[others, number] = score_counts(known[chosen], blocks, [place[row] for row in others])
    return Column(fitted, raw)


def _scored_rows(corpus: Corpus, moment: str) -> list[int]:
    """All readable items that no fold trains on."""
    return [i for i in corpus.readable(moment) if i >= len(corpus.cases) or corpus.cases[i].role != "train"]


def _probe_column(
    corpus: Corpus, moment: str, reader: Reader, folds: Sequence[str | None], window: int
) -> tuple[Column, FloatArray]:
    """The column and the seconds each tested item took (spread evenly over its chunk)."""
    probes = _fit_probes(corpus, moment, reader, folds)
    items = corpus.items
    raw, seconds = np.full((len(items), len(folds)), np.nan), np.zeros(len(corpus.tested))
    rows = _scored_rows(corpus, moment)
    start = len(corpus.cases)
    timed = [r for r in rows if r >= start]
    chunks = [[r for r in rows if r < start], *(timed[i : i + TIMED_CHUNK] for i in range(0, len(timed), TIMED_CHUNK))]
    for chunk in chunks:
        began = time.perf_counter()
        for row, tokens in zip(chunk, reader.tokens(moment, [items[r] for r in chunk]), strict=True):
            raw[row] = score_tokens(tokens, probes, window)
        spent = (time.perf_counter() - began) / max(1, len(chunk))
        seconds[[r - start for r in chunk if r >= start]] = spent
    return Column(probes, raw), seconds


def _fit_probes(corpus: Corpus, moment: str, reader: Reader, folds: Sequence[str | None]) -> list[Probe]:
    rows = corpus.rows("train", moment)
    items = corpus.items
    pooled = dict(zip(rows, map(pool, reader.tokens(moment, [items[r] for r in rows])), strict=True))
    known: dict[tuple[int, ...], Probe] = {}
    probes = []
    for held_out in folds:
        chosen = tuple(corpus.fit_rows(moment, held_out))
        if chosen not in known:
            known[chosen] = fit_probe(np.stack([pooled[r] for r in chosen]), corpus.labels(chosen))
        probes.append(known[chosen])
    return probes


def _fold(corpus: Corpus, columns: Mapping[str, Column], place: int, bounds: Bounds) -> tuple[Fold, dict[str, FloatArray]]:
    """The fold at that place and the standardised scores of the tested items under it."""
    names = [name for name in CLASSIFIERS if name in columns]
    tuning, calibrating = corpus.rows("tune", EXCHANGE), corpus.rows("calibration", EXCHANGE)
    scales = {name: fit_scale(columns[name].raw[tuning, place]) for name in names}
    scores = {name: scales[name].apply(columns[name].raw[:, place]) for name in names}
    tune, calibration = ({name: column[rows] for name, column in scores.items()} for rows in (tuning, calibrating))
    fitted = {name: column.fitted[place] for name, column in columns.items()}
    fold = Fold(
        texts={name: each for name, each in fitted.items() if isinstance(each, TextClassifier)},
        probes={name: each for name, each in fitted.items() if isinstance(each, Probe)},
        scales=scales,
        limits=fit_limits(tune, calibration, bounds),
        limits_tfidf=fit_limits(text_only(tune), text_only(calibration), bounds),
    )
    return fold, {name: column[len(corpus.cases) :] for name, column in scores.items()}


def _seen(corpus: Corpus, columns: Mapping[str, Column], moment: str, reader: Reader) -> dict[str, FloatArray]:
    """Raw probe scores of the tested items by digest of what was read."""
    start, raw = len(corpus.cases), columns[f"probe_{moment}"].raw
    readable = [i for i, item in enumerate(corpus.tested) if moment == INPUT or item.reply is not None]
    return {item_key(reader, moment, corpus.tested[i]): raw[start + i] for i in readable}


def _chunks(corpus: Corpus, trained: Trained, timings: Mapping[str, FloatArray]) -> tuple[dict[str, float], ...]:
    """Seconds of each classifier per timed chunk of the tested items, and how much of it the final fold's screen flags."""
    fold, reader = trained.guard.folds[FINAL], trained.guard.reader
    flagged = fold.limits.input_scores(trained.scores[FINAL]) > fold.limits.screen
    found = []
    for moment in MOMENTS:  # the first use builds the vectorizers
        fold.text_scores(moment, ["warm up"])
    for start in range(0, len(corpus.tested), TIMED_CHUNK):
        part = list(range(start, min(start + TIMED_CHUNK, len(corpus.tested))))
        row = {"start": start, "stop": part[-1] + 1, "flagged": float(np.mean(flagged[part]))}
        for moment in MOMENTS:
            began = time.perf_counter()
            fold.text_scores(moment, [reader.text(moment, corpus.tested[i]) for i in part])
            row[f"tfidf_{moment}"] = time.perf_counter() - began
            row[f"probe_{moment}"] = float(timings[moment][part].sum()) if moment in timings else 0.0
        found.append(row)
    return tuple(found)
