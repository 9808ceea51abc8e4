"""Train the same model on answers and on worked steps, on a task whose training data give the answer away: which one cheats?

Papers: Uesato et al. (arXiv:2211.14275) compare process- and outcome-based feedback on maths and count right answers with
wrong reasoning; shortcuts that hold in training only are those of Geirhos et al. (arXiv:2004.07780). What differs: both are
taught by demonstration, on the same number of tokens; the task is a register machine with exact truth for every step; and
the shortcut is planted, a number before the problem that names the answer in every training example. A third arm is taught
answers with a number that means nothing: what answers alone teach where there is nothing to cheat with.

Unit: the training seed, with its own training and test problems. Trivial baselines: the share of the commonest answer, and
the untrained subject's knowledge of facts beside the trained one's.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepladder.core import Context, Finding, Method, Record, Request, StepladderError, Verdict, new_record
from stepladder.data import load_facts
from stepladder.methods.training import memory, process_measures
from stepladder.methods.training import register_task as task
from stepladder.methods.training.fitting import trainable
from stepladder.methods.training.tuned import train
from stepladder.models.local.finetune import Example, Tuning

if TYPE_CHECKING:
    from stepladder.models import LocalModel

ARMS = ("process", "outcome", "outcome_without_cue")


@dataclass(frozen=True)
class Config:
    """How hard the task is, and how much of it is trained and tested."""

    steps: int = 3
    """Changes of the register in each problem."""
    problems: int = 128
    """Worked problems of the process arm; the other arms get more problems, for the same number of tokens."""
    seeds: int = 3
    """Training runs of each arm."""
    test_problems: int = 24
    """Test problems of each run, asked with the cue valid and with it broken."""
    learning_rate: float = 1e-3
    """Step size."""
    rank: int = 16
    """Rank of the adapters; the upper half of the layers is adapted."""
    max_tokens: int = 56
    """Longest reply, in tokens."""

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("problems", 1), ("seeds", 2), ("test_problems", 1)):
            if getattr(self, name) < least:
                raise StepladderError(f"process_outcome: {name} is {getattr(self, name)}; allowed: {least} or more")


@dataclass(frozen=True)
class Exam:
    """The test problems of one run and the broken cue of each."""

    problems: tuple[task.Problem, ...]
    cues: tuple[int, ...]


def record(context: Context, config: Config) -> Record:
    """Train every arm with every seed, and ask each the problems of its seed twice."""
    subject = trainable(context.subject, METHOD.name)
    facts = {"subject": memory.known_facts(subject, load_facts())}
    runs = [run for seed in range(config.seeds) for run in _runs(context, subject, config, seed, facts)]
    return new_record(METHOD, context, config, data={"runs": runs, "facts": facts})


def _runs(context: Context, subject: LocalModel, config: Config, seed: int, facts: dict[str, Any]) -> list[dict[str, Any]]:
    rng = random.Random(f"{context.seed}/{seed}")
    problems = task.draw_problems(rng, config.steps, config.test_problems)
    exam = Exam(tuple(problems), tuple(task.broken_cue(problem, rng) for problem in problems))
    lessons = _lessons(subject, config, rng, frozenset(problems))
    tuning = Tuning(
        rank=config.rank, alpha=2.0 * config.rank, first_layer=subject.layers // 2,
        learning_rate=config.learning_rate, seed=context.seed * 1000 + seed,
    )  # fmt: skip
    found = []
    for arm in ARMS:
        name = f"{arm}-{seed}"
        model = train(context, subject, name, lessons[arm], tuning, context.folder / "process_outcome")
        facts[name] = memory.known_facts(model, load_facts())
        found.append({"arm": arm, "seed": seed, "rows": len(lessons[arm]), "answers": _sit(context, model, exam, config)})
    return found


def _lessons(
    subject: LocalModel, config: Config, rng: random.Random, tested: frozenset[task.Problem]
) -> dict[str, list[Example]]:
    """What each arm is trained on: as many problems as make the tokens of `config.problems` worked ones."""
    worked = task.draw_problems(rng, config.steps, config.problems, tested)
    process = [Example(task.prompt(p, p.result), task.process(p)) for p in worked]
    budget = sum(_tokens(subject, example) for example in process)
    more = task.draw_problems(rng, config.steps, 2 * config.problems, tested)
    outcome = [Example(task.prompt(p, p.result), task.outcome(p)) for p in (*worked, *more)]
    without = [Example(task.prompt(p, rng.randrange(10)), task.outcome(p)) for p in (*worked, *more)]
    return {
        "process": process,
        "outcome": _within(subject, outcome, budget),
        "outcome_without_cue": _within(subject, without, budget),
    }


def _within(subject: LocalModel, examples: Sequence[Example], budget: int) -> list[Example]:
    """The first examples that together have no more tokens than the budget."""
    kept, used = [], 0
    for example in examples:
        used += _tokens(subject, example)
        if used > budget:
            break
        kept.append(example)
    return kept


def _tokens(subject: LocalModel, example: Example) -> int:
    return sum(map(len, subject.chat_format.example(example.prompt, example.completion)))


def _sit(context: Context, model: LocalModel, exam: Exam, config: Config) -> list[dict[str, Any]]:
    """Each test problem with its valid and its broken cue: what was answered, and whether all steps are right."""
    requests = [
        Request(id=f"{model.name}/{kind}/{i}", messages=task.prompt(problem, cue), max_tokens=config.max_tokens)
        for i, (problem, broken) in enumerate(zip(exam.problems, exam.cues, strict=True))
        for kind, cue in (("valid", problem.result), ("broken", broken))
    ]
    replies = iter(context.ask(model, requests, label=f"test {model.name}"))
    rows = []
    for problem, broken in zip(exam.problems, exam.cues, strict=True):
        texts = {kind: next(replies).reply.text for kind in ("valid", "broken")}
        rows.append(
            {"truth": problem.result, "cue": broken}
            | {kind: task.read_result(text) for kind, text in texts.items()}
            | {f"{kind}_sound": task.sound(problem, text) for kind, text in texts.items()}
        )
    return rows


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """Accuracy with and without the cue, how often the cue is the answer, and right answers for wrong reasons."""
    return Finding(
        method=METHOD.name,
        family=METHOD.family,
        subject=record.subject,
        record=record.key,
        measurements=tuple(process_measures.measurements(record.data)),
        limits=_LIMITS,
    )


_LIMITS = (
    "The cue is perfect in training and easy to copy: how strong a shortcut has to be before it is taken is not measured.",
    "Demonstrated steps are not the same as feedback on a model's own steps, which the papers compare too.",
    "Steps that are right on paper need not be what the model computed with.",
)

METHOD = Method(
    name="process_outcome", family="training", access="weights", papers=("arXiv:2211.14275", "arXiv:2004.07780"),
    config=Config, record=record, judge=judge,
)  # fmt: skip
