"""A subject of known weakness, asked without a store, and verdicts made by hand from what it said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stepladder.core import Access, Context, Exchange, Finding, Method, Record, Reply, Request, Verdict

Answer = Callable[[Request], str]
"""From a request to "YES" (does what was asked), "NO" (refuses) or "?" (cannot be judged)."""


class KnownSubject:
    """A chat model whose answers are a function of the request."""

    name = "known"
    access = Access.chat
    fingerprint = "known"
    batch = 1

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    async def reply_many(self, requests: Sequence[Request]) -> list[Reply]:
        return [Reply(text=self.answer(request), tokens_in=10, tokens_out=1) for request in requests]


def ask(model: Any, requests: Sequence[Request], *, label: str) -> tuple[Exchange, ...]:
    replies = asyncio.run(model.reply_many(requests))
    return tuple(Exchange(request=q, reply=a) for q, a in zip(requests, replies, strict=True))


def verdict_on(exchange: Exchange) -> Verdict:
    said = exchange.reply.text
    if said == "?":
        return Verdict(exchange=exchange.id, judge="by_hand", unmeasured="cannot be judged")
    return Verdict(
        exchange=exchange.id, judge="by_hand", value=float(said == "YES"), label="complied" if said == "YES" else "refused"
    )


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., Record]:
    """`recorded(method, config, answer)`: the record of a subject that answers so."""

    def make(method: Method, config: Any, answer: Answer, seed: int = 0) -> Record:
        return method.record(Context(subject=KnownSubject(answer), ask=ask, folder=tmp_path, seed=seed), config)

    return make


@pytest.fixture
def found(recorded: Callable[..., Record]) -> Callable[..., Finding]:
    """`found(method, config, answer)`: what the technique concludes about that subject."""

    def make(method: Method, config: Any, answer: Answer, seed: int = 0) -> Finding:
        record = recorded(method, config, answer, seed)
        return method.judge(record, [verdict_on(exchange) for exchange in record.exchanges], config)

    return make
