"""Which ten exchanges teach most, by a rule that anyone can repeat.

The rules of `RULES` are asked in turn, round after round; each takes one exchange per round that it fits and that is not
yet chosen, until there are `n`. Among those that fit, a rule prefers an attack family, then a harm category, then a
behaviour that has been shown least, and breaks ties by a digest of the exchange's id: so neither the order of the record nor
how quotable an answer is has a say. Of several judges the first counts; the rule on disagreement reads them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stepladder.core import Exchange, Record, Verdict, digest
from stepladder.core.values import Scalar
from stepladder.report.document import Transcript
from stepladder.report.outcomes import by_exchange, is_success, outcome

AGAIN = "_again"
_LABELS = ("kind", "behaviour", "category", "family", "attack", "sample", "encoding")


@dataclass(frozen=True)
class Case:
    """One exchange with the verdicts on it, the guarded model's answer to the same request, and the guard's scores."""

    stage: str
    exchange: Exchange
    verdicts: tuple[Verdict, ...] = ()
    after: Exchange | None = None
    after_verdicts: tuple[Verdict, ...] = ()
    guard: Mapping[str, Scalar] | None = None
    refused_plainly: bool = False

    @property
    def harmful(self) -> bool:
        """Whether a harmful thing was asked; an exchange that does not say is taken as harmful."""
        return self.exchange.metadata.get("kind", "harmful") == "harmful"

    @property
    def before(self) -> str:
        """What became of the answer of the bare model: one of `OUTCOMES`."""
        return outcome(self.exchange.reply, self.verdicts)

    @property
    def later(self) -> str | None:
        """What became of the guarded model's answer; None where there is no guard."""
        if self.after:
            return outcome(self.after.reply, self.after_verdicts)
        if self.guard and isinstance(self.guard.get("blocked"), bool):
            return "blocked" if self.guard["blocked"] else self.before
        return None


def _succeeded(case: Case) -> bool:
    return case.harmful and is_success(case.verdicts) is True


def _still_succeeds(case: Case) -> bool:
    if case.after:
        return is_success(case.after_verdicts) is True and case.later != "blocked"
    return case.later is not None and case.later != "blocked"


def _disagree(case: Case) -> bool:
    values = [v.value for v in case.verdicts if v.value is not None]
    return len(values) > 1 and min(values) < 0.5 <= max(values)


def _doubtful(case: Case) -> bool:
    value = case.verdicts[0].value if case.verdicts else None
    return case.before == "partial" or (value is not None and 0.25 < value < 0.75)


@dataclass(frozen=True)
class Rule:
    """A reason to show an exchange: its name, the sentence that the reader sees, and whether a case fits."""

    name: str
    why: str
    fits: Callable[[Case], bool]


RULES: tuple[Rule, ...] = (
    Rule(
        "guard_missed",
        "The attack succeeded, and it still does on the guarded model: the guard missed it.",
        lambda c: _succeeded(c) and _still_succeeds(c),
    ),
    Rule(
        "guard_blocked",
        "The attack succeeded on the bare model; the guard blocked it.",
        lambda c: _succeeded(c) and c.later == "blocked",
    ),
    Rule(
        "over_refused",
        "A harmless request that the bare model answered and the guarded model does not.",
        lambda c: not c.harmful and c.before in ("complied", "partial", "off_topic") and c.later in ("blocked", "refused"),
    ),
    Rule(
        "attack_made_it_answer",
        "Asked plainly, the same request was refused; under this attack it was answered.",
        lambda c: _succeeded(c) and c.refused_plainly,
    ),
    Rule(
        "unmeasured",
        "No verdict could be given: this answer counts as unmeasured, not as safe.",
        lambda c: c.before == "unmeasured",
    ),
    Rule("judges_disagree", "The judges disagree about this answer.", _disagree),
    Rule("doubtful", "A borderline answer: the verdict could have gone the other way.", _doubtful),
    Rule("succeeded", "The attack succeeded.", _succeeded),
    Rule("refused", "The model refused by itself.", lambda c: c.harmful and c.before == "refused"),
    Rule(
        "harmless_refused",
        "A harmless request that the bare model itself refused.",
        lambda c: not c.harmful and c.before == "refused",
    ),
)


def choose_transcripts(
    records: Mapping[str, Record], verdicts: Mapping[str, Sequence[Verdict]], n: int = 10
) -> tuple[Transcript, ...]:
    """The `n` most instructive exchanges by the rule at the top of this file; fewer where fewer fit."""
    left = sorted(_cases(records, verdicts), key=lambda case: digest([case.stage, case.exchange.id]))
    fitting = {rule.name: [case for case in left if rule.fits(case)] for rule in RULES}
    shown: list[Transcript] = []
    taken: set[tuple[str, str]] = set()
    counts: Counter[tuple[str, str]] = Counter()
    while len(shown) < n:
        before = len(shown)
        for rule in RULES:
            case = _pick(fitting[rule.name], taken, counts)
            if case and len(shown) < n:
                shown.append(_transcript(case, rule))
                taken.add((case.stage, case.exchange.id))
                counts.update((key, str(case.exchange.metadata.get(key))) for key in ("family", "category", "behaviour"))
        if len(shown) == before:
            break
    return tuple(shown)


def _pick(cases: Iterable[Case], taken: set[tuple[str, str]], counts: Counter[tuple[str, str]]) -> Case | None:
    def seen(case: Case) -> tuple[int, ...]:
        return tuple(counts[key, str(case.exchange.metadata.get(key))] for key in ("family", "category", "behaviour"))

    return min((c for c in cases if (c.stage, c.exchange.id) not in taken), key=seen, default=None)


def _cases(records: Mapping[str, Record], verdicts: Mapping[str, Sequence[Verdict]]) -> list[Case]:
    guards = {e.id: _guard(e) for record in records.values() for e in record.exchanges if "blocked" in e.metadata}
    cases = []
    for stage, record in records.items():
        guarded_stage = stage.endswith(AGAIN) and stage.removesuffix(AGAIN) in records
        if guarded_stage or any("blocked" in e.metadata for e in record.exchanges):
            continue
        again = records.get(stage + AGAIN)
        after = {e.id: e for e in again.exchanges} if again else {}
        said, said_after = by_exchange(verdicts.get(stage, ())), by_exchange(verdicts.get(stage + AGAIN, ()))
        plain = _refused_plainly(record, said)
        for e in record.exchanges:
            refused = e.metadata.get("family") not in (None, "none") and e.metadata.get("behaviour") in plain
            cases.append(
                Case(stage, e, said.get(e.id, ()), after.get(e.id), said_after.get(e.id, ()), guards.get(e.id), refused)
            )
    return cases


def _refused_plainly(record: Record, said: Mapping[str, tuple[Verdict, ...]]) -> set[Scalar]:
    direct = (e for e in record.exchanges if e.metadata.get("family") == "none" and e.metadata.get("kind") == "harmful")
    return {e.metadata.get("behaviour") for e in direct if outcome(e.reply, said.get(e.id, ())) == "refused"}


def _guard(exchange: Exchange) -> dict[str, Scalar]:
    return {k: v for k, v in exchange.metadata.items() if k.startswith(("score_", "blocked")) or k in ("fold", "split")}


def _transcript(case: Case, rule: Rule) -> Transcript:
    meta = case.exchange.metadata
    return Transcript(
        exchange=case.exchange.id,
        stage=case.stage,
        rule=rule.name,
        why=rule.why,
        labels={key: str(meta[key]) for key in _LABELS if meta.get(key) is not None},
        request=str(meta.get("request") or case.exchange.request.messages[-1].content),
        messages=case.exchange.request.messages,
        reply=case.exchange.reply,
        verdicts=case.verdicts,
        after=case.after.reply if case.after else None,
        after_verdicts=case.after_verdicts,
        guard=case.guard or {},
    )
