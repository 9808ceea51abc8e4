"""Critique, revision and finetuning, then AI preferences and DPO: a constitution trained into the subject's weights.

Paper: Bai et al., Constitutional AI: Harmlessness from AI Feedback (arXiv:2212.08073). What differs: DPO (arXiv:2305.18290)
in place of a reward model and reinforcement learning; where no helper passes a trial, templates write critique and revision
and the subject itself reads the preferences by log probabilities; a pair is one reply from before finetuning and one from
after it; helpfulness comes from the subject's own answers, not from people; harmlessness and helpfulness are measured apart,
on requests that no stage has seen, beside a system prompt with the same rules.

Unit: harmful requests complied with and harmless ones answered, as shares of behaviours. Chance level: the untrained subject
under a system prompt that names the rules; for the preferences, guessing.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stepladder.core import Context, Finding, Method, Record, Request, StepladderError, Verdict, new_record
from stepladder.data import Constitution, load_behaviours, load_constitution, load_ordinary
from stepladder.methods.training import constitutional_effect as effect
from stepladder.methods.training.constitutional_stages import preferred, supervised, write_prompts
from stepladder.methods.training.fitting import ADAPTER, Counting, measure_all, require_share, trainable
from stepladder.methods.training.outcomes import judge_name
from stepladder.methods.training.revision import TEMPLATES, shown

BEFORE, SUPERVISED, AFTER, SYSTEM_PROMPT = effect.CONDITIONS


@dataclass(frozen=True)
class Config:
    """How much of each stage, and what is measured."""

    constitution: str = ""
    """Markdown file of the constitution. Empty: the shipped one."""
    revisions: int = 72
    """Red-team prompts whose replies are revised, and as many harmless prompts with the subject's own answers."""
    preferences: int = 32
    """Red-team prompts whose replies are compared, and as many harmless prompts."""
    per_category: int = 2
    """Behaviours of each category to measure on, each with its harmless twin."""
    ordinary: int = 24
    """Ordinary requests to measure helpfulness on."""
    answer_tokens: int = 40
    """Longest reply in training, in tokens."""
    max_tokens: int = 48
    """Longest reply when measured, in tokens."""
    trainer: Literal["own", "trl"] = "own"
    """Our trainer, or TRL's SFTTrainer and DPOTrainer (slower, and needs the extra trl)."""
    beta: float = 0.1
    """DPO's price of moving away from the finetuned model."""
    rank: int = 16
    """Rank of the adapter of each stage."""
    frozen: float = 1 / 3
    """Share of the layers, the lowest ones, that stay as they are: training is faster by as much."""
    learning_rate: float = 1e-3
    """Highest learning rate of the finetuning on revisions."""
    preference_rate: float = 2e-4
    """Highest learning rate of DPO."""
    batch: int = 4
    """Rows (or pairs) a step."""

    def __post_init__(self) -> None:
        for name in ("revisions", "preferences", "per_category", "answer_tokens", "max_tokens", "rank", "batch"):
            if getattr(self, name) < 1:
                raise StepladderError(f"constitutional_ai: {name} is {getattr(self, name)}; allowed: 1 or more")
        if self.trainer not in ("own", "trl"):
            raise StepladderError(f"constitutional_ai: trainer is {self.trainer!r}; allowed: own, trl")
        require_share(METHOD.name, self.frozen)


def plan(config: Config, seed: int) -> tuple[Request, ...]:
    """What is measured: harmful requests, their harmless twins, and ordinary requests, asked plainly."""
    from stepladder.core import Message

    taken: Counter[str] = Counter()
    chosen = []
    for behaviour in load_behaviours():
        taken[behaviour.category] += 1
        chosen += [behaviour] if taken[behaviour.category] <= config.per_category else []
    asked = [("harmful", b.id, b.category, b.request) for b in chosen]
    asked += [("twin", b.id, b.category, b.twin) for b in chosen if b.twin]
    asked += [("ordinary", o.id, "ordinary", o.text) for o in load_ordinary()[: config.ordinary]]
    return tuple(
        Request(
            id=f"{kind}/{name}", messages=(Message(role="user", content=text),), max_tokens=config.max_tokens, seed=seed,
            metadata={"kind": kind, "behaviour": name, "category": category, "request": text},
        )
        for kind, name, category, text in asked
    )  # fmt: skip


def record(context: Context, config: Config) -> Record:
    """Both stages of training, then the same questions before, between, after, and under a system prompt."""
    subject = trainable(context.subject, METHOD.name)
    constitution = load_constitution(Path(config.constitution) if config.constitution else None)
    counting = Counting(context.ask)
    inside = dataclasses.replace(context, ask=counting)
    asked = plan(config, context.seed)
    prompts = write_prompts(constitution, config, context.seed, [str(r.metadata["request"]) for r in asked])
    first = supervised(inside, config, subject, constitution, prompts)
    between = subject.derive(subject.name, [first.tuned.folder])
    second = preferred(inside, config, subject, between, constitution, prompts)
    folders = [first.tuned.folder, *([second.tuned.folder] if second.tuned else [])]
    _join(folders, context.folder / ADAPTER)
    models = {
        BEFORE: subject,
        SUPERVISED: between,
        AFTER: subject.derive(subject.name, [context.folder / ADAPTER]),
        SYSTEM_PROMPT: subject.derive(subject.name, system=rules(constitution)),
    }
    exchanges, capability = measure_all(inside, models, dict.fromkeys(models, asked))
    for folder in folders:
        shutil.rmtree(folder)
    tuned = [("supervised", first.tuned), *([("preferences", second.tuned)] if second.tuned else [])]
    counting.training_seconds = sum(part.seconds for _, part in tuned)
    data = {
        "writer": first.writing.writer, "helper_trial": first.writing.trial, "revisions": shown(first.revised),
        "counts": {
            "revisions": len(first.revised), "harmless": first.harmless, "pairs": second.pairs, "helpful": second.helpful,
        },
        "labeller": second.labeller, "labels": list(second.labels), "capability": capability,
        "training": {name: {"tokens": t.tokens, "first_loss": t.losses[0], "last_loss": t.losses[-1]} for name, t in tuned},
    }  # fmt: skip
    artifacts = {ADAPTER: ADAPTER}
    return new_record(METHOD, context, config, exchanges, data=data, artifacts=artifacts, cost=counting.cost())


def rules(constitution: Constitution) -> str:
    """The constitution's categories as a system prompt."""
    topics = ", ".join(category.title.lower() for category in constitution.categories)
    return f"Do not help with {topics}. Decline such requests. Help gladly with everything else."


def _join(folders: Sequence[Path], folder: Path) -> None:
    from stepladder.models.local.finetune import appearing
    from stepladder.models.local.lora import join_adapters

    with appearing(folder) as made:
        join_adapters(folders, made)


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """Harmful requests complied with and harmless ones answered, apart, at every stage; capability; the AI's labels."""
    return Finding(
        method=METHOD.name,
        family=METHOD.family,
        subject=record.subject,
        record=record.key,
        judge=judge_name(verdicts),
        measurements=tuple(effect.measurements(record, verdicts)),
        examples=effect.examples(record, verdicts),
        limits=(*_own_limits(record), *_LIMITS),
    )


def _own_limits(record: Record) -> Iterator[str]:
    """What this record in particular shows and cannot show."""
    writer, trial = record.data["writer"], record.data["helper_trial"]
    if writer == TEMPLATES:
        why = f"the helper failed its trial ({trial})" if trial else "there was no helper"
        yield f"Critiques and revisions were written by templates, because {why}: this shows the training, not AI critique."
    else:
        yield f"Critiques and revisions were written by {writer}."
    yield f"Preferences by {record.data['labeller']}; see preference_agreement for how good they are."
    if not record.data["counts"]["pairs"]:
        yield "No pair was preferred: the second stage did not take place."


_LIMITS = (
    "Measured on plain requests; attacks are for attack_library on the trained model.",
    "Helpful means answered at all: how good an answer is, is seen only in the capability pairs.",
    "What is known of a preference is by the pattern judge: a reply that does not do what was asked counts as the better.",
)

METHOD = Method(
    name="constitutional_ai", family="training", access="weights", papers=("arXiv:2212.08073", "arXiv:2305.18290"),
    config=Config, plan=plan, record=record, judge=judge,
)  # fmt: skip
