"""From the input record and the constitution to the cases of a guard, with the subject's replies."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepladder.core import Context, Exchange, Record, Request, StepladderError
from stepladder.data import SyntheticPrompt, load_constitution
from stepladder.methods.safeguards.corpus import (
    Case,
    harmless_cases,
    lent_cases,
    lent_clusters,
    spare_harmless,
    tested_texts,
    training_cases,
)
from stepladder.methods.safeguards.reading import Reader
from stepladder.methods.safeguards.synthesis import write_prompts
from stepladder.methods.safeguards.wrappers import Wrapper, is_attacked, learn_wrappers

if TYPE_CHECKING:
    from stepladder.methods.safeguards.constitutional_classifiers import Config

ORDINARY = 40
"""Ordinary requests in training, so that it knows harmless texts that are not near misses."""
TUNE = 60
"""Harmless texts that set scales and screens."""
SPARE = 12
"""Prompts written beyond what is needed, because those too near a tested text are dropped."""
WRAPPERS, WRAPPINGS = 4, 1
"""Different wrappers kept of each attack; wrappers of different attacks that each training prompt is put into."""
CHARACTERS, CHARACTERS_PER_TOKEN = 600, 3
"""How much of a conversation the probes read, about 150 tokens; how much of a reply is read for each token of it."""
DEPTHS = (0.25, 0.4, 0.55)
"""Where in the subject the probes sit, as shares of its layers: early enough that most of a pass can be skipped."""


@dataclasses.dataclass(frozen=True)
class Assembled:
    """All cases, the clusters that the record lends to calibration, and where everything came from."""

    cases: tuple[Case, ...]
    lent: frozenset[str]
    provenance: dict[str, Any]


def assemble(context: Context, config: Config, source: Record) -> Assembled:
    """The cases of training, tuning and calibration; see `corpus` for the split."""
    spare = spare_harmless(source)
    lent = lent_clusters(source, len(spare), config.calibration)
    own = list(lent_cases(source.exchanges, lent))
    everyday = [text for origin, text in spare if origin == "ordinary"][:ORDINARY]
    real = [pair for pair in spare if pair[1] not in everyday][: max(0, config.calibration - len(own))]
    more = config.calibration - len(own) - len(real)
    tested = sorted(tested_texts(source))
    constitution = load_constitution(Path(config.constitution) if config.constitution else None)
    written = write_prompts(context, constitution, config.harmful, config.harmless + TUNE + more + SPARE, tested)
    train, tune, rest = _deal(written.prompts, config.harmless, context.seed)
    train += [SyntheticPrompt("ordinary", text, False, "ordinary") for text in everyday]
    wrappers = learn_wrappers(source.exchanges, tested, WRAPPERS)
    cases = (
        *training_cases(train, wrappers, WRAPPINGS, config.exchanges, context.seed),
        *harmless_cases("tune", tune),
        *harmless_cases("calibration", [*real, *rest[:more]]),
        *own,
    )
    return Assembled(cases, lent, {"synthesis": dict(written.source), "wrappers": _wrapper_counts(source, wrappers)})


def _deal(
    prompts: Sequence[SyntheticPrompt], training: int, seed: int
) -> tuple[list[SyntheticPrompt], list[tuple[str, str]], list[tuple[str, str]]]:
    """Prompts for training (all harmful ones), and the harmless rest as (origin, text) for tuning and calibration."""
    harmless = [prompt for prompt in prompts if not prompt.harmful]
    random.Random(f"deal {seed}").shuffle(harmless)
    train = [prompt for prompt in prompts if prompt.harmful] + harmless[:training]
    left = [(prompt.origin, prompt.text) for prompt in harmless[training:]]
    return train, left[:TUNE], left[TUNE:]


def families_of(source: Record) -> list[str]:
    """The attack families of a record, in order of appearance."""
    return list(dict.fromkeys(str(e.metadata["family"]) for e in source.exchanges if is_attacked(e)))


def _wrapper_counts(source: Record, wrappers: Sequence[Wrapper]) -> dict[str, int]:
    """How many wrappers were learned of each attack family; 0 where its requests cannot be found in its messages."""
    return {family: sum(w.family == family for w in wrappers) for family in families_of(source)}


def ask_subject(
    context: Context, config: Config, source: Record, cases: Sequence[Case]
) -> tuple[tuple[Case, ...], tuple[Exchange, ...]]:
    """The cases with the subject's replies, sampled as the record was, and the exchanges they came from.

    Raises `StepladderError` where too little was answered to train on.
    """
    like = source.exchanges[0].request
    requests = [
        Request(id=c.id, messages=c.messages, max_tokens=config.reply_tokens, temperature=like.temperature, seed=like.seed)
        for c in cases
        if c.ask
    ]
    asked = context.ask(context.subject, requests, label="replies to synthetic prompts")
    replies = {exchange.id: exchange.reply.text for exchange in asked}
    answered = tuple(dataclasses.replace(case, reply=replies.get(case.id, case.reply)) for case in cases)
    _require_replies(answered, context.subject.name)
    return answered, asked


def _require_replies(cases: Sequence[Case], subject: str) -> None:
    for role, harmful in (("train", True), ("train", False), ("tune", False)):
        if sum(c.role == role and c.harmful == harmful and c.reply is not None for c in cases) < 2:
            raise StepladderError(
                f"constitutional_classifiers: {subject} answered fewer than two {'harmful' if harmful else 'harmless'} "
                f"prompts of the {role} part; nothing can be trained on its replies"
            )


def open_reader(context: Context, config: Config) -> Reader:
    """A reader of the subject's activations where it gives them, of text alone where it does not."""
    source: Any = context.subject if hasattr(context.subject, "activations") else None
    reply = config.reply_tokens * CHARACTERS_PER_TOKEN
    if source is None:
        return Reader(CHARACTERS, reply)
    layers = config.layers or tuple(sorted({min(source.layers - 1, round(source.layers * depth)) for depth in DEPTHS}))
    return Reader(CHARACTERS, reply, layers, source)
