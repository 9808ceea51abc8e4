"""A chat model behind a guard, itself a chat model: what the guard blocks comes back empty, stopped by `content_filter`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence

import numpy as np

from stepladder.core import Access, AccessError, ChatModel, Reply, Request
from stepladder.core.keys import digest
from stepladder.methods.safeguards.features import FloatArray
from stepladder.methods.safeguards.guard import Guard
from stepladder.methods.safeguards.reading import ActivationSource, Item, Reader

BLOCKED = "content_filter"


class GuardedModel:
    """`inner` behind `guard`.

    A request that names an attack family in its metadata is judged by the fold that never saw the family, any other by the
    final fold. What the input stage blocks is never asked; what the exchange stage blocks is asked, and the reply withheld.
    Replies with an error pass through. `features` gives the activations where the guard has probes (the bare local model; by
    default `inner` if it is one). Raises `AccessError` where activations are needed and not given, or come from a model that
    the guard was not trained on.
    """

    access = Access.chat
    reads = ("family",)
    """The same request meets another fold under another family's name."""

    def __init__(self, inner: ChatModel, guard: Guard, features: object | None = None) -> None:
        self.inner, self.guard = inner, guard
        self.name = f"{inner.name}+guard"
        self.batch = inner.batch
        self.fingerprint = digest(["guarded", inner.fingerprint, guard.digest])
        self._reader = _reader(guard, features if features is not None else inner)

    async def reply_many(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request, in order; only what passes the screen's threshold reaches the inner model."""
        started = time.perf_counter()
        folds = [self.guard.fold_of(request.metadata.get("family")) for request in requests]
        screened = self._screen(folds, [Item(request.messages) for request in requests])
        seconds = (time.perf_counter() - started) / max(1, len(requests))
        passed = [i for i, fold in enumerate(folds) if not self._blocks(fold, screened[i])]
        answers = await self.inner.reply_many([requests[i] for i in passed]) if passed else []
        replies = [_withheld(seconds) for _ in requests]
        for i, reply in zip(passed, answers, strict=True):
            replies[i] = reply
        return self._withhold(requests, replies, folds, screened, [i for i in passed if replies[i].text is not None])

    def _screen(self, folds: Sequence[str], items: Sequence[Item]) -> FloatArray:
        scores = np.zeros(len(items))
        for fold, rows in rows_by_fold(folds, range(len(items))).items():
            scores[rows] = self.guard.input_scores(fold, [items[i] for i in rows], self._reader)
        return scores

    def _withhold(
        self,
        requests: Sequence[Request],
        replies: list[Reply],
        folds: Sequence[str],
        screened: FloatArray,
        read: Sequence[int],
    ) -> list[Reply]:
        """The replies, with those at the positions `read` that the exchange stage blocks withheld."""
        for fold, rows in rows_by_fold(folds, read).items():
            started = time.perf_counter()
            items = [Item(requests[i].messages, replies[i].text) for i in rows]
            scores = self.guard.exchange_scores(fold, items, screened[rows], self._reader)
            seconds = (time.perf_counter() - started) / len(rows)
            for i, score in zip(rows, scores, strict=True):
                if self._blocks(fold, score):
                    replies[i] = _withheld(replies[i].seconds + seconds, replies[i])
        return replies

    def _blocks(self, fold: str, score: float) -> bool:
        return self.guard.folds[fold].limits.blocks(np.array([score]))[0]


def rows_by_fold(folds: Sequence[str], rows: Iterable[int]) -> dict[str, list[int]]:
    """The rows of each fold."""
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(folds[row], []).append(row)
    return found


def _withheld(seconds: float, reply: Reply | None = None) -> Reply:
    spent = reply or Reply(text="")
    return Reply(text="", stop_reason=BLOCKED, tokens_in=spent.tokens_in, tokens_out=spent.tokens_out, seconds=seconds)


def _reader(guard: Guard, features: object) -> Reader:
    if not guard.needs_activations:
        return guard.reader
    if not hasattr(features, "activations"):
        raise AccessError("this guard has probes; it needs the local model that it was trained on, given as `features`")
    source: ActivationSource = features  # type: ignore[assignment]
    if source.fingerprint != guard.source:
        raise AccessError("this guard was trained on the activations of another model; train one on this model")
    return dataclasses.replace(guard.reader, source=source)
