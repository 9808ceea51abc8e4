"""Records as Inspect logs: what `inspect view` shows, and what other tools of the field read.

The ledger is what counts; a log is written from it, once, and can be written again. It still holds the whole record, so that
a log that was sent to somebody else gives the same record there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from stepladder.core import Exchange, Record, StoreError
from stepladder.store.files import write_atomic
from stepladder.store.foreign import foreign_record

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.model import ChatMessage, ModelOutput

_OURS = "stepladder"


def write_log(record: Record, path: Path, created: str) -> None:
    """Write the record as an Inspect log, whole or not at all; Inspect's writer takes about 1 ms an exchange."""
    from inspect_ai.log import write_eval_log

    log = to_log(record, created)
    write_atomic(path, lambda temporary: write_eval_log(log, str(temporary), format="eval"))


def read_log(path: Path) -> Record:
    """The record in a log of ours, exactly, or a foreign Inspect log (`.eval` or `.json`) as a record."""
    from inspect_ai.log import read_eval_log

    try:
        log = read_eval_log(str(path))
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file") from None
    except Exception as error:  # the reader raises whatever the zip, JSON or schema inside gives
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{path}: cannot be read as an Inspect log: {reason}") from None
    header = (log.eval.metadata or {}).get(_OURS)
    return foreign_record(log, path) if header is None else _our_record(header, log)


def _our_record(header: dict[str, Any], log: EvalLog) -> Record:
    """The exact exchanges are in the samples' `store`, with their place: the reader gives samples sorted by file name."""
    kept = sorted((sample.store[_OURS] for sample in log.samples or []), key=lambda each: each["place"])
    return Record.from_json(json.dumps(header | {"exchanges": [each["exchange"] for each in kept]}))


def to_log(record: Record, created: str) -> EvalLog:
    """The record as an Inspect log; `created` is an ISO 8601 time."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalResults, EvalSpec, EvalStats
    from inspect_ai.model import ModelUsage

    count, cost = len(record.exchanges), record.cost
    header = json.loads(record.model_dump_json(exclude={"exchanges"}))
    usage = ModelUsage(
        input_tokens=cost.tokens_in, output_tokens=cost.tokens_out, total_tokens=cost.tokens_in + cost.tokens_out
    )
    return EvalLog(
        status="success",
        eval=EvalSpec(
            created=created,
            task=record.method,
            task_id=record.key,
            eval_id=record.key,
            run_id=record.key,
            task_args=header["config"],
            dataset=EvalDataset(name=record.method, samples=count, shuffled=False),
            model=record.subject,
            config=EvalConfig(),
            metadata={_OURS: header},
        ),
        results=EvalResults(
            total_samples=count, completed_samples=sum(exchange.reply.error is None for exchange in record.exchanges)
        ),
        stats=EvalStats(started_at=created, completed_at=created, model_usage={record.subject: usage}),
        samples=[_sample(place, exchange, record.subject) for place, exchange in enumerate(record.exchanges)],
    )


def _sample(place: int, exchange: Exchange, model: str) -> EvalSample:
    """For people and other tools in Inspect's own fields; exactly, for us, in `store`."""
    from inspect_ai.log import EvalError, EvalSample

    asked, output, error = _messages(exchange), _output(exchange, model), exchange.reply.error
    return EvalSample(
        id=exchange.id if exchange.id and exchange.id.isprintable() else f"exchange-{place}",  # names a file in the zip
        epoch=1,
        input=asked,
        target="",
        messages=[*asked, *(choice.message for choice in output.choices)],
        output=output,
        metadata=dict(exchange.metadata),
        store={_OURS: {"place": place, "exchange": exchange.model_dump(mode="json")}},
        model_usage={model: output.usage} if output.usage else {},
        total_time=exchange.reply.seconds,
        error=EvalError(message=error, traceback="", traceback_ansi="") if error is not None else None,
    )


def _messages(exchange: Exchange) -> list[ChatMessage]:
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return [
        kinds[message.role](content=message.content, id=f"{exchange.id}/{number}")
        for number, message in enumerate(exchange.request.messages)
    ]


def _output(exchange: Exchange, model: str) -> ModelOutput:
    from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput, ModelUsage, StopReason

    reply = exchange.reply
    if reply.text is None:
        return ModelOutput(model=model, error=reply.error)
    message = ChatMessageAssistant(content=reply.text, id=f"{exchange.id}/reply", model=model, source="generate")
    stop: Any = reply.stop_reason if reply.stop_reason in get_args(StopReason) else "unknown"
    total = reply.tokens_in + reply.tokens_out
    return ModelOutput(
        model=model,
        choices=[ChatCompletionChoice(message=message, stop_reason=stop)],
        usage=ModelUsage(input_tokens=reply.tokens_in, output_tokens=reply.tokens_out, total_tokens=total),
        time=reply.seconds,
    )
