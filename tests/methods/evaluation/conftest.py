"""Subjects whose answers are a function of the request, asked without a store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stepladder.core import Access, Context, Exchange, Finding, Method, Record, Reply, Request, Verdict

Answer = Callable[[Request], str]


class KnownModel:
    """A chat model whose answers are a function of the request; "<error>" is no answer."""

    access = Access.chat
    batch = 1

    def __init__(self, answer: Answer, name: str = "known") -> None:
        self.answer, self.name, self.fingerprint = answer, name, name

    async def reply_many(self, requests: Sequence[Request]) -> list[Reply]:
        said = [self.answer(request) for request in requests]
        return [Reply(error="down") if text == "<error>" else Reply(text=text) for text in said]


def ask(model: Any, requests: Sequence[Request], *, label: str) -> tuple[Exchange, ...]:
    replies = asyncio.run(model.reply_many(requests))
    return tuple(Exchange(request=q, reply=a) for q, a in zip(requests, replies, strict=True))


def by_hand(exchange: Exchange) -> Verdict:
    """YES complied, NO refused, anything else cannot be judged."""
    said = (exchange.reply.text or "").split(" ")[0]
    if said not in ("YES", "NO"):
        return Verdict(exchange=exchange.id, judge="by_hand", unmeasured="cannot be judged")
    return Verdict(exchange=exchange.id, judge="by_hand", value=float(said == "YES"))


@pytest.fixture
def record_of(tmp_path: Path) -> Callable[..., Record]:
    """`record_of(method, config, answer, base=answer, helper=answer)`; an answer may also be a model."""

    def make(method: Method, config: Any, answer: Any, base: Any = None, helper: Any = None, seed: int = 0) -> Record:
        def model(given: Any, name: str) -> Any:
            return KnownModel(given, name) if callable(given) else given

        context = Context(
            subject=model(answer, "known"), ask=ask, folder=tmp_path, seed=seed,
            helper=model(helper, "helper") if helper else None, models={"base": model(base, "base")} if base else {},
        )  # fmt: skip
        return method.record(context, config)

    return make


@pytest.fixture
def found(record_of: Callable[..., Record]) -> Callable[..., Finding]:
    """`found(method, config, answer, ...)`: what the technique concludes about that subject."""

    def make(method: Method, config: Any, answer: Any, **others: Any) -> Finding:
        record = record_of(method, config, answer, **others)
        return method.judge(record, [by_hand(exchange) for exchange in record.exchanges], config)

    return make
