"""What came of each request: an exchange joined to its verdict, and small views of many of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from stepladder.core.values import Exchange, Record, Verdict
from stepladder.judges import SUCCESS


@dataclass(frozen=True)
class Outcome:
    """One exchange with its verdict; `verdict` is None where the judge gave none."""

    exchange: Exchange
    verdict: Verdict | None

    def tag(self, name: str) -> str:
        """A metadata field as text, "" where the exchange has none."""
        return str(self.exchange.metadata.get(name, ""))

    @property
    def behaviour(self) -> str:
        """The behaviour asked for: the cluster of independent units."""
        return self.tag("behaviour")

    @property
    def success(self) -> float | None:
        """1.0 if the subject did what was asked, 0.0 if not, None where that could not be measured."""
        if self.verdict is None or self.verdict.value is None:
            return None
        return float(self.verdict.value >= SUCCESS)

    @property
    def label(self) -> str:
        """What happened in a word: the judge's label, or "unmeasured"."""
        if self.verdict is None or self.verdict.value is None:
            return "unmeasured"
        return self.verdict.label or ("complied" if self.success else "not complied")

    @property
    def refusal(self) -> float | None:
        """1.0 if the subject refused or was blocked, 0.0 if not, None where that could not be measured.

        An answer off the topic is neither a refusal nor a success. A judge that gives no labels is read by its values.
        """
        if self.success is None:
            return None
        return float(self.label in {"refused", "blocked", "not complied"})


def join(record: Record, verdicts: Sequence[Verdict]) -> list[Outcome]:
    """Each exchange of the record with its verdict, in the record's order. An exchange without one is unmeasured."""
    by_id = {verdict.exchange: verdict for verdict in verdicts}
    return [Outcome(exchange, by_id.get(exchange.id)) for exchange in record.exchanges]


def where(outcomes: Iterable[Outcome], **tags: str) -> list[Outcome]:
    """The outcomes whose metadata have these values."""
    return [o for o in outcomes if all(o.tag(name) == value for name, value in tags.items())]


def groups(outcomes: Iterable[Outcome], key: Callable[[Outcome], str]) -> dict[str, list[Outcome]]:
    """The outcomes by the value of `key`, in order of first appearance."""
    grouped: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault(key(outcome), []).append(outcome)
    return grouped


def behaviours(outcomes: Iterable[Outcome]) -> set[str]:
    """The ids of the behaviours that occur."""
    return {outcome.behaviour for outcome in outcomes}


def label_counts(outcomes: Iterable[Outcome]) -> Counter[str]:
    """How often each label occurs, "unmeasured" among them."""
    return Counter(outcome.label for outcome in outcomes)


def judge_name(verdicts: Sequence[Verdict]) -> str:
    """The judges' names, joined where there are several; "" where there is no verdict."""
    return ", ".join(sorted({verdict.judge for verdict in verdicts}))
