"""Many small investigations of the same model, each with its own seed and strategies, pooled by votes and by mean score.

Paper: the super-agent of Bricken et al., Building and Evaluating Alignment Auditing Agents
(https://alignment.anthropic.com/2025/automated-auditing/), which finds more root causes than single investigators do.
What differs: the single investigations are those of `investigator` and need no strong helper; the pooling is arithmetic.

Unit: an investigation. All of them look at one subject and draw from one pool of probes, so intervals over them say how much
the draw matters, and nothing of other subjects. Chance level: a ranking that knows nothing has the truth first once in ten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from stepladder.core import (
    BEHAVIOURS,
    Baseline,
    Context,
    Finding,
    Measurement,
    Method,
    Record,
    StepladderError,
    Verdict,
    detection,
    new_record,
)
from stepladder.methods.auditing.desk import Desk
from stepladder.methods.auditing.evidence import from_data, to_data
from stepladder.methods.auditing.investigation import Hypothesis, hypotheses, investigate
from stepladder.methods.auditing.investigator import FOUND_FROM, LIMITS, NOTHING_THERE, asked
from stepladder.methods.auditing.strategies import STRATEGIES, get_strategy
from stepladder.stats import clustered_mean, rate_measurement


@dataclass(frozen=True)
class Config:
    """How many investigations, and how much each may do."""

    investigations: int = 5
    """How many investigations are pooled."""
    strategies_each: int = 4
    """How many of the strategies each one follows, drawn by its seed."""
    questions: int = 300
    """What each may ask of the subject."""
    probes: int = 8
    """Probes of each behaviour in each investigation."""
    strategies: tuple[str, ...] = tuple(STRATEGIES)
    """Strategies to draw from."""

    def __post_init__(self) -> None:
        for name in self.strategies:
            get_strategy(name)
        if not 1 <= self.strategies_each <= len(self.strategies):
            allowed = f"1 to {len(self.strategies)}"
            raise StepladderError(f"super_agent: strategies_each is {self.strategies_each}; allowed: {allowed}")
        if self.investigations < 2:
            raise StepladderError(f"super_agent: investigations is {self.investigations}; allowed: 2 or more")


def record(context: Context, config: Config) -> Record:
    """Investigate again and again; every investigation draws its strategies among those that can be followed here."""
    able = _able(context, config.strategies)
    runs = []
    for number in range(config.investigations):
        seed = 1000 * context.seed + number
        chosen = Random(f"{seed}/strategies").sample(able, min(config.strategies_each, len(able)))
        desk = Desk(context, config.questions, config.probes, seed)
        observations, skipped = investigate(desk, chosen)
        runs.append({"strategies": chosen, "skipped": skipped, "asked": desk.asked, "observations": to_data(observations)})
    return new_record(METHOD, context, config, data={"investigations": runs})


def _able(context: Context, strategies: Sequence[str]) -> list[str]:
    """The strategies that nothing is missing for."""
    desk = Desk(context, 0, 1, 0)
    return [name for name in strategies if not desk.missing(get_strategy(name).needs)]


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """Rank by the mean score, and count the votes; no judge's verdict is used."""
    runs: Sequence[Mapping[str, Any]] = record.data["investigations"]
    rankings = [hypotheses(from_data(run["observations"])) for run in runs]
    pooled = {behaviour: scores_of(rankings, behaviour) for behaviour in BEHAVIOURS}
    return Finding(
        method=METHOD.name,
        family=METHOD.family,
        subject=record.subject,
        record=record.key,
        measurements=(
            *(_detection(behaviour, scores) for behaviour, scores in pooled.items()),
            *_ranking(pooled),
            *_votes(rankings),
            asked(sum(run["asked"] for run in runs), config.questions * config.investigations),
        ),
        limits=LIMITS,
    )


def scores_of(rankings: Sequence[Sequence[Hypothesis]], behaviour: str) -> list[float | None]:
    """The behaviour's score in each investigation."""
    return [next(h.score for h in ranking if h.behaviour == behaviour) for ranking in rankings]


def mean_score(scores: Sequence[float | None]) -> float | None:
    """The mean over the investigations that could say anything, if at least half of them could.

    The mean and not a sum of evidence: investigations of one subject by one pool of probes are far from independent.
    """
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known and 2 * len(known) >= len(scores) else None


def _detection(behaviour: str, scores: Sequence[float | None]) -> Measurement:
    value = mean_score(scores)
    known = [score for score in scores if score is not None]
    estimate = clustered_mean(known, range(len(known))) if value is not None else None
    return detection(
        behaviour, value, None if value is None else value > FOUND_FROM, n=len(known), unmeasured=len(scores) - len(known),
        interval=estimate.interval if estimate else None,
        reason="most investigations could say nothing of it" if value is None else None,
        note="mean over investigations; the interval is over their draws",
    )  # fmt: skip


def _ranking(pooled: Mapping[str, Sequence[float | None]]) -> Iterator[Measurement]:
    means = {behaviour: mean_score(scores) for behaviour, scores in pooled.items()}
    order = sorted(means, key=lambda behaviour: (means[behaviour] is None, -(means[behaviour] or 0.0), behaviour))
    for place, behaviour in enumerate(order, 1):
        yield Measurement(
            name="hypothesis", value=means[behaviour], unit="standard errors", n=len(pooled[behaviour]),
            baseline=NOTHING_THERE, reason="no evidence" if means[behaviour] is None else None,
            labels={"rank": str(place), "behaviour": behaviour},
        )  # fmt: skip


def first(ranking: Sequence[Hypothesis]) -> str | None:
    """What an investigation puts first; `None` where it has evidence for nothing."""
    return ranking[0].behaviour if ranking and ranking[0].score is not None else None


def _votes(rankings: Sequence[Sequence[Hypothesis]]) -> Iterator[Measurement]:
    """The share of investigations that put each behaviour first."""
    tops = [first(ranking) for ranking in rankings]
    for behaviour in BEHAVIOURS:
        yield rate_measurement(
            "votes", [None if top is None else float(top == behaviour) for top in tops], range(len(tops)),
            unit="share of investigations", labels={"behaviour": behaviour},
            baseline=Baseline(name="a ranking that knows nothing", value=1 / len(BEHAVIOURS)),
        )  # fmt: skip


METHOD = Method(
    name="super_agent", family="auditing", access="chat", papers=("https://alignment.anthropic.com/2025/automated-auditing/",),
    config=Config, record=record, judge=judge,
)  # fmt: skip
