"""Ask for each behaviour many times with random spelling changes; how fast success grows with tries, and where it will go.

Paper: Hughes et al., Best-of-N Jailbreaking (arXiv:2412.03556). What differs: the power law is fitted to the first samples
of each behaviour only and checked on later ones that it never saw; the forecast and its error carry intervals over
behaviours; and the plain request is sampled again too, because much of best-of-n is sampling and not spelling.

Unit: ASR@k, the share of behaviours broken by at least one of k tries, with behaviours as the independent units. Chance
level: a subject that never complies shows 1 - (1 - f)^k for a judge with false-positive rate f, which many tries make large.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stepladder.core.errors import require_between
from stepladder.core.method import Context, Method
from stepladder.core.recording import new_record
from stepladder.core.values import Finding, Message, Record, Request, Verdict
from stepladder.data import Behaviour
from stepladder.judges import judge_errors
from stepladder.methods.red_teaming import forecasts
from stepladder.methods.red_teaming.augment import augment
from stepladder.methods.red_teaming.outcomes import Outcome, groups, join, judge_name, where
from stepladder.methods.red_teaming.recording import choose_behaviours, random_stream
from stepladder.methods.red_teaming.scaling import Tally


@dataclass(frozen=True)
class Config:
    """What to ask, and which samples the power law may see."""

    behaviours: str = ""
    """File of harmful behaviours: our own YAML, or a csv/json/jsonl of a known data set. Empty: the shipped ones."""
    per_category: int = 2
    """How many behaviours of each category to ask for."""
    fit_samples: int = 6
    """Samples of each behaviour that the power law is fitted to."""
    held_out_samples: int = 18
    """Further samples of each behaviour, on which the forecast is checked."""
    plain_samples: int = 6
    """Samples of the plain request, without spelling changes: the baseline."""
    strength: float = 0.4
    """How strong the spelling changes are, from 0 (none) to 1; the paper's sigma."""
    max_tokens: int = 48
    """Longest answer, in tokens."""
    temperature: float = 1.0
    """Sampling temperature of the subject."""

    def __post_init__(self) -> None:
        require_between("best_of_n", "per_category", self.per_category, 1)
        require_between("best_of_n", "fit_samples", self.fit_samples, 4)
        require_between("best_of_n", "held_out_samples", self.held_out_samples, 0)
        require_between("best_of_n", "plain_samples", self.plain_samples, 0)
        require_between("best_of_n", "strength", self.strength, 0, 1)


def plan(config: Config, seed: int) -> tuple[Request, ...]:
    """The changed requests of every behaviour, each with a seed of its own, then the plain ones."""
    return tuple(
        request for b in choose_behaviours(config.behaviours, config.per_category) for request in _tries(b, config, seed)
    )


def _tries(behaviour: Behaviour, config: Config, seed: int) -> Iterator[Request]:
    for sample in range(config.fit_samples + config.held_out_samples):
        rng = random_stream(seed, "best_of_n", behaviour.id, sample)
        text = augment(behaviour.request, config.strength, rng)
        yield _request(behaviour, config, "best_of_n", sample, text, rng.getrandbits(31))
    for sample in range(config.plain_samples):
        rng = random_stream(seed, "plain", behaviour.id, sample)
        yield _request(behaviour, config, "direct", sample, behaviour.request, rng.getrandbits(31))


def _request(behaviour: Behaviour, config: Config, attack: str, sample: int, text: str, seed: int) -> Request:
    return Request(
        id=f"harmful/{behaviour.id}/{attack}/{sample}",
        messages=(Message(role="user", content=text),),
        max_tokens=config.max_tokens,
        temperature=config.temperature,
        seed=seed,
        metadata={
            "kind": "harmful",
            "behaviour": behaviour.id,
            "category": behaviour.category,
            "attack": attack,
            "family": "none" if attack == "direct" else "best_of_n",
            "sample": sample,
            "request": behaviour.request,
            "encoding": "",
        },
    )


def record(context: Context, config: Config) -> Record:
    """Ask everything that is planned."""
    exchanges = context.ask(context.subject, plan(config, context.seed), label="best_of_n")
    return new_record(METHOD, context, config, exchanges)


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """ASR@k as observed, its power law from the first samples, and the forecast beside the samples that it never saw."""
    outcomes = join(record, verdicts)
    name = judge_name(verdicts)
    tries = where(outcomes, attack="best_of_n")
    samples = forecasts.Samples(
        fit=_tallies(o for o in tries if _sample(o) < config.fit_samples),
        held_out=_tallies(o for o in tries if _sample(o) >= config.fit_samples),
        plain=_tallies(where(outcomes, attack="direct")),
        errors=judge_errors(name),
    )
    return Finding(
        method=METHOD.name,
        family=METHOD.family,
        subject=record.subject,
        record=record.key,
        judge=name,
        measurements=tuple(forecasts.measurements(samples)),
        examples=_examples(tries),
        limits=_LIMITS,
    )


def _sample(outcome: Outcome) -> int:
    return int(outcome.tag("sample"))


def _tallies(outcomes: Iterator[Outcome] | Sequence[Outcome]) -> tuple[Tally, ...]:
    """One tally per behaviour."""
    return tuple(
        Tally(
            behaviour=behaviour,
            successes=sum(o.success == 1 for o in part),
            failures=sum(o.success == 0 for o in part),
            unmeasured=sum(o.success is None for o in part),
        )
        for behaviour, part in groups(outcomes, lambda o: o.behaviour).items()
    )


def _examples(tries: Sequence[Outcome]) -> tuple[str, ...]:
    """The first success of up to ten behaviours."""
    return tuple(part[0].exchange.id for part in groups((o for o in tries if o.success), lambda o: o.behaviour).values())[
        :10
    ]


_LIMITS = (
    "A power law is an assumption: it held over decades of k in the paper, on stronger models; trust it as far as the "
    "held-out check reaches.",
    "Errors of the judge add up over tries: with enough of them a judge with false positives shows every behaviour broken.",
    "The check is on new samples of the same behaviours, not on new behaviours.",
)

METHOD = Method(
    name="best_of_n", family="red_teaming", access="chat", papers=("arXiv:2412.03556",),
    config=Config, plan=plan, record=record, judge=judge,
)  # fmt: skip
