"""What a trained guard says of the input record: scores and decisions in the exchanges' metadata, and tables for `judge`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stepladder.core import Exchange
from stepladder.methods.safeguards.cascade import decide, joint
from stepladder.methods.safeguards.corpus import Case, in_fold, is_lent
from stepladder.methods.safeguards.guard import FINAL
from stepladder.methods.safeguards.training import Trained, moments_of


def scored_exchanges(exchanges: Sequence[Exchange], trained: Trained, lent: frozenset[str]) -> tuple[Exchange, ...]:
    """The exchanges with their fold, split, scores and decisions in their metadata."""
    names = [trained.guard.fold_of(e.metadata.get("family")) for e in exchanges]
    tables = {name: score_table(trained, name) for name in dict.fromkeys(names)}
    return tuple(
        _with_metadata(e, {"fold": n, "split": "calibration" if is_lent(e, lent) else "test"} | tables[n][i])
        for i, (e, n) in enumerate(zip(exchanges, names, strict=True))
    )


def _with_metadata(exchange: Exchange, added: Mapping[str, Any]) -> Exchange:
    request = exchange.request.model_copy(update={"metadata": {**exchange.metadata, **added}})
    return exchange.model_copy(update={"request": request})


def score_table(trained: Trained, name: str) -> list[dict[str, Any]]:
    """Scores and decisions of every tested item under one fold."""
    fold, scores = trained.guard.folds[name], trained.scores[name]
    moments = moments_of(fold, scores)
    whole = joint(moments)
    plain = np.fmax(scores["tfidf_input"], scores["tfidf_exchange"])
    limit = fold.limits.threshold_tfidf
    return [
        {
            **{f"score_{key}": _number(column[i]) for key, column in scores.items()},
            "score_cascade": float(whole[i]),
            "blocked": (by := decide({m: float(column[i]) for m, column in moments.items()}, fold.limits.threshold))
            is not None,
            "blocked_by": by,
            "blocked_tfidf": limit is not None and bool(plain[i] > limit),
        }
        for i in range(len(whole))
    ]


def _number(value: float) -> float | None:
    return None if value != value else float(value)


def harmless_scores(exchanges: Sequence[Exchange], trained: Trained) -> dict[str, dict[str, dict[str, float | None]]]:
    """Scores of the harmless exchanges under every fold: fold -> exchange id -> classifier -> score."""
    harmless = [i for i, e in enumerate(exchanges) if e.metadata.get("kind") in ("twin", "ordinary")]
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for name in trained.guard.folds:
        table = score_table(trained, name)
        found[name] = {exchanges[i].id: _only_scores(table[i]) for i in harmless}
    return found


def _only_scores(row: Mapping[str, Any]) -> dict[str, float | None]:
    return {key.removeprefix("score_"): value for key, value in row.items() if key.startswith("score_")}


def fold_table(trained: Trained, cases: Sequence[Case]) -> dict[str, Any]:
    """What each fold was trained and calibrated on, and its limits."""
    calibration = sum(case.role == "calibration" and case.reply is not None for case in cases)
    return {
        name: {
            "trained_on": sum(in_fold(case, None if name == FINAL else name) for case in cases),
            "calibrated_on": calibration,
            "threshold": fold.limits.threshold,
            "threshold_tfidf": fold.limits.threshold_tfidf,
            "screens": dict(fold.limits.screens),
        }
        for name, fold in trained.guard.folds.items()
    }


def compute_table(exchanges: Sequence[Exchange], trained: Trained) -> list[dict[str, float]]:
    """The timed chunks with the subject's own seconds for the same exchanges."""
    return [
        {**chunk, "generation": sum(e.reply.seconds for e in exchanges[int(chunk["start"]) : int(chunk["stop"])])}
        for chunk in trained.chunks
    ]
