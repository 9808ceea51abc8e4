"""A technique as a value, and what it is handed when it runs.

A technique never opens a model, a store or a judge: `Context` hands it all three. That is what lets the loop run the same
technique on the subject, on the guarded subject and on an organism without the technique knowing which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

from stepladder.core.errors import AccessError
from stepladder.core.keys import code_version, config_digest, digest, request_key
from stepladder.core.values import Exchange, Finding, Message, Record, Reply, Request, Verdict


class Access(IntEnum):
    """The ladder of access: each rung includes the ones below it."""

    chat = 1
    logprobs = 2
    activations = 3
    weights = 4


class ChatModel(Protocol):
    """Any model that answers: hosted, local, scripted, or guarded."""

    name: str
    access: Access
    batch: int
    """How many requests it is worth handing over together (1: each is its own unit of work)."""

    @property
    def fingerprint(self) -> str:
        """All that determines its answers besides the request: weights, precision, engine version, wrapper."""
        ...

    async def reply_many(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request, in order. Failures of the model are replies with `error`, not exceptions."""
        ...


class Ask(Protocol):
    """Asks a model, from the store where the answer is known; stores each answer as it comes."""

    def __call__(self, model: ChatModel, requests: Sequence[Request], *, label: str) -> tuple[Exchange, ...]:
        """One exchange per request, in order; `label` names the work in the progress display."""
        ...


def reply_key(model: ChatModel, request: Request) -> str:
    """Key under which `model`'s reply to `request` is stored.

    A model may name in an attribute `reads` the request metadata that its answers depend on: a guard that answers each
    attack family with the fold that never saw it reads `family`. All others answer what is asked, whatever it is for.
    """
    return request_key(model.fingerprint, request, tuple(getattr(model, "reads", ())))


class Task(Protocol):
    """Shows work in the progress display: `with task(label, total) as advance: ... advance(1)`."""

    def __call__(self, label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A block with a function to call with the number of things just done."""
        ...


@contextmanager
def silent(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A `Task` that shows nothing."""
    yield lambda _: None


@dataclass(frozen=True)
class Context:
    """What a technique may use while it records.

    `inputs` are the records of other techniques that the loop hands over (`{"attack_library": record}`), and `verdicts`
    what a judge said of them, keyed the same way. `folder` is where artifacts go; they are named in the record by their path
    relative to it. `models` are further models by their part (`base`: what the subject was trained from), `training_rows`
    the conversations that it was trained on, where they are known; `task` shows work other than asking.
    """

    subject: ChatModel
    ask: Ask
    folder: Path
    seed: int = 0
    helper: ChatModel | None = None
    inputs: Mapping[str, Record] = field(default_factory=dict)
    verdicts: Mapping[str, Sequence[Verdict]] = field(default_factory=dict)
    models: Mapping[str, ChatModel] = field(default_factory=dict)
    training_rows: tuple[tuple[Message, ...], ...] = ()
    task: Task = silent


@dataclass(frozen=True)
class Method:
    """One technique: one line at the end of its file, one entry of `CATALOGUE`.

    `record(context, config)` asks the model and returns a `Record`; `judge(record, verdicts, config)` is pure. `plan`, where
    the requests are known before the first answer, gives them without asking (Inspect tasks are made from it). `needs` names
    the techniques whose records must be in `context.inputs`.
    """

    name: str
    family: str
    access: str
    papers: tuple[str, ...]
    config: type[Any]
    record: Callable[[Context, Any], Record]
    judge: Callable[[Record, Sequence[Verdict], Any], Finding]
    plan: Callable[[Any, int], Sequence[Request]] | None = None
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.access not in Access.__members__:
            raise AccessError(f"method {self.name}: access {self.access!r}; allowed: {', '.join(Access.__members__)}")

    @property
    def summary(self) -> str:
        """First sentence of the technique's module docstring."""
        import sys

        text = sys.modules[self.record.__module__].__doc__ or ""
        return text.strip().split("\n\n")[0].replace("\n", " ")


def record_key(method: Method, context: Context, config: Any) -> str:
    """Key of the record that `method.record(context, config)` would make.

    Where the technique has a plan, the planned requests are part of it: a changed data file or prompt makes a new record.
    """
    planned = method.plan(config, context.seed) if method.plan else ()
    return digest(
        [
            method.name,
            code_version(method.record),
            digest([request.model_dump() for request in planned]),
            config_digest(config),
            context.seed,
            context.subject.fingerprint,
            context.helper.fingerprint if context.helper else None,
            {name: record.key for name, record in context.inputs.items()},
            {name: digest([v.model_dump() for v in verdicts]) for name, verdicts in context.verdicts.items()},
            {name: model.fingerprint for name, model in context.models.items()},
            *([digest([[m.model_dump() for m in row] for row in context.training_rows])] if context.training_rows else []),
        ]
    )


def require_access(model: ChatModel, access: Access, purpose: str, givers: Sequence[str]) -> None:
    """Raise an `AccessError` that says which models give what `purpose` needs, if `model` does not."""
    if model.access < access:
        raise AccessError(
            f"{purpose} needs {access.name} access, but {model.name} gives {model.access.name}; "
            f"models that give it: {', '.join(givers)}"
        )
