"""Logs that other people's Inspect tasks wrote, read as records, so that our judges can judge them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepladder.core import Cost, Exchange, Message, Record, Reply, Request, StoreError, digest
from stepladder.core.values import Scalar

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.model import ChatMessage

_NO_REPLY = "the log holds no reply to this sample"


def foreign_record(log: EvalLog, path: Path) -> Record:
    """One exchange a sample: the conversation up to the last assistant message, and that message as the reply.

    Metadata is kept (what is not a scalar as JSON) and gets `request` and `behaviour` where it has none. Tools' messages
    become the user's. The record's family is `inspect`, its method the task's name, its key a digest of the exchanges.
    """
    if not log.samples:
        raise StoreError(f"{path}: the log of {log.eval.task!r} holds no samples (status {log.status!r})")
    repeated = Counter(sample.id for sample in log.samples)
    exchanges = tuple(_exchange(sample, repeated[sample.id] > 1, log) for sample in log.samples)
    return Record(
        key=digest([log.eval.task, log.eval.model, [exchange.model_dump() for exchange in exchanges]]),
        method=log.eval.task,
        family="inspect",
        subject=log.eval.model,
        config=json.loads(json.dumps(log.eval.task_args, default=str)),
        exchanges=exchanges,
        cost=Cost(
            requests=len(exchanges),
            tokens_in=sum(exchange.reply.tokens_in for exchange in exchanges),
            tokens_out=sum(exchange.reply.tokens_out for exchange in exchanges),
        ),
    )


def _exchange(sample: EvalSample, repeated: bool, log: EvalLog) -> Exchange:
    asked, answer = _split(sample)
    name = f"{sample.id}/epoch-{sample.epoch}" if repeated else str(sample.id)
    config = log.eval.model_generate_config.merge(log.plan.config)
    request = Request(
        id=name,
        messages=tuple(map(_message, asked)) or (Message(role="user", content=""),),
        max_tokens=config.max_tokens or Request.model_fields["max_tokens"].default,
        temperature=config.temperature or 0.0,
        seed=config.seed or 0,
        metadata=_metadata(sample),
    )
    return Exchange(request=request, reply=_reply(sample, answer))


def _split(sample: EvalSample) -> tuple[list[ChatMessage], str | None]:
    """What was asked, and the text of the last assistant message, if there is one."""
    messages = list(sample.messages)
    last = max((place for place, message in enumerate(messages) if message.role == "assistant"), default=None)
    if last is not None and last > 0:
        return messages[:last], messages[last].text
    if not messages and isinstance(sample.input, list):
        messages = list(sample.input)
    return messages or [_user(sample.input)], sample.output.completion if sample.output.choices else None


def _user(text: Any) -> ChatMessage:
    from inspect_ai.model import ChatMessageUser

    return ChatMessageUser(content=str(text))


def _message(message: ChatMessage) -> Message:
    if message.role == "tool":
        return Message(role="user", content=f"[result of a tool]\n{message.text}")
    return Message(role=message.role, content=message.text)


def _reply(sample: EvalSample, answer: str | None) -> Reply:
    if sample.error is not None or answer is None:
        return Reply(error=(sample.error.message if sample.error else sample.output.error) or _NO_REPLY)
    usage = sample.output.usage
    return Reply(
        text=answer,
        stop_reason=sample.output.stop_reason,
        tokens_in=usage.input_tokens if usage else 0,
        tokens_out=usage.output_tokens if usage else 0,
        seconds=sample.output.time or 0.0,
    )


def _metadata(sample: EvalSample) -> dict[str, Scalar]:
    asked = sample.input if isinstance(sample.input, str) else _last_user(sample.input)
    kept: dict[str, Scalar] = {str(name): _scalar(value) for name, value in sample.metadata.items()}
    standard: dict[str, Scalar] = {"request": asked, "behaviour": str(sample.id), "epoch": sample.epoch}
    return standard | kept


def _last_user(messages: list[ChatMessage]) -> str:
    texts = [message.text for message in messages if message.role == "user"]
    return texts[-1] if texts else ""


def _scalar(value: Any) -> Scalar:
    finite = not isinstance(value, float) or abs(value) < float("inf")
    if finite and (value is None or isinstance(value, str | int | float | bool)):
        return value
    return json.dumps(value, default=str, ensure_ascii=False)
