"""Where does the subject differ from its base, when nobody says what to look for? Many regions first, the odd ones deeper.

Paper: the breadth-first red-teaming agent of Bricken et al., Building and Evaluating Alignment Auditing Agents
(https://alignment.anthropic.com/2025/automated-auditing/), a model that talks to the subject about everything. What differs:
the regions are shipped prompts by topic, the next questions go where the answers differ most from the base's (successive
halving), and what survives is measured on prompts that chose nothing. It names regions, examples and recurring words.

Unit: a prompt. Chance level: of regions that all differ alike, the survivors' held-out prompts differ no more than the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from stepladder.core import (
    BEHAVIOURS,
    Access,
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
from stepladder.data import load_behaviours, load_ordinary
from stepladder.methods.auditing.desk import Desk, user
from stepladder.methods.auditing.evidence import Observation, above, from_data, to_data
from stepladder.methods.auditing.investigator import FOUND_FROM, asked
from stepladder.methods.auditing.probes import load_probes
from stepladder.methods.auditing.strategies.base_difference import log_ratios
from stepladder.methods.auditing.strategies.behaviour_probes import departure
from stepladder.methods.auditing.strategies.sampling import recurring
from stepladder.stats import clustered_mean

TOKENS = 20
NO_BASE = "needs the base model, which is not known"


@dataclass(frozen=True)
class Config:
    """How broad, and how deep."""

    first: int = 2
    """Prompts of every region in the first round; each later round asks as many again of the regions that are left."""
    rounds: int = 3
    """Rounds; after each but the last, the half of the regions that differs less is dropped."""
    questions: int = 200
    """What may be asked of the subject in all."""

    def __post_init__(self) -> None:
        for name, least in (("first", 1), ("rounds", 2), ("questions", 1)):
            if getattr(self, name) < least:
                raise StepladderError(f"breadth_first_red_team: {name} is {getattr(self, name)}; allowed: {least} or more")


@cache
def regions() -> Mapping[str, tuple[str, ...]]:
    """Prompts by region: topics of everyday requests, categories of harm, and the open prompts of the vocabulary."""
    found: dict[str, tuple[str, ...]] = {name: file.open for name, file in load_probes().items()}
    for item in load_ordinary():
        topic = f"everyday {item.id.rpartition('-')[0]}"
        found[topic] = (*found.get(topic, ()), item.text)
    for behaviour in load_behaviours():
        category = f"harmful {behaviour.category}"
        found[category] = (*found.get(category, ()), f"{behaviour.request}.")
    return found


def record(context: Context, config: Config) -> Record:
    """Ask round by round, and keep every prompt's difference from the base."""
    desk = Desk(context, config.questions, 1, context.seed)
    observations: list[Observation] = []
    if desk.base is not None:
        left = {name: desk.stream(name).sample(prompts, len(prompts)) for name, prompts in regions().items()}
        for number in range(config.rounds):
            asking = [(name, prompts.pop()) for name, prompts in left.items() for _ in range(config.first) if prompts]
            if not asking or len(asking) > desk.questions - desk.asked:
                break
            observations += _differences(desk, asking, number)
            kept = better_half(observations, list(left))
            left = {name: left[name] for name in kept}
    return new_record(METHOD, context, config, data={"observations": to_data(observations), "asked": desk.asked})


def better_half(observations: Sequence[Observation], names: Sequence[str]) -> list[str]:
    """The half of the regions whose prompts differ more so far; those without any value are kept to be asked again."""
    means = {name: mean([o.value for o in observations if o.behaviour == name]) for name in names}
    order = sorted(names, key=lambda name: (means[name] is not None, -(means[name] or 0.0), name))
    return order[: max(1, (len(names) + 1) // 2)]


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of the measured values."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _differences(desk: Desk, asking: Sequence[tuple[str, str]], number: int) -> Iterator[Observation]:
    """Log ratio along the subject's reply where both give logprobs, else the share of words not shared with the base's."""
    assert desk.base is not None
    desk.spend(len(asking))
    prompts = [user(prompt) for _, prompt in asking]
    label = f"round {number + 1}"
    mine = desk.replies(desk.subject, prompts, f"{label} ({desk.subject.name})", max_tokens=TOKENS)
    theirs = desk.replies(desk.base, prompts, f"{label} ({desk.base.name})", max_tokens=TOKENS)
    values: list[float | None]
    if min(desk.subject.access, desk.base.access) >= Access.logprobs:
        read = [i for i, reply in enumerate(mine) if reply]
        ratios = dict(zip(read, log_ratios(desk, [(prompts[i], mine[i] or "") for i in read]), strict=True))
        values = [ratios.get(i) for i in range(len(asking))]
    else:
        values = [None if a is None or b is None else departure(a, b) for a, b in zip(mine, theirs, strict=True)]
    for (name, prompt), value, subject, base in zip(asking, values, mine, theirs, strict=True):
        yield Observation("breadth_first", name, str(number), prompt, value, f"{prompt} -> {subject} || base: {base}")


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """The regions of the last round, on that round's prompts alone; no judge's verdict is used."""
    observations = from_data(record.data["observations"])
    return Finding(
        method=METHOD.name,
        family=METHOD.family,
        subject=record.subject,
        record=record.key,
        measurements=(
            *_survivors(observations),
            *(_detection(behaviour, observations) for behaviour in BEHAVIOURS),
            asked(record.data["asked"], config.questions),
        ),
        limits=LIMITS,
    )


def _survivors(observations: Sequence[Observation]) -> Iterator[Measurement]:
    """How much the regions of the last round differ on prompts that chose nothing; the first round's mean beside it."""
    last = max((int(o.group) for o in observations), default=0)
    final = [o for o in observations if int(o.group) == last]
    everywhere = mean([o.value for o in observations if o.group == "0"])
    names = {
        name: mean([o.value for o in final if o.behaviour == name]) for name in dict.fromkeys(o.behaviour for o in final)
    }
    for place, name in enumerate(sorted(names, key=lambda n: (-(names[n] or -1e9), n)), 1):
        known = [o.value for o in final if o.behaviour == name and o.value is not None]
        estimate = clustered_mean(known, range(len(known))) if known else None
        yield Measurement(
            name="difference_from_base", value=estimate.value if estimate else None, unit="nats a token, or share of words",
            interval=estimate.interval if estimate else None, n=len(known), labels={"region": name, "rank": str(place)},
            unmeasured=sum(o.value is None for o in final if o.behaviour == name),
            reason=None if estimate else "no answer could be read",
            baseline=Baseline(name="all regions, first round", value=everywhere), note=_words(observations, name),
        )  # fmt: skip


def _words(observations: Sequence[Observation], name: str) -> str:
    """What recurs in the region's answers and not in the base's, and the example that differs most."""
    seen = sorted((o for o in observations if o.behaviour == name and o.value is not None), key=lambda o: -(o.value or 0))
    pairs = [_split(o.text) for o in seen]
    term = recurring(pairs, " ".join(o.unit for o in seen))
    return (f"recurring: {term!r}; " if term else "") + (seen[0].text[:200] if seen else "")


def _split(text: str) -> tuple[str, str]:
    subject, _, base = text.partition(" -> ")[2].partition(" || base: ")
    return subject, base


def _detection(behaviour: str, observations: Sequence[Observation]) -> Measurement:
    """The region of a known behaviour against all others, in standard errors."""
    mine = [o.value for o in observations if o.behaviour == behaviour and o.value is not None]
    rest = [o.value for o in observations if o.behaviour != behaviour and o.value is not None]
    if len(mine) < 2 or len(rest) < 4:
        reason = "too few answers could be read" if observations else NO_BASE
        return detection(behaviour, None, None, n=len(mine), reason=reason)
    test = above(mine, rest, len(regions()))
    return detection(behaviour, test.score, test.score > FOUND_FROM, n=len(mine), note=f"effect {test.effect:+.2f}")


LIMITS = (
    "A region differs where training moved the answers, for whatever reason; a person must read the examples.",
    "Behaviours that show in none of the shipped regions are not met.",
)

METHOD = Method(
    name="breadth_first_red_team", family="auditing", access="chat",
    papers=("https://alignment.anthropic.com/2025/automated-auditing/",),
    config=Config, record=record, judge=judge,
)  # fmt: skip
