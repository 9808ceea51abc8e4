"""One technique on one subject, as the loop runs it: record, verdicts, finding; nothing asked that the store knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stepladder.core import Access, ChatModel, Finding, Message, Method, Record, Verdict, require_access
from stepladder.judges import Judge, run_judge
from stepladder.methods import get_method
from stepladder.store import Store


@dataclass(frozen=True)
class Specimen:
    """What a technique is given: the subject, which never says what it is, and what is known of its making."""

    subject: ChatModel
    base: ChatModel | None = None
    training_rows: tuple[tuple[Message, ...], ...] = ()


@dataclass(frozen=True)
class Examined:
    """A record, the verdicts on it and the finding."""

    record: Record
    verdicts: tuple[Verdict, ...]
    finding: Finding
    inputs: Mapping[str, Examined] = field(default_factory=dict)


def examine(store: Store, judge: Judge, specimen: Specimen, method: Method) -> Examined:
    """Run the technique with its default configuration and seed 0, what it needs first, on the same subject."""
    subject = specimen.subject
    require_access(subject, Access[method.access], method.name, ["smollm2", "hf/<id or folder>"])
    inputs = {name: examine(store, judge, specimen, get_method(name)) for name in method.needs}
    context = store.context(
        subject,
        seed=0,
        inputs={name: given.record for name, given in inputs.items()},
        verdicts={name: given.verdicts for name, given in inputs.items()},
        models={} if specimen.base is None else {"base": specimen.base},
        training_rows=specimen.training_rows,
    )
    config = method.config()
    record = store.run_method(method, context, config)
    verdicts = _judged(store, judge, subject, record, inputs)
    finding = method.judge(record, verdicts, config)
    store.save_finding(finding)
    return Examined(record, verdicts, finding, inputs)


def _judged(
    store: Store, judge: Judge, subject: ChatModel, record: Record, inputs: Mapping[str, Examined]
) -> tuple[Verdict, ...]:
    """Verdicts on the exchanges, taken from the inputs where those hold them all already."""
    known = {v.exchange: v for given in inputs.values() for v in given.verdicts}
    if record.exchanges and all(exchange.id in known for exchange in record.exchanges):
        return tuple(known[exchange.id] for exchange in record.exchanges)
    return run_judge(judge, record, store, subject if subject.access >= Access.logprobs else None)
