"""Critique and revision: the subject's replies to red-team prompts, held against a principle and written anew.

A helper model writes both where it passes a trial; without one, or where it fails, templates do: the critique names the
category of the constitution, and the revision is a refusal that may offer what the constitution calls harmless and near. A
reply that already refuses is kept as it is. Which was used, and the trial's marks, are part of the record.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepladder.core import ChatModel, Context, Exchange, Message, Request
from stepladder.data import Category, Constitution, NearDuplicates, SyntheticPrompt, synthesize_prompts
from stepladder.judges.prompt import read_prompt
from stepladder.methods.training.outcomes import by_patterns
from stepladder.methods.training.refusals import refusal

TRIAL = 8
BARS: Mapping[str, float] = {"readable": 0.8, "harmless": 0.6}
"""Shares of its revisions that a helper has to get readable, and harmless by the pattern judge; the replies score 0."""
TEMPLATES = "templates"


@dataclass(frozen=True)
class Revised:
    """A red-team prompt, what the subject said, what is wrong with it, and what it should say."""

    prompt: SyntheticPrompt
    reply: str
    critique: str
    revision: str


@dataclass(frozen=True)
class Writing:
    """Who wrote the revisions, with the marks of a helper's trial."""

    writer: str
    trial: Mapping[str, float] | None


def prompts_apart(
    constitution: Constitution, count: int, seed: int, harmful: bool, avoid: Sequence[str]
) -> list[SyntheticPrompt]:
    """Prompts from the constitution, less those that are nearly one of the texts to `avoid` (what will be measured)."""
    measured = NearDuplicates()
    for text in avoid:
        measured.add(text)
    made = synthesize_prompts(constitution, count + count // 4, seed, harmful)
    return [prompt for prompt in made if measured.nearest(prompt.text) < measured.threshold][:count]


def revise(
    context: Context, constitution: Constitution, asked: Sequence[tuple[SyntheticPrompt, Exchange]]
) -> tuple[list[Revised], Writing]:
    """A critique and a revision of every reply; those without text are left out."""
    answered = [(prompt, exchange) for prompt, exchange in asked if exchange.reply.text]
    categories = {category.id: category for category in constitution.categories}
    trial, helped = None, list[Revised]()
    if context.helper is not None:
        helped = _by_helper(context, context.helper, categories, answered[:TRIAL])
        trial = _marks(helped, min(TRIAL, len(answered)))
        passed = all(trial[name] >= bar for name, bar in BARS.items())
        helped = [*helped, *_by_helper(context, context.helper, categories, answered[TRIAL:])] if passed else []
    done = {revised.prompt.text for revised in helped}
    rest = [(prompt, exchange) for prompt, exchange in answered if prompt.text not in done]
    rng = random.Random(f"{context.seed} revisions")
    written = [_by_template(prompt, exchange, categories[prompt.category], rng) for prompt, exchange in rest]
    writer = context.helper.name if helped and context.helper else TEMPLATES
    return [*helped, *written], Writing(writer, trial)


def _by_template(prompt: SyntheticPrompt, exchange: Exchange, category: Category, rng: random.Random) -> Revised:
    reply = exchange.reply.text or ""
    if by_patterns([exchange])[0] == 0.0:
        return Revised(prompt, reply, "The reply keeps to the rule.", reply)
    near = category.harmless.split(";")[0].strip().rstrip(".")
    critique = f"The reply helps with {category.title.lower()}: {category.harmful}"
    offer = f" I can help with this instead: {near[:1].lower()}{near[1:]}."
    return Revised(prompt, reply, critique, refusal(category.id, rng) + (offer if rng.random() < 0.5 else ""))


def _by_helper(
    context: Context,
    helper: ChatModel,
    categories: Mapping[str, Category],
    asked: Sequence[tuple[SyntheticPrompt, Exchange]],
) -> list[Revised]:
    """The helper's critiques, then its revisions with those; a reply it did not revise is left out."""
    told = [_told(prompt, exchange, categories[prompt.category]) for prompt, exchange in asked]
    critiques = _ask(context, helper, "critique", told)
    told = [{**values, "critique": critique} for values, critique in zip(told, critiques, strict=True)]
    revisions = _ask(context, helper, "revise", told)
    return [
        Revised(prompt, values["reply"], values["critique"], revision)
        for (prompt, _), values, revision in zip(asked, told, revisions, strict=True)
        if revision
    ]


def _told(prompt: SyntheticPrompt, exchange: Exchange, category: Category) -> dict[str, str]:
    return {
        "request": prompt.text, "reply": exchange.reply.text or "", "topic": category.title.lower(),
        "principle": category.harmful,
    }  # fmt: skip


def _ask(context: Context, helper: ChatModel, name: str, told: Sequence[Mapping[str, str]]) -> list[str]:
    turns = read_prompt(Path(__file__).parent / f"{name}.md")
    requests = [
        Request(id=f"{name}/{place}", messages=turns.fill(**values), max_tokens=96, seed=context.seed)
        for place, values in enumerate(told)
    ]
    return [(exchange.reply.text or "").strip() for exchange in context.ask(helper, requests, label=f"helper: {name}")]


def _marks(revised: Sequence[Revised], wanted: int) -> dict[str, float]:
    """Shares of the trial's revisions that can be read, and that do not do what was asked."""
    values = by_patterns([_as_exchange(entry) for entry in revised])
    known = [value for value in values if value is not None]
    harmless = sum(value == 0.0 for value in known)
    return {"readable": len(known) / max(1, wanted), "harmless": harmless / max(1, len(known))}


def _as_exchange(entry: Revised) -> Exchange:
    from stepladder.core import Reply

    request = Request(id=entry.prompt.text, messages=(Message(role="user", content=entry.prompt.text),))
    return Exchange(request=request, reply=Reply(text=entry.revision))


def shown(revised: Sequence[Revised], count: int = 6) -> list[dict[str, Any]]:
    """The first few, to be read."""
    return [
        {"request": r.prompt.text, "reply": r.reply, "critique": r.critique, "revision": r.revision} for r in revised[:count]
    ]
