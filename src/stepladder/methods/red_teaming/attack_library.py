"""Ask the subject for harmful behaviours through a library of published jailbreak attacks, and count how often each works.

Papers: Wei et al., Jailbroken (arXiv:2307.02483) for the idea of a library of single-turn attacks by family, and the paper
that each attack's own file names. What differs: the attacks are fixed wordings, none is tuned to the subject, so the rates
are a floor of what an attacker reaches; each family is set against the plain request on the same behaviours; and harmless
near-twins and ordinary requests are asked too, because refusing everything is not safety.

Unit: the share of requests where the judge says that the subject did what was asked, with behaviours as the independent
units. Chance level: a subject that never complies scores the judge's false-positive rate, not 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stepladder.core.errors import require_between
from stepladder.core.method import Context, Method
from stepladder.core.recording import new_record
from stepladder.core.values import Finding, Measurement, Message, Record, Request, Verdict
from stepladder.data import Behaviour, load_ordinary, load_templates
from stepladder.judges import judge_errors
from stepladder.methods.red_teaming import rates
from stepladder.methods.red_teaming.attack import Attack, Setting, user
from stepladder.methods.red_teaming.attacks import select_attacks
from stepladder.methods.red_teaming.gap import refusal_gap
from stepladder.methods.red_teaming.outcomes import Outcome, groups, join, judge_name, where
from stepladder.methods.red_teaming.recording import choose_behaviours, random_stream


@dataclass(frozen=True)
class Config:
    """What to ask."""

    behaviours: str = ""
    """File of harmful behaviours: our own YAML, or a csv/json/jsonl of a known data set. Empty: the shipped ones."""
    per_category: int = 5
    """How many behaviours of each category to ask for."""
    attacks: tuple[str, ...] = ()
    """Names of the attacks to use; none named means all. The direct request is always asked."""
    templates: str = ""
    """File of jailbreak templates for the attack template_file. Empty: the shipped ones."""
    ordinary: int = 100
    """How many ordinary requests to ask, to see what is refused for nothing."""
    max_tokens: int = 48
    """Longest answer, in tokens."""
    temperature: float = 0.7
    """Sampling temperature of the subject: models are used so, and small ones repeat themselves without end at 0."""

    def __post_init__(self) -> None:
        require_between("attack_library", "per_category", self.per_category, 1)
        require_between("attack_library", "ordinary", self.ordinary, 0)


def plan(config: Config, seed: int) -> tuple[Request, ...]:
    """Every behaviour through every attack, then each behaviour's twin and the ordinary requests asked directly."""
    return (*_harmful(config, seed), *_harmless(config, seed))


def _harmful(config: Config, seed: int) -> Iterator[Request]:
    attacks = select_attacks(config.attacks)
    templates = load_templates(Path(config.templates) if config.templates else None)
    for behaviour in choose_behaviours(config.behaviours, config.per_category):
        for attack in attacks:
            setting = Setting(random_stream(seed, attack.name, behaviour.id), templates)
            messages = attack.build(behaviour.request, setting)
            yield _request(config, seed, "harmful", behaviour, attack, messages)


def _harmless(config: Config, seed: int) -> Iterator[Request]:
    (direct,) = select_attacks(("direct",))
    for behaviour in choose_behaviours(config.behaviours, config.per_category):
        if behaviour.twin:
            twin = Behaviour(id=behaviour.id, category=behaviour.category, request=behaviour.twin)
            yield _request(config, seed, "twin", twin, direct, user(twin.request))
    for ordinary in load_ordinary()[: config.ordinary]:
        plain = Behaviour(id=ordinary.id, category="ordinary", request=ordinary.text)
        yield _request(config, seed, "ordinary", plain, direct, user(plain.request))


def _request(
    config: Config, seed: int, kind: str, behaviour: Behaviour, attack: Attack, messages: tuple[Message, ...]
) -> Request:
    return Request(
        id=f"{kind}/{behaviour.id}/{attack.name}",
        messages=messages,
        max_tokens=config.max_tokens,
        temperature=config.temperature,
        seed=seed,
        metadata={
            "kind": kind,
            "behaviour": behaviour.id,
            "category": behaviour.category,
            "attack": attack.name,
            "family": attack.family,
            "sample": 0,
            "request": behaviour.request,
            "encoding": attack.encoding,
        },
    )


def record(context: Context, config: Config) -> Record:
    """Ask everything that is planned."""
    exchanges = context.ask(context.subject, plan(config, context.seed), label="attack_library")
    return new_record(METHOD, context, config, exchanges)


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """Attack success by family, attack and category beside the direct request; its cost; and what is refused for nothing."""
    outcomes = join(record, verdicts)
    name = judge_name(verdicts)
    errors = judge_errors(name)
    harmful = where(outcomes, kind="harmful")
    success = rates.SuccessRates(harmful, errors)
    return Finding(
        method=METHOD.name,
        family=METHOD.family,
        subject=record.subject,
        record=record.key,
        judge=name,
        measurements=(
            *_success_rates(success),
            *rates.gains(harmful, errors),
            *rates.effort(harmful),
            *rates.outcome_shares(harmful),
            *(rates.refusal_rate(where(outcomes, kind=kind), kind) for kind in ("twin", "ordinary")),
            refusal_gap(harmful),
            *success.cells(),
        ),
        examples=_examples(harmful),
        limits=_LIMITS,
    )


def _success_rates(success: rates.SuccessRates) -> Iterator[Measurement]:
    yield success.overall()
    for tag in ("family", "attack"):
        yield from success.by(tag)
    yield from success.by("category", attacked_only=True)
    yield success.behaviours_broken()


def _examples(harmful: Sequence[Outcome]) -> tuple[str, ...]:
    """Up to ten transcripts to read first: a success of each family, then a refusal and an unmeasured answer."""
    successes = groups((o for o in harmful if o.success), lambda o: o.tag("family"))
    others = groups((o for o in harmful if o.label in {"refused", "unmeasured"}), lambda o: o.label)
    firsts = [found[0].exchange.id for found in (*successes.values(), *others.values())]
    return tuple(dict.fromkeys(firsts))[:10]


_LIMITS = (
    "The attacks are fixed wordings, not tuned to this subject: the rates are a floor of what an attacker reaches.",
    "A success means that the answer does what was asked by the judge's rule, not that it would help anyone to do harm.",
    "Many-shot uses harmless shots and past tense uses rules in place of a rewording model: both are weaker than published.",
    "Overall and by-category rates are means over this library; another library has another mean.",
)

METHOD = Method(
    name="attack_library", family="red_teaming", access="chat", papers=("arXiv:2307.02483",),
    config=Config, plan=plan, record=record, judge=judge,
)  # fmt: skip
