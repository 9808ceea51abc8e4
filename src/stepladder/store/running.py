"""Running a technique through the store: the stored record where nothing has changed, else a new one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stepladder.core import (
    Ask,
    ChatModel,
    Context,
    Cost,
    Exchange,
    Method,
    Record,
    Reply,
    Request,
    StepladderError,
    code_version,
    record_key,
    reply_key,
)
from stepladder.store.records import Kept, Records, content_digest


def run_method(records: Records, artifacts: Path, method: Method, context: Context, config: Any) -> Record:
    """The record of `method` under `context` and `config`, found or made; its artifacts lie in `artifacts / key`.

    A stored record is made anew where a request of its own had got an error (only the errors are asked again), where a
    record that it was made from has since changed, or where one of its artifacts is gone.
    """
    if missing := [name for name in method.needs if name not in context.inputs]:
        raise StepladderError(f"{method.name} needs the record of {', '.join(missing)}; run that first and hand it over")
    key = record_key(method, context, config)
    folder = artifacts / key
    inputs = content_digest([context.inputs[name] for name in sorted(context.inputs)])
    kept = records.get(key)
    if kept and _current(kept, inputs, context.inputs, folder):
        if not records.has_log(kept.record):
            records.write_log(kept.record, kept.at)
        return kept.record
    return records.put(_made(method, context, config, key, folder), inputs)


def _current(kept: Kept, inputs: str, given: Mapping[str, Record], folder: Path) -> bool:
    """Whether the stored record is what making it now would give."""
    inherited = {
        exchange.id for record in given.values() for exchange in record.exchanges if exchange.reply.error is not None
    }
    failed = {exchange.id for exchange in kept.record.exchanges if exchange.reply.error is not None}
    whole = all((folder / name).exists() for name in kept.record.artifacts.values())
    return kept.inputs == inputs and failed <= inherited and whole


def _made(method: Method, context: Context, config: Any, key: str, folder: Path) -> Record:
    meter = _Meter(context.ask)
    record = method.record(dataclasses.replace(context, ask=meter, folder=folder), config)
    for role, name in record.artifacts.items():
        if not (folder / name).exists():
            raise ValueError(f"{method.name} names an artifact {role!r} that it did not write: {folder / name}")
    cost = meter.cost() if record.cost == Cost() else record.cost
    return record.model_copy(
        update={"key": key, "cost": cost, "code_version": record.code_version or code_version(method.record)}
    )


class _Meter:
    """Counts what a record's answers cost to make, whenever and for whatever they were asked first."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._replies: dict[str, Reply] = {}

    def __call__(self, model: ChatModel, requests: Sequence[Request], *, label: str) -> tuple[Exchange, ...]:
        exchanges = self._ask(model, requests, label=label)
        self._replies |= {reply_key(model, e.request): e.reply for e in exchanges}
        return exchanges

    def cost(self) -> Cost:
        """The sum over distinct requests, so that a resumed run costs what an uninterrupted one does."""
        replies = self._replies.values()
        return Cost(
            requests=len(replies),
            tokens_in=sum(reply.tokens_in for reply in replies),
            tokens_out=sum(reply.tokens_out for reply in replies),
            seconds=sum(reply.seconds for reply in replies),
        )
