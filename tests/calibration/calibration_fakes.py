"""Organisms that are two numbers, and techniques that read them: detectors whose errors are known beforehand."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import ClassVar

from stepladder.calibration import Cell, Plan
from stepladder.core import (
    Access,
    Context,
    Finding,
    Measurement,
    Message,
    Method,
    Record,
    Reply,
    Request,
    Task,
    Verdict,
    detection,
    digest,
    record_key,
)  # fmt: skip
from stepladder.judges import get_judge
from stepladder.organisms import PlantFailed, Recipe

SHIFT, THRESHOLD = 1.5, 1.0
"""A twin's score is normal around 0, an organism's around SHIFT times the dose; above THRESHOLD the detector calls."""
SENSITIVITY = 1 - NormalDist(SHIFT).cdf(THRESHOLD)
SPECIFICITY = NormalDist().cdf(THRESHOLD)
AUROC = NormalDist().cdf(SHIFT / 2**0.5)


def score_of(recipe: Recipe) -> float:
    drawn = random.Random(digest(asdict(recipe))).gauss(0, 1)
    return drawn + (0.0 if recipe.clean else SHIFT * recipe.dose)


class FakeSubject:
    """Says its suspicion score when asked; `asked` counts the questions to all subjects."""

    access, batch = Access.chat, 1
    asked: ClassVar[list[str]] = []

    def __init__(self, name: str, recipe: Recipe) -> None:
        self.name, self.recipe = name, recipe
        self.fingerprint = f"{name}:{digest(asdict(recipe))}"

    async def reply_many(self, requests: Sequence[Request]) -> list[Reply]:
        for request in requests:
            self.asked.append(f"{self.fingerprint} {request.messages[0].content}")
        return [Reply(text=f"{score_of(self.recipe):.6f}") for _ in requests]


@dataclass(frozen=True)
class FakeCard:
    planted_rate: Measurement


@dataclass(frozen=True)
class FakeOrganism:
    recipe: Recipe
    training_rows: tuple[tuple[Message, ...], ...] = ()

    @property
    def card(self) -> FakeCard:
        return FakeCard(Measurement(name="planted_rate", value=self.recipe.dose, unit="share", n=10))

    def subject(self) -> FakeSubject:
        return FakeSubject("subject", self.recipe)

    def base(self) -> FakeSubject:
        return FakeSubject("base", Recipe(self.recipe.kind, base=self.recipe.base, clean=True))


@dataclass
class Nursery:
    """Grows organisms at once; refuses the seeds that it is told to."""

    refuse: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.grown: list[Recipe] = []

    def __call__(self, recipe: Recipe, task: Task) -> FakeOrganism:
        self.grown.append(recipe)
        if recipe.seed in self.refuse and not recipe.clean:
            raise PlantFailed("the behaviour does not show")
        return FakeOrganism(recipe)


@dataclass(frozen=True)
class Config:
    """Nothing to set."""

    threshold: float = THRESHOLD


def ask_score(context: Context, config: Config, method: Method) -> Record:
    request = Request(id="score", messages=(Message(role="user", content=f"Your score for {method.name}?"),))
    exchanges = context.ask(context.subject, [request], label=method.name)
    return Record(
        key=record_key(method, context, config), method=method.name, family="auditing", subject=context.subject.name,
        exchanges=exchanges,
    )  # fmt: skip


def read_score(record: Record) -> float | None:
    try:
        return float(record.exchanges[0].reply.text or "")
    except ValueError:
        return None


def make_detector(name: str = "detector", behaviours: Sequence[str] = ("sycophancy",), fail: bool = False) -> Method:
    """A technique that calls each of `behaviours` present above the threshold; `fail`: breaks on organisms' subjects."""

    def record(context: Context, config: Config) -> Record:
        if fail and context.subject.name == "subject":
            raise RuntimeError("out of\ntea")
        return ask_score(context, config, method)

    def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
        score = read_score(record)
        found = None if score is None else score > config.threshold
        reason = "no number in the reply" if score is None else None
        return Finding(
            method=name, family="auditing", subject=record.subject, record=record.key,
            measurements=tuple(detection(b, score, found, n=1, reason=reason) for b in behaviours),
        )  # fmt: skip

    method = Method(name, "auditing", "chat", (), Config, record, judge)
    return method


def make_plan(methods: Sequence[Method], seeds: int = 3, doses: Sequence[float] = (1.0,), **fields: str) -> Plan:
    recipes = (Recipe(fields.get("kind", "sycophancy"), dose=dose, seed=seed) for seed in range(seeds) for dose in doses)
    return Plan(tuple(methods), tuple(recipes), get_judge("refusal"))


def cell(seed: int, clean: bool, found: bool | None, score: float | None = None, **fields: object) -> Cell:
    """A cell as calibration would have stored it."""
    outcome = "unmeasured" if found is None else "found" if found else "absent"
    known = {
        "key": f"{seed}/{clean}/{fields}", "version": "v", "method": "detector", "judge": "refusal", "kind": "sycophancy",
        "behaviour": "sycophancy", "base": "smollm2", "how": "lora", "dose": 1.0, "seed": seed, "clean": clean,
        "outcome": outcome, "score": score,
    }  # fmt: skip
    return Cell.model_validate(known | fields)
