"""From what a technique got to the record that is kept, the same for every technique."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stepladder.core.keys import code_version
from stepladder.core.method import Context, Method, record_key
from stepladder.core.values import Cost, Exchange, Record, Reply


def new_record(
    method: Method, context: Context, config: Any, exchanges: Sequence[Exchange] = (), *,
    data: Mapping[str, Any] | None = None, artifacts: Mapping[str, str] | None = None, cost: Cost | None = None,
) -> Record:  # fmt: skip
    """The record with its key.

    `exchanges` are what a judge will read; `data` (anything that JSON can hold) is what the technique reads by itself;
    `artifacts` are files of `context.folder` by their role. The cost is that of the exchanges unless another is given.
    """
    return Record(
        key=record_key(method, context, config),
        method=method.name,
        family=method.family,
        subject=context.subject.name,
        config=json.loads(json.dumps(dataclasses.asdict(config))),
        seed=context.seed,
        code_version=code_version(method.record),
        exchanges=tuple(exchanges),
        artifacts=dict(artifacts or {}),
        data=json.loads(json.dumps(data or {})),
        cost=cost or cost_of(exchange.reply for exchange in exchanges),
    )


def cost_of(replies: Iterable[Reply], further_seconds: float = 0.0) -> Cost:
    """What those replies cost together; `further_seconds` is work other than asking."""
    given = list(replies)
    return Cost(
        requests=len(given),
        tokens_in=sum(reply.tokens_in for reply in given),
        tokens_out=sum(reply.tokens_out for reply in given),
        seconds=sum(reply.seconds for reply in given) + further_seconds,
    )
