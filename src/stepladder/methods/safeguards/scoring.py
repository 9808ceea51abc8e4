"""What a trained guard says of the input record: scores and decisions in the exchanges' metadata, and tables for `judge`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepladder.core import Exchange
from stepladder.methods.safeguards.cascade import EXCHANGE, INPUT, text_only
from stepladder.methods.safeguards.corpus import Case, in_fold, is_lent
from stepladder.methods.safeguards.guard import FINAL
from stepladder.methods.safeguards.training import Trained


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
    by_input = fold.limits.blocks(fold.limits.input_scores(scores))
    by_exchange = fold.limits.blocks(fold.limits.exchange_scores(scores))
    plain = fold.limits_tfidf.blocks(fold.limits_tfidf.joint(text_only(scores)))
    return [
        {
            **{f"score_{key}": _number(column[i]) for key, column in scores.items()},
            "score_cascade": float(whole),
            "blocked": by_input[i] or by_exchange[i],
            "blocked_by": INPUT if by_input[i] else EXCHANGE if by_exchange[i] else None,
            "blocked_tfidf": plain[i],
        }
        for i, whole in enumerate(fold.limits.joint(scores))
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
            "threshold_tfidf": fold.limits_tfidf.threshold,
            "screen": fold.limits.screen,
        }
        for name, fold in trained.guard.folds.items()
    }


def compute_table(exchanges: Sequence[Exchange], trained: Trained) -> list[dict[str, float]]:
    """The timed chunks with the subject's own seconds for the same exchanges."""
    return [
        {**chunk, "generation": sum(e.reply.seconds for e in exchanges[int(chunk["start"]) : int(chunk["stop"])])}
        for chunk in trained.chunks
    ]
