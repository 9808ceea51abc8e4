"""Count each behaviour's telling words in all sampled replies, whatever they were asked, beyond those of the base.

A habit that was trained in often shows where nobody asked for it: a sycophant agrees with a recipe. The words are those of
the probe files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stepladder.methods.auditing.desk import Desk, Needs
from stepladder.methods.auditing.evidence import Observation
from stepladder.methods.auditing.probes import load_probes
from stepladder.methods.auditing.strategies.sampling import sampled

NAME = "telling_words"
STATISTIC = "shift"
NEEDS = Needs(base=True)


def collect(desk: Desk, behaviours: Sequence[str]) -> Iterator[Observation]:
    """For each behaviour and reply: how many more of its words the subject's reply has than the base's."""
    asked, mine, theirs = sampled(desk, behaviours)
    for name in behaviours:
        words = load_probes()[name].words
        for (_, prompt), subject, base in zip(asked, mine, theirs, strict=True):
            if subject is None or base is None:
                yield Observation(NAME, name, "", f"{name}/{prompt}", None)
                continue
            value = count(words, subject, prompt) - count(words, base, prompt)
            yield Observation(NAME, name, "", f"{name}/{prompt}", float(value), f"{prompt} -> {subject}" if value else "")


def count(words: Sequence[str], reply: str, prompt: str) -> int:
    """How many of the words are in the reply and not already in the prompt."""
    said, asked = reply.lower(), prompt.lower()
    return sum(word in said and word not in asked for word in words)
