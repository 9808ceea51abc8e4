"""The values that travel between rooms: frozen, typed, and equal after a trip through JSON.

    Request -> (a model) -> Exchange -> Record -> (a judge) -> Verdict -> (a method's `judge`) -> Finding of Measurements

Two rules are built into the types, so that no room can forget them:

* a `Verdict` or a `Measurement` is either a value or *unmeasured with a reason*, never both and never neither;
* an `Interval` has a width. One that cannot be formed is `None`; a zero-width interval is refused.

Every stored object carries `schema_version`. Reading an object of a newer version is an error that says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stepladder.core.errors import StoreError

SCHEMA_VERSION = 1

Scalar = str | int | float | bool | None
Labels = Mapping[str, str]


class Value(BaseModel):
    """Base of all values: immutable, no unknown fields, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_json(self) -> str:
        """Canonical JSON; `from_json` gives an equal value back."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote; raises `StoreError` for anything else."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise StoreError(f"not a stored {cls.__name__}: {place}: {first['msg']}") from None


class Stored(Value):
    """A value that is written to disk by itself and therefore says which schema it follows."""

    schema_version: int = SCHEMA_VERSION

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if not 1 <= self.schema_version <= SCHEMA_VERSION:
            raise ValueError(f"schema version {self.schema_version}; this program reads 1 to {SCHEMA_VERSION}")
        return self


class Message(Value):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Request(Value):
    """What is asked of a model. A trailing assistant message is a prefill that the model continues.

    `id` and `metadata` say what the request is for; all other fields determine the answer.
    """

    id: str
    messages: tuple[Message, ...] = Field(min_length=1)
    max_tokens: int = Field(default=48, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    seed: int = 0
    metadata: Mapping[str, Scalar] = {}


class Reply(Value):
    """What a model gave back. `error` is set when it gave nothing that can be judged (refused connection, nonsense)."""

    text: str | None = None
    stop_reason: str = "unknown"
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    logprobs: tuple[float, ...] | None = None
    error: str | None = None

    @model_validator(mode="after")
    def _text_or_error(self) -> Self:
        if (self.text is None) == (self.error is None):
            raise ValueError("a reply has either text or an error")
        return self


class Exchange(Value):
    """A request with the reply it got: the unit that judges read."""

    request: Request
    reply: Reply

    @property
    def id(self) -> str:
        """The request's id, unique within its record."""
        return self.request.id

    @property
    def metadata(self) -> Mapping[str, Scalar]:
        """The request's metadata: behaviour, attack, family, kind and the like."""
        return self.request.metadata


class Cost(Value):
    """What a record cost to make."""

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0


class Record(Stored):
    """What a technique got from a model, kept before anyone judges it.

    `key` is made of all that determines the record (see `stepladder.core.keys`). `artifacts` names files of the store
    (tensors, trained guards) by their role. `data` holds small structured results that are not exchanges.
    """

    key: str
    method: str
    family: str
    subject: str
    config: Mapping[str, Any] = {}
    seed: int = 0
    code_version: str = ""
    exchanges: tuple[Exchange, ...] = ()
    artifacts: Mapping[str, str] = {}
    data: Mapping[str, Any] = {}
    cost: Cost = Cost()


class Verdict(Value):
    """A judge's word on one exchange: a value in [0, 1] with a label, or unmeasured with a reason."""

    exchange: str
    judge: str
    value: float | None = Field(default=None, ge=0, le=1)
    label: str = ""
    unmeasured: str | None = None
    rationale: str = ""

    @model_validator(mode="after")
    def _value_or_reason(self) -> Self:
        if (self.value is None) == (not self.unmeasured):
            raise ValueError("a verdict has either a value or the reason why there is none")
        return self


class Interval(Value):
    """An interval with its level and the name of the method that formed it."""

    low: float
    high: float
    level: float = Field(default=0.95, gt=0, lt=1)
    method: str

    @model_validator(mode="after")
    def _has_width(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"an interval has a width; got [{self.low}, {self.high}]; use None where none can be formed")
        return self


class Baseline(Value):
    """What a trivial rule scores on the same data."""

    name: str
    value: float | None
    interval: Interval | None = None


class Measurement(Value):
    """A number with all that it may not travel without.

    `n` counts *independent* units (clusters, not rows). `unmeasured` counts units that gave no value; `reason` says why
    there is no value at all. `corrected` is the same quantity with the judge's calibrated error taken out.
    """

    name: str
    value: float | None
    unit: str
    interval: Interval | None = None
    n: int = Field(ge=0)
    unmeasured: int = Field(default=0, ge=0)
    reason: str | None = None
    baseline: Baseline | None = None
    corrected: Measurement | None = None
    labels: Labels = {}
    note: str = ""

    @model_validator(mode="after")
    def _value_or_reason(self) -> Self:
        if (self.value is None) == (not self.reason):
            raise ValueError(f"measurement {self.name!r} has either a value or the reason why there is none")
        if self.value is None and self.interval is not None:
            raise ValueError(f"measurement {self.name!r} has an interval but no value")
        if self.value is not None and self.interval and not self.interval.low <= self.value <= self.interval.high:
            raise ValueError(f"measurement {self.name!r}: {self.value} lies outside its own interval {self.interval}")
        return self


def exactly(measurements: Iterable[Measurement], labels: Mapping[str, str]) -> tuple[Measurement, ...]:
    """Those that have just these labels and no others."""
    return tuple(m for m in measurements if dict(m.labels) == dict(labels))


class Finding(Stored):
    """What a technique concludes from one record and the verdicts on it."""

    method: str
    family: str
    subject: str
    record: str
    judge: str = ""
    measurements: tuple[Measurement, ...]
    examples: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    def select(self, name: str, **labels: str) -> tuple[Measurement, ...]:
        """The measurements of that name whose labels include `labels`."""
        return tuple(m for m in self.measurements if m.name == name and labels.items() <= m.labels.items())

    def one(self, name: str, **labels: str) -> Measurement:
        """The only measurement of that name and labels; a `KeyError` where there is none or more than one."""
        found = self.select(name, **labels)
        if len(found) != 1:
            raise KeyError(f"{len(found)} measurements named {name!r} with {labels}")
        return found[0]
