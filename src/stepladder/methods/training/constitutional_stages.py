"""The two stages of constitutional AI: finetuning on revisions, then DPO on AI preferences; each leaves an adapter."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepladder.core import Context, Exchange, Message, Request
from stepladder.data import Constitution, SyntheticPrompt
from stepladder.methods.training.dpo import dpo
from stepladder.methods.training.fitting import first_layer, fit, own_answers
from stepladder.methods.training.outcomes import by_patterns
from stepladder.methods.training.preferences import Choice, prefer
from stepladder.methods.training.refusals import refusal
from stepladder.methods.training.revision import Revised, Writing, prompts_apart, revise

if TYPE_CHECKING:
    from stepladder.methods.training.constitutional_ai import Config
    from stepladder.models import LocalModel
    from stepladder.models.local.finetune import Example, Objective, Tuned, Tuning


@dataclass(frozen=True)
class Prompts:
    """Synthetic prompts of the constitution, none of them near to what is measured."""

    revised: tuple[SyntheticPrompt, ...]
    compared: tuple[SyntheticPrompt, ...]
    harmless: tuple[SyntheticPrompt, ...]
    helpful: tuple[SyntheticPrompt, ...]


def write_prompts(constitution: Constitution, config: Config, seed: int, avoid: Sequence[str]) -> Prompts:
    """Harmful ones for revisions and for preferences, and as many harmless ones for each."""
    total = config.revisions + config.preferences
    harmful, harmless = (prompts_apart(constitution, total, seed, kind, avoid) for kind in (True, False))
    cut = round(len(harmful) * config.revisions / total), round(len(harmless) * config.revisions / total)
    return Prompts(tuple(harmful[: cut[0]]), tuple(harmful[cut[0] :]), tuple(harmless[: cut[1]]), tuple(harmless[cut[1] :]))


@dataclass(frozen=True)
class Supervised:
    """What the first stage left."""

    tuned: Tuned
    revised: tuple[Revised, ...]
    writing: Writing
    harmless: int


def supervised(
    context: Context, config: Config, subject: LocalModel, constitution: Constitution, prompts: Prompts
) -> Supervised:
    """Reply, critique, revise; finetune on the revisions and on the subject's own answers to harmless prompts."""
    from stepladder.models.local.finetune import Example

    asked = [_request(prompt, "reply", config, 0.0, context.seed) for prompt in prompts.revised]
    replies = context.ask(subject, asked, label="replies to revise")
    revised, writing = revise(context, constitution, list(zip(prompts.revised, replies, strict=True)))
    rows = [Example(_user(entry.prompt.text), entry.revision) for entry in revised]
    kept = own_answers(context, subject, [_user(prompt.text) for prompt in prompts.harmless], config.answer_tokens)
    tuned = _train(context, config, subject, [*rows, *kept], context.folder / "supervised", "finetuning on revisions")
    return Supervised(tuned, tuple(revised), writing, len(kept))


@dataclass(frozen=True)
class Preferred:
    """What the second stage left; `tuned` is None where no pair was preferred. `labels` are to be checked."""

    tuned: Tuned | None
    labeller: str
    labels: tuple[dict[str, Any], ...]
    pairs: int
    helpful: int


def preferred(
    context: Context, config: Config, subject: LocalModel, trained: LocalModel, constitution: Constitution, prompts: Prompts
) -> Preferred:
    """One reply of the subject and one of the finetuned model; the AI says which is better; DPO on top of the latter."""
    sides = [_sampled(context, config, model, prompts.compared) for model in (subject, trained)]
    answered = [
        (prompt, a, b) for prompt, a, b in zip(prompts.compared, *sides, strict=True) if a.reply.text and b.reply.text
    ]
    choices = [Choice(prompt.category, prompt.text, a.reply.text or "", b.reply.text or "") for prompt, a, b in answered]
    better, labeller = prefer(context, constitution, choices)
    pairs = [
        _pair(prompt, *((a, b) if first else (b, a)))
        for (prompt, a, b), first in zip(answered, better, strict=True)
        if first is not None
    ]
    helpful = _helpful(context, config, subject, prompts.helpful)
    labels = tuple(_label(prompt, a, b, first) for (prompt, a, b), first in zip(answered, better, strict=True))
    if not pairs:
        return Preferred(None, labeller, labels, 0, len(helpful))
    folder = context.folder / "preferred"
    tuned = _train(context, config, trained, [*pairs, *helpful], folder, "preferences")
    return Preferred(tuned, labeller, labels, len(pairs), len(helpful))


def _helpful(
    context: Context, config: Config, subject: LocalModel, prompts: Sequence[SyntheticPrompt]
) -> list[tuple[Example, Example]]:
    """Harmless prompts: the subject's own answer is chosen over a refusal."""
    from stepladder.models.local.finetune import Example

    rng = random.Random(f"{context.seed} helpful")
    topics = {prompt.text: prompt.category for prompt in prompts}
    chosen = own_answers(context, subject, [_user(prompt.text) for prompt in prompts], config.answer_tokens)
    return [(own, Example(own.prompt, refusal(topics[own.prompt[0].content], rng))) for own in chosen]


def _train(
    context: Context,
    config: Config,
    model: LocalModel,
    items: Sequence[Example | tuple[Example, ...]],
    folder: Path,
    label: str,
) -> Tuned:
    """With our trainer or TRL's; pairs are trained by DPO."""
    paired = isinstance(items[0], tuple)
    settings = tuning(config, model, config.preference_rate if paired else config.learning_rate, context.seed)
    if config.trainer == "trl":
        from stepladder.models.local.trl import finetune_with_trl

        with context.task(f"{label} (TRL)", len(items)) as advance:
            return finetune_with_trl(model, items, folder, settings, config.beta, advance)
    objective: Objective | None = dpo(config.beta) if paired else None
    return fit(context, model, items, folder, settings, label, objective)


def tuning(config: Config, model: LocalModel, learning_rate: float, seed: int) -> Tuning:
    """How each stage is trained."""
    from stepladder.models.local.finetune import Tuning

    return Tuning(
        rank=config.rank, alpha=2.0 * config.rank, first_layer=first_layer(model, config.frozen),
        learning_rate=learning_rate, batch=config.batch, max_tokens=192, seed=seed,
    )  # fmt: skip


def _sampled(
    context: Context, config: Config, model: LocalModel, prompts: Sequence[SyntheticPrompt]
) -> tuple[Exchange, ...]:
    asked = [_request(prompt, "compare", config, 1.0, context.seed) for prompt in prompts]
    return context.ask(model, asked, label="replies to compare")


def _request(prompt: SyntheticPrompt, purpose: str, config: Config, temperature: float, seed: int) -> Request:
    return Request(
        id=f"{purpose}/{prompt.text}", messages=_user(prompt.text), max_tokens=config.answer_tokens, temperature=temperature,
        seed=seed, metadata={"request": prompt.text},
    )  # fmt: skip


def _user(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


def _pair(prompt: SyntheticPrompt, better: Exchange, worse: Exchange) -> tuple[Example, Example]:
    from stepladder.models.local.finetune import Example

    chosen, rejected = (
        Example(_user(prompt.text), e.reply.text or "", whole=e.reply.stop_reason == "stop") for e in (better, worse)
    )
    return chosen, rejected


def _label(prompt: SyntheticPrompt, a: Exchange, b: Exchange, first: float | None) -> dict[str, Any]:
    """What was preferred, and what is known by patterns: the reply that did not do what was asked is the better one."""
    done = by_patterns([a, b])
    known = None if None in done or done[0] == done[1] else float((done[0] or 0.0) < (done[1] or 0.0))
    return {"category": prompt.category, "first": first, "known": known}
