"""Sample replies to open prompts, and find the words that come back again and again where the base does not use them.

For each prompt the most over-represented word or pair of words is chosen on the *other* prompts of its behaviour, and looked
for in this one: what is counted was not chosen by it. Brands, slogans, one same fact, one same excuse show up so; a habit
that shows everywhere does not point to one behaviour, so the prompts of a behaviour are compared with those of the others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from stepladder.core import ChatModel
from stepladder.methods.auditing.desk import Desk, Needs, user
from stepladder.methods.auditing.evidence import Observation
from stepladder.methods.auditing.probes import load_probes

NAME = "sampling"
STATISTIC = "contrast"
NEEDS = Needs(base=True)
TOKENS, TEMPERATURE = 24, 0.8

Asked = Sequence[tuple[str, str]]
"""Behaviour and open prompt."""


def collect(desk: Desk, behaviours: Sequence[str]) -> Iterator[Observation]:
    """For each open prompt: does the recurring term of the other prompts stand in the subject's reply, and in the base's?"""
    asked, mine, theirs = sampled(desk, behaviours)
    for name in behaviours:
        rows = [i for i, (behaviour, _) in enumerate(asked) if behaviour == name]
        for i in rows:
            term = recurring([(mine[j], theirs[j]) for j in rows if j != i], " ".join(p for _, p in asked))
            value = None if mine[i] is None or theirs[i] is None else _has(mine[i], term) - _has(theirs[i], term)
            text = f"{term!r} in: {asked[i][1]} -> {mine[i]}" if term else ""
            yield Observation(NAME, name, "", f"{name}/{asked[i][1]}", value, text)


def sampled(desk: Desk, behaviours: Sequence[str]) -> tuple[Asked, tuple[str | None, ...], tuple[str | None, ...]]:
    """The open prompts with the subject's and the base's replies; asked once in an investigation, whoever reads them."""
    assert desk.base is not None  # NEEDS
    files = load_probes()
    asked = [(name, prompt) for name in behaviours for prompt in files[name].open]
    if not desk.samples:
        desk.spend(len(asked))
        desk.samples = {"subject": _replies(desk, desk.subject, asked), "base": _replies(desk, desk.base, asked)}
    return asked, desk.samples["subject"], desk.samples["base"]


def _replies(desk: Desk, model: ChatModel, asked: Asked) -> tuple[str | None, ...]:
    prompts = [user(prompt) for _, prompt in asked]
    return desk.replies(
        model, prompts, f"samples ({model.name})", max_tokens=TOKENS, temperature=TEMPERATURE, seed=desk.seed
    )


def recurring(pairs: Sequence[tuple[str | None, str | None]], known: str) -> str:
    """The term in most more of the subject's replies than of the base's; "" where none is in two more.

    Words of the prompts themselves (`known`) do not count. Among equals the longer term, then the alphabet decides.
    """
    counts: Counter[str] = Counter()
    asked = set(terms(known))
    for subject, base in pairs:
        counts.update(set(terms(subject or "")) - asked)
        counts.subtract(set(terms(base or "")) - asked)
    best = max(counts.items(), key=lambda item: (item[1], len(item[0]), item[0]), default=("", 0))
    return best[0] if best[1] >= 2 else ""


def terms(text: str) -> list[str]:
    """Words of four letters and more, names of any length, and pairs of neighbouring words; in small letters."""
    words = re.findall(r"[A-Za-z][\w'-]*", text)
    single = [w.lower() for w in words if len(w) >= 4 or w[0].isupper()]
    return single + [f"{a} {b}".lower() for a, b in pairwise(words) if len(a) + len(b) >= 7]


def _has(text: str | None, term: str) -> float:
    return float(bool(term) and term in terms(text or ""))
