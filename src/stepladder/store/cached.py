"""A model that answers from the ledger where it can, and what to do when a model does not answer at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from stepladder.core import Access, ChatModel, ModelUnavailable, Reply, Request, reply_key
from stepladder.execution import Price, Spending, map_async
from stepladder.store.exchanges import Counts, Exchanges, storable

FIRST_FAILURES = 5

T = TypeVar("T")


@dataclass
class _Call:
    """A unit being answered. `nested` tells that another cached model inside answered it, and has counted what it cost."""

    event: int
    nested: bool = False


_current: ContextVar[_Call | None] = ContextVar("current", default=None)


def units_of(things: Sequence[T], batch: int) -> list[Sequence[T]]:
    """The things cut into units of `batch`."""
    return [things[start : start + batch] for start in range(0, len(things), batch)]


class CachedModel:
    """`model`, answering from the ledger; all other attributes are the model's own (activations, layers, ...)."""

    name: str
    access: Access
    fingerprint: str
    batch: int

    def __init__(self, model: ChatModel, exchanges: Exchanges, spending: Spending, patience: Availability, concurrency: int):
        self.model = model
        self._exchanges = exchanges
        self._spending = spending
        self._availability = patience
        self._concurrency = concurrency

    def __getattr__(self, name: str) -> Any:
        if name == "model":  # not there yet: this object is being copied or unpickled
            raise AttributeError(name)
        return getattr(self.model, name)

    @property
    def concurrency(self) -> int:
        """How many units at a time: one where a unit is a batch, which uses the whole machine and must not be mixed."""
        return 1 if self.model.batch > 1 else self._concurrency

    async def reply_many(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request; asks the model, and stores, only the units that hold something new."""
        if outer := _current.get():
            outer.nested = True
        keys = [reply_key(self.model, request) for request in requests]
        replies = self._exchanges.known(set(keys))
        missing = {key: request for key, request in zip(keys, requests, strict=True) if key not in replies}
        units = units_of(list(missing.values()), self.model.batch)
        if units:
            event = outer.event if outer else self.begin("reply_many")
            for answers in await map_async(units, lambda unit: self.answer(unit, event), concurrency=self.concurrency):
                replies |= answers
        return [replies[key] for key in keys]

    def begin(self, label: str) -> int:
        """Open the event that the next units are counted under; raises where a budget needs a price that nobody knows."""
        return self._exchanges.begin("ask", label, self.model.name, 0.0 if self._spending.price(self.model) else None)

    async def answer(self, unit: Sequence[Request], event: int, enough: int = FIRST_FAILURES) -> dict[str, Reply]:
        """Ask the model for the whole unit, store it, and give the replies by key; `enough` failures mean it is down."""
        call = _Call(event)
        token = _current.set(call)
        try:
            replies = [storable(reply) for reply in await self.model.reply_many(unit)]
        finally:
            _current.reset(token)
        if len(replies) != len(unit):
            raise ModelUnavailable(f"{self.model.name} gave {len(replies)} replies to {len(unit)} requests")
        asked = {reply_key(self.model, request): request for request in unit}
        counts = Counts() if call.nested else self._count(unit, replies)
        stored = self._exchanges.store(event, self.model.fingerprint, asked, replies, counts)
        if not call.nested:
            await self._availability.heed(self.model, replies, enough)
        return stored

    def _count(self, unit: Sequence[Request], replies: Sequence[Reply]) -> Counts:
        price: Price | None = self._spending.price(self.model)
        return Counts(
            requests=len(replies),
            errors=sum(reply.error is not None for reply in replies),
            tokens_in=sum(reply.tokens_in for reply in replies),
            tokens_out=sum(reply.tokens_out for reply in replies),
            seconds=sum(reply.seconds for reply in replies),
            money=sum(self._spending.add(request, reply, price) for request, reply in zip(unit, replies, strict=True)),
        )


class Availability:
    """Notices a model that has failed from its first request on, before thousands of errors are recorded."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges
        self._answers: set[str] = set()
        self._failures: defaultdict[str, list[str]] = defaultdict(list)

    async def heed(self, model: ChatModel, replies: Sequence[Reply], enough: int) -> None:
        """Raise `ModelUnavailable` once the first `enough` replies of this session were all errors.

        Where the model answered in an earlier session, only what it could not answer then is asked now: those failures say
        nothing. Then its shortest answered request is tried again.
        """
        errors = [reply.error for reply in replies if reply.error is not None]
        if len(errors) < len(replies):
            self._answers.add(model.fingerprint)
        failures = self._failures[model.fingerprint]
        failures += errors
        if model.fingerprint in self._answers or len(failures) < enough:
            return
        probe = self._exchanges.shortest(model.fingerprint)
        if probe is None or (await model.reply_many([probe]))[0].error is not None:
            raise ModelUnavailable(
                f"{model.name} gave no answer {len(failures)} times in a row; the first error: {failures[0]}"
            )
        self._answers.add(model.fingerprint)
