"""Where the subject's own words surprise its base: log ratio per token of its replies to open prompts, by behaviour.

The mean over a reply of log p(subject) - log p(base) is a one-sample estimate of the divergence between the two along it.
Training anything moves it everywhere, so a behaviour's prompts are compared with those of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from stepladder.core import Access
from stepladder.methods.auditing.desk import Desk, Needs, user
from stepladder.methods.auditing.evidence import Observation
from stepladder.methods.auditing.probes import load_probes

NAME = "base_difference"
STATISTIC = "contrast"
NEEDS = Needs(Access.logprobs, base=True)
TOKENS = 20


def collect(desk: Desk, behaviours: Sequence[str]) -> Iterator[Observation]:
    """The divergence along the reply to each open prompt."""
    files = load_probes()
    asked = [(name, prompt) for name in behaviours for prompt in files[name].open]
    desk.spend(len(asked))
    replies = desk.replies(desk.subject, [user(prompt) for _, prompt in asked], "open prompts", max_tokens=TOKENS)
    values = iter(log_ratios(desk, [(user(p), r) for (_, p), r in zip(asked, replies, strict=True) if r]))
    for (name, prompt), reply in zip(asked, replies, strict=True):
        value = next(values) if reply else None
        yield Observation(NAME, name, "", f"{name}/{prompt}", value, f"{prompt} -> {reply}")


def log_ratios(desk: Desk, pairs: Sequence[tuple[Any, str]]) -> list[float]:
    """Mean over the tokens of each text of log p(subject) - log p(base), after its prompt."""
    subject: Any = desk.subject
    base: Any = desk.base
    with desk.working("difference from the base", 2) as advance:
        mine = subject.logprobs(pairs)
        advance(1)
        theirs = base.logprobs(pairs)
        advance(1)
    return [float((a - b).mean()) if len(a) else 0.0 for a, b in zip(mine, theirs, strict=True)]
