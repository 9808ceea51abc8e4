"""Synthetic prompts from a constitution: written by a helper model where it passes a test, by templates where it does not.

The test is measured, not believed: the helper writes prompts for a few categories and is used if enough of its lines can be
read as requests, differ from each other, and lie nearer to their own category of the constitution than to any other. What a
helper leaves missing is filled up from the templates. Which was used, and the test's result, are part of the record.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepladder.core import ChatModel, Context, Message, Request
from stepladder.data import (
    Category,
    Constitution,
    NearDuplicates,
    SyntheticPrompt,
    synthesize_prompts,
)

LINES = 6
TRIAL_CATEGORIES = 4
BARS: Mapping[str, float] = {"readable": 0.8, "distinct": 0.6, "on_category": 0.5}
"""What a helper has to reach in its trial; `on_category` by guessing is one in the number of categories."""

_MARKS = re.compile(r"^\s*(?:[-*•]|\(?\d+[.):])?\s*[\"“]?|[\"”]?\s*$")


@dataclass(frozen=True)
class Written:
    """Prompts, and where they came from."""

    prompts: tuple[SyntheticPrompt, ...]
    source: Mapping[str, Any]


def write_prompts(
    context: Context, constitution: Constitution, harmful: int, harmless: int, avoid: Sequence[str]
) -> Written:
    """That many prompts of each kind, less those that are nearly one of the texts to `avoid` (what will be tested)."""
    trial = _trial(context, constitution)
    used = trial is not None and all(trial[name] >= bar for name, bar in BARS.items())
    helped = _from_helper(context, constitution, {True: harmful, False: harmless}) if used else []
    made = [_fill(constitution, helped, count, context.seed, kind) for kind, count in ((True, harmful), (False, harmless))]
    prompts = [prompt for part in made for prompt in part]
    kept = _apart(prompts, avoid)
    source = {
        "writer": context.helper.name if used and context.helper else "templates",
        "helper_trial": trial,
        "helper_bars": dict(BARS),
        "origins": dict(Counter(prompt.origin for prompt in kept)),
        "dropped_as_near_test_texts": len(prompts) - len(kept),
        "constitution": constitution.title,
    }
    return Written(tuple(kept), source)


def _fill(
    constitution: Constitution, helped: Sequence[SyntheticPrompt], count: int, seed: int, harmful: bool
) -> list[SyntheticPrompt]:
    """The helper's prompts of that kind, filled up to `count` from the templates."""
    chosen = [prompt for prompt in helped if prompt.harmful == harmful][:count]
    missing = count - len(chosen)
    return chosen + (synthesize_prompts(constitution, missing, seed, harmful) if missing else [])


def _apart(prompts: Sequence[SyntheticPrompt], avoid: Sequence[str]) -> list[SyntheticPrompt]:
    tested = NearDuplicates()
    for text in avoid:
        tested.add(text)
    return [prompt for prompt in prompts if tested.nearest(prompt.text) < tested.threshold]


def _trial(context: Context, constitution: Constitution) -> dict[str, float] | None:
    """The helper's marks in its test, or `None` where there is no helper."""
    if context.helper is None:
        return None
    plan = [(category, harmful, 0) for category in constitution.categories[:TRIAL_CATEGORIES] for harmful in (True, False)]
    return mark(_ask_helper(context, context.helper, plan), len(plan) * LINES, constitution)


def mark(prompts: Sequence[SyntheticPrompt], wanted: int, constitution: Constitution) -> dict[str, float]:
    """Shares of the wanted lines that are readable, and of the readable ones that are distinct and on their category."""
    seen = NearDuplicates()
    distinct = sum(seen.add(prompt.text) for prompt in prompts)
    nearest = nearest_categories([prompt.text for prompt in prompts], constitution)
    right = sum(prompt.category == name for prompt, name in zip(prompts, nearest, strict=True))
    count = max(1, len(prompts))
    shares = {"readable": len(prompts) / max(1, wanted), "distinct": distinct / count, "on_category": right / count}
    return {name: round(min(1.0, share), 4) for name, share in shares.items()}


def nearest_categories(texts: Sequence[str], constitution: Constitution) -> list[str]:
    """The category whose own words in the constitution are nearest to each text (TF-IDF cosine)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not texts:
        return []
    vectorizer = TfidfVectorizer(stop_words="english", sublinear_tf=True)
    known = vectorizer.fit_transform([_words(category) for category in constitution.categories])
    nearest = (vectorizer.transform(texts) @ known.T).toarray().argmax(axis=1)
    return [constitution.categories[int(i)].id for i in nearest]


def _words(category: Category) -> str:
    slots = [value for values in category.slots.values() for value in values]
    return " ".join((category.title, category.harmful, *slots, *category.harmful_examples, *category.harmless_examples))


def _from_helper(context: Context, constitution: Constitution, counts: Mapping[bool, int]) -> list[SyntheticPrompt]:
    """Up to `counts` distinct prompts of each kind from the helper."""
    assert context.helper is not None
    rounds = {kind: -(-count // (LINES * len(constitution.categories))) for kind, count in counts.items()}
    plan = [(c, kind, turn) for kind, most in rounds.items() for turn in range(most) for c in constitution.categories]
    seen = NearDuplicates()
    return [prompt for prompt in _ask_helper(context, context.helper, plan) if seen.add(prompt.text)]


def _ask_helper(context: Context, helper: ChatModel, plan: Sequence[tuple[Category, bool, int]]) -> list[SyntheticPrompt]:
    """What the helper writes for each (category, harmful, turn)."""
    requests = [_helper_request(context.seed, category, harmful, turn) for category, harmful, turn in plan]
    exchanges = context.ask(helper, requests, label="helper writes prompts")
    return [
        SyntheticPrompt(category.id, text, harmful, helper.name)
        for (category, harmful, _), exchange in zip(plan, exchanges, strict=True)
        for text in read_lines(exchange.reply.text or "")
    ]


def _helper_request(seed: int, category: Category, harmful: bool, turn: int) -> Request:
    examples = category.harmful_examples if harmful else category.harmless_examples
    text = (
        (Path(__file__).parent / "helper.md")
        .read_text("utf-8")
        .format(
            count=LINES,
            title=category.title,
            rule=category.harmful if harmful else category.harmless,
            examples="\n".join(examples[:3]),
        )
    )
    return Request(
        id=f"helper/{category.id}/{'harmful' if harmful else 'harmless'}/{turn}",
        messages=(Message(role="user", content=text),),
        max_tokens=40 * LINES,
        temperature=0.8,
        seed=seed + turn,
    )


def read_lines(text: str) -> list[str]:
    """The lines of a reply that read as requests: 4 to 60 words, list marks and quotes taken off; at most `LINES`."""
    lines = [_MARKS.sub("", line) for line in text.splitlines()]
    return [line for line in lines if 4 <= len(line.split()) <= 60 and not line.endswith(":")][:LINES]
