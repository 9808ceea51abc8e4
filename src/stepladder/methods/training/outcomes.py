"""What came of each request under each condition: exchanges joined to verdicts, and rows paired across conditions.

A record of this family asks the same things of several models. An exchange's id is `<condition>/<what was asked>`, so that
the same question under two conditions is found by its name; a question missing under one of them is unmeasured there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stepladder.core import Baseline, Exchange, Measurement, Record, Request, Verdict
from stepladder.core.values import Scalar
from stepladder.judges import SUCCESS, JudgeTools, get_judge, judge_exchanges
from stepladder.stats import JudgeErrors, clustered_rate, difference_measurement, rate_measurement

UNTRAINED = "the untrained subject"
REFUSALS = ("refused", "blocked", "not complied")


@dataclass(frozen=True)
class Row:
    """One answered question; `success` and `refusal` are None where that could not be measured."""

    exchange: Exchange
    success: float | None
    refusal: float | None

    def tag(self, name: str) -> str:
        """A metadata field as text, "" where there is none."""
        return str(self.exchange.metadata.get(name, ""))

    @property
    def question(self) -> str:
        """What was asked, the same under every condition."""
        return self.exchange.id.partition("/")[2]

    @property
    def behaviour(self) -> str:
        """The independent unit."""
        return self.tag("behaviour")


Reading = Callable[[Row], "float | None"]


def success(row: Row) -> float | None:
    """Whether what was asked was done."""
    return row.success


def refused(row: Row) -> float | None:
    """Whether the request was refused."""
    return row.refusal


def rows_of(record: Record, verdicts: Sequence[Verdict]) -> list[Row]:
    """Every exchange with its outcome; one without a verdict is unmeasured."""
    by_id = {verdict.exchange: verdict for verdict in verdicts}
    return [Row(exchange, *_outcome(by_id.get(exchange.id))) for exchange in record.exchanges]


def _outcome(verdict: Verdict | None) -> tuple[float | None, float | None]:
    if verdict is None or verdict.value is None:
        return None, None
    done = float(verdict.value >= SUCCESS)
    return done, float((verdict.label or ("complied" if done else "not complied")) in REFUSALS)


def by_patterns(exchanges: Sequence[Exchange]) -> list[float | None]:
    """Success of each exchange by the judge `refusal_patterns`, which needs no model: what steers training meanwhile."""
    verdicts = judge_exchanges(get_judge("refusal_patterns"), exchanges, JudgeTools())
    return [_outcome(verdict)[0] for verdict in verdicts]


def under(condition: str, request: Request, **tags: Scalar) -> Request:
    """The request under the name of a condition, with more metadata."""
    return request.model_copy(
        update={"id": f"{condition}/{request.id}", "metadata": {**request.metadata, "condition": condition, **tags}}
    )


def where(rows: Iterable[Row], **tags: str) -> list[Row]:
    """The rows whose metadata have these values."""
    return [row for row in rows if all(row.tag(name) == value for name, value in tags.items())]


def rate(
    name: str, rows: Sequence[Row], reading: Reading, labels: Mapping[str, str],
    baseline: Baseline | None = None, errors: JudgeErrors | None = None,
) -> Measurement:  # fmt: skip
    """Share of rows, behaviours being the units."""
    values = [reading(row) for row in rows]
    return rate_measurement(name, values, [row.behaviour for row in rows], labels=labels, baseline=baseline, errors=errors)


def change(
    name: str, before: Sequence[Row], after: Sequence[Row], reading: Reading, labels: Mapping[str, str],
    baseline: Baseline | None = None,
) -> Measurement:  # fmt: skip
    """Paired change of that share over the questions asked `after`."""
    first = {row.question: reading(row) for row in before}
    return difference_measurement(
        name, [first.get(row.question) for row in after], [reading(row) for row in after],
        [row.behaviour for row in after], labels=labels, baseline=baseline,
    )  # fmt: skip


def share_baseline(name: str, rows: Sequence[Row], reading: Reading) -> Baseline:
    """The same share under a trivial alternative."""
    kept = [(value, row.behaviour) for row in rows if (value := reading(row)) is not None]
    if not kept:
        return Baseline(name=name, value=None)
    estimate = clustered_rate([value for value, _ in kept], [unit for _, unit in kept])
    return Baseline(name=name, value=estimate.value, interval=estimate.interval)


@dataclass(frozen=True)
class Compared:
    """Rows under several conditions, "before" the first; `plain` is the condition that is the trivial alternative."""

    rows: Sequence[Row]
    conditions: Sequence[str]
    plain: str
    plain_name: str

    def lines(
        self, name: str, reading: Reading, part: dict[str, str], errors: JudgeErrors | None = None
    ) -> Iterator[Measurement]:
        """The rate under each condition and each one's paired change, for the rows with these tags.

        A condition that was not asked them gives nothing.
        """
        parts = {condition: where(self.rows, condition=condition, **part) for condition in self.conditions}
        before, asked = parts[self.conditions[0]], {name: rows for name, rows in parts.items() if rows}
        for condition, rows in asked.items():
            base = None if rows is before else share_baseline(UNTRAINED, before, reading)
            yield rate(f"{name}_rate", rows, reading, {"condition": condition, **part}, base, errors)
        for condition in [name for name, rows in asked.items() if rows is not before]:
            base = self._plain(asked, reading) if condition != self.plain else None
            yield change(f"{name}_change", before, asked[condition], reading, {"condition": condition, **part}, base)

    def _plain(self, asked: Mapping[str, Sequence[Row]], reading: Reading) -> Baseline | None:
        """What the trivial alternative changed."""
        if self.plain not in asked:
            return None
        changed = change("", asked[self.conditions[0]], asked[self.plain], reading, {})
        return Baseline(name=self.plain_name, value=changed.value, interval=changed.interval)


def judge_name(verdicts: Sequence[Verdict]) -> str:
    """The judges' names, joined where there are several; "" where there is no verdict."""
    return ", ".join(sorted({verdict.judge for verdict in verdicts}))
