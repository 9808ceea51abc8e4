"""The store: asks models with nothing asked twice, and keeps records, verdicts and findings under what determines them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from stepladder.core import (
    ChatModel,
    Context,
    Cost,
    Exchange,
    Finding,
    Message,
    Method,
    Record,
    Reply,
    Request,
    Stored,
    Task,
    Verdict,
    reply_key,
)
from stepladder.execution import Budget, Progress, Spending, map_units
from stepladder.store.cached import FIRST_FAILURES, Availability, CachedModel, units_of
from stepladder.store.exchanges import Event, Exchanges, check_unicode
from stepladder.store.files import remove_leftovers, store_errors
from stepladder.store.ledger import Ledger
from stepladder.store.records import Records
from stepladder.store.running import run_method

HOSTED_CONCURRENCY = 16

S = TypeVar("S", bound=Stored)


def open_store(
    folder: Path | str,
    progress: Progress | None = None,
    budget: Budget | None = None,
    concurrency: int = HOSTED_CONCURRENCY,
) -> Store:
    """Open the store in `folder`, making it where there is none; a `StoreError` where that cannot be read or written.

    `budget` holds for all that is asked through this object; `concurrency` is how many units a model without
    batches is asked at a time.
    """
    return Store(Path(folder), progress or Progress(quiet=True), Spending(budget), concurrency)


class Store:
    """A folder with `ledger.db`, `records/*.eval` and `tensors/<record>/`. Close it, or use it as a context manager."""

    def __init__(self, folder: Path, progress: Progress, spending: Spending, concurrency: int) -> None:
        self.folder = folder
        self.spending = spending
        """What was spent since the store was opened."""
        self._progress = progress
        self._concurrency = concurrency
        self._ledger = Ledger(folder / "ledger.db")
        self._exchanges = Exchanges(self._ledger)
        self._records = Records(self._ledger, folder / "records")
        self._availability = Availability(self._exchanges)
        with store_errors(folder):
            for part in ("records", "tensors"):
                remove_leftovers(folder / part)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def cached(self, model: ChatModel) -> CachedModel:
        """The model, answering from the ledger where it can and storing what it answers."""
        if isinstance(model, CachedModel):
            return model
        return CachedModel(model, self._exchanges, self.spending, self._availability, self._concurrency)

    def ask(self, model: ChatModel, requests: Sequence[Request], *, label: str) -> tuple[Exchange, ...]:
        """One exchange per request, in order; equal requests are asked once, errors again next time.

        Requests are sorted by length and cut into units of `model.batch`; a unit is asked whole if any of it is missing, so
        that the batches of a resumed run are those of an uninterrupted one. May be called while an event loop runs.
        """
        cached = self.cached(model)
        keys = [reply_key(cached.model, request) for request in requests]
        distinct = dict(zip(reversed(keys), reversed(requests), strict=True))  # of equal requests, the first
        replies = self._exchanges.known(distinct)
        if len(replies) < len(distinct):
            replies = self._ask_missing(cached, distinct, replies, label) | replies
        return tuple(Exchange(request=request, reply=replies[key]) for key, request in zip(keys, requests, strict=True))

    def _ask_missing(
        self, model: CachedModel, distinct: Mapping[str, Request], known: Mapping[str, Reply], label: str
    ) -> dict[str, Reply]:
        """Ask the units that hold something unknown, shortest first."""
        check_unicode(request for key, request in distinct.items() if key not in known)
        units = [
            [distinct[key] for key in unit]
            for unit in units_of(sorted(distinct, key=lambda key: (_length(distinct[key]), key)), model.batch)
            if any(key not in known for key in unit)
        ]
        enough = min(FIRST_FAILURES, max(2, len(distinct) - len(known)))
        event = model.begin(label)
        answers = map_units(
            units,
            lambda unit: model.answer(unit, event, enough),
            concurrency=model.concurrency,
            progress=self._progress,
            label=label,
            budget=self.spending,
            size=len,
            done=len(distinct) - sum(map(len, units)),
        )
        return {key: reply for unit in answers for key, reply in unit.items()}

    def context(
        self,
        subject: ChatModel,
        *,
        seed: int,
        helper: ChatModel | None = None,
        inputs: Mapping[str, Record] | None = None,
        verdicts: Mapping[str, Sequence[Verdict]] | None = None,
        models: Mapping[str, ChatModel] | None = None,
        training_rows: tuple[tuple[Message, ...], ...] = (),
    ) -> Context:
        """What a technique is handed; `run_method` gives it the folder of its own record."""
        folder, task = self.folder / "tensors", self._progress.task
        return Context(
            subject, self.ask, folder, seed, helper, inputs or {}, verdicts or {}, models or {}, training_rows, task
        )

    def run_method(self, method: Method, context: Context, config: Any) -> Record:
        """The record that `method` makes under `context` and `config`: the stored one where nothing has changed."""
        return run_method(self._records, self.folder / "tensors", method, context, config)

    def artifacts(self, record: Record) -> Path:
        """The folder that the paths in `record.artifacts` are relative to."""
        return self.folder / "tensors" / record.key

    def save_record(self, record: Record) -> Record:
        """Store a record with its Inspect log under `record.key`; gives it as it will be read."""
        return self._records.put(record)

    def load_record(self, name: str | Path) -> Record:
        """The record of that key or unique prefix of a key, or in the Inspect log at that path (foreign ones as well)."""
        return self._records.find(name)

    def records(self) -> tuple[Record, ...]:
        """All records, oldest first."""
        return self._records.all()

    def log_path(self, record: Record) -> Path:
        """The record's Inspect log, which exists if the record has exchanges."""
        return self._records.log_path(record)

    def verdicts(self, record_key: str, judge_fingerprint: str) -> tuple[Verdict, ...] | None:
        """What that judge said of the record, or `None` where it was never asked."""
        return self._records.verdicts(record_key, judge_fingerprint)

    def save_verdicts(self, record_key: str, judge_fingerprint: str, verdicts: Sequence[Verdict]) -> None:
        """Store a judge's verdicts on a record, all of them or none."""
        self._records.put_verdicts(record_key, judge_fingerprint, verdicts)

    def save_finding(self, finding: Finding) -> None:
        """Store a finding in the place of an older one from the same record, method and judge."""
        self._records.put_finding(finding)

    def findings(self) -> tuple[Finding, ...]:
        """All findings, oldest first."""
        return self._records.findings()

    def save_certificate(self, key: str, value: Stored) -> None:
        """Store a certificate under its id; the same one again changes nothing."""
        self._records.put_certificate(key, value)

    def certificates(self, of: type[S]) -> tuple[tuple[str, S], ...]:
        """When each certificate was given or refused (UTC, ISO 8601), and the certificate, oldest first."""
        return tuple((at, of.from_json(body)) for _, at, body in self._records.certificates())

    def save_calibration(self, kind: str, key: str, value: Stored) -> None:
        """Store what calibration measured, in the place of an older value of that kind and key."""
        self._records.put_calibration(kind, key, value)

    def calibrations(self, kind: str, of: type[S]) -> dict[str, S]:
        """By key, all that calibration stored of that kind, oldest first."""
        return {key: of.from_json(body) for key, body in self._records.calibrations(kind)}

    @property
    def task(self) -> Task:
        """Shows work other than asking in the store's progress display; what is asked within it is not shown."""
        return self._progress.task

    def cost(self) -> Cost:
        """What all asking with this store has cost so far, killed runs included."""
        return self._exchanges.cost()

    def events(self) -> tuple[Event, ...]:
        """What was asked when, and what it cost, oldest first."""
        return self._exchanges.events()


def _length(request: Request) -> int:
    return sum(len(message.content) for message in request.messages)
