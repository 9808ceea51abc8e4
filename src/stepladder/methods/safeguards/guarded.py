"""A chat model behind a guard, itself a chat model: what the guard blocks comes back empty, stopped by `content_filter`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

from stepladder.core import Access, AccessError, ChatModel, Reply, Request
from stepladder.core.keys import digest
from stepladder.methods.safeguards.cascade import EXCHANGE, INPUT
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
        """One reply per request, in order; only what passes the input stage reaches the inner model."""
        items = [Item(request.messages) for request in requests]
        blocked, seconds = self._judge(INPUT, requests, items)
        passed = [i for i, stop in enumerate(blocked) if not stop]
        replies = [_withheld(seconds) for _ in requests]
        answers = await self.inner.reply_many([requests[i] for i in passed]) if passed else []
        for i, reply in self._judged_replies({i: answers[k] for k, i in enumerate(passed)}, requests).items():
            replies[i] = reply
        return replies

    def _judged_replies(self, answers: Mapping[int, Reply], requests: Sequence[Request]) -> dict[int, Reply]:
        """The answers by position, with those that the exchange stage blocks withheld."""
        read = [i for i, reply in answers.items() if reply.text is not None]
        items = [Item(requests[i].messages, answers[i].text) for i in read]
        blocked, seconds = self._judge(EXCHANGE, [requests[i] for i in read], items)
        judged = dict(answers)
        for i, stop in zip(read, blocked, strict=True):
            judged[i] = _withheld(answers[i].seconds + seconds, answers[i]) if stop else answers[i]
        return judged

    def _judge(self, moment: str, requests: Sequence[Request], items: Sequence[Item]) -> tuple[list[bool], float]:
        """Whether each item is blocked, and the mean seconds that took."""
        started = time.perf_counter()
        blocked = by_fold(
            [self.guard.fold_of(request.metadata.get("family")) for request in requests],
            lambda fold, rows: self.guard.blocks(moment, fold, [items[i] for i in rows], self._reader),
        )
        return blocked, (time.perf_counter() - started) / max(1, len(items))


def by_fold(folds: Sequence[str], judge: Callable[[str, list[int]], list[bool]]) -> list[bool]:
    """Judge the rows of each fold together; results in the order of the rows."""
    found = [False] * len(folds)
    for fold in dict.fromkeys(folds):
        rows = [i for i, name in enumerate(folds) if name == fold]
        for i, stop in zip(rows, judge(fold, rows), strict=True):
            found[i] = stop
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
