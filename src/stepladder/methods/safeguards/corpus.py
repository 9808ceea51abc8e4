"""What a guard is trained, tuned and calibrated on, and the proof that nothing tested is among it.

The split, by where a text comes from:

* *train*: synthetic prompts of the constitution, harmful and harmless, and ordinary requests that the record did not ask;
  each directly and inside attack wrappers learned from the record (both kinds in the same wrappers, so that a wrapper by
  itself says nothing). A fold leaves out every case in a wrapper of its held-out family.
* *tune*: harmless synthetic prompts: scales of the classifiers and the screen.
* *calibration*: harmless requests only: ordinary requests and near-twins that the record did not ask, then synthetic ones.
  Only where the shipped sets leave too few does the record give half of its own twins and ordinary requests, by cluster,
  and those are then not tested.
* *test*: the record's exchanges. Its harmful requests are in no other part under any fold; of them only wrappers are used.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from stepladder.core import Exchange, Message, Record
from stepladder.data import SyntheticPrompt, load_behaviours, load_ordinary
from stepladder.methods.safeguards.wrappers import Wrapper

Role = Literal["train", "tune", "calibration"]
NO_FAMILY = "none"


@dataclass(frozen=True)
class Case:
    """One text of training, tuning or calibration. `ask`: the subject is asked it, so that there is an exchange."""

    id: str
    messages: tuple[Message, ...]
    harmful: bool
    role: Role
    family: str
    origin: str
    ask: bool
    reply: str | None = None


def spare_harmless(record: Record) -> list[tuple[str, str]]:
    """(origin, text) of the shipped ordinary requests and twins that the record did not ask, shuffled."""
    asked = tested_texts(record)
    texts = [("ordinary", ordinary.text) for ordinary in load_ordinary()]
    texts += [("twin", behaviour.twin) for behaviour in load_behaviours() if behaviour.twin]
    spare = [(origin, text) for origin, text in texts if text not in asked]
    random.Random("spare").shuffle(spare)
    return spare


def tested_texts(record: Record) -> frozenset[str]:
    """Every plain request of the record."""
    return frozenset(str(e.metadata["request"]) for e in record.exchanges if e.metadata.get("request"))


def lent_clusters(record: Record, spare: int, wanted: int) -> frozenset[str]:
    """Clusters whose harmless exchanges the record gives to calibration: none if `spare` is half of what is wanted."""
    if spare >= wanted / 2:
        return frozenset()
    harmless = [e for e in record.exchanges if e.metadata.get("kind") in ("twin", "ordinary")]
    clusters = sorted({str(e.metadata.get("behaviour")) for e in harmless})
    return frozenset(random.Random(f"lend {record.seed}").sample(clusters, len(clusters) // 2))


def training_cases(
    prompts: Sequence[SyntheticPrompt], wrappers: Sequence[Wrapper], wrappings: int, exchanges: int, seed: int
) -> Iterator[Case]:
    """Each prompt directly and in `wrappings` wrappers of different attacks; one form of `exchanges` prompts is to be asked.

    Half of those prompts are harmful, half harmless, and the forms take turns.
    """
    asked = {True: 0, False: 0}
    for number, prompt in enumerate(prompts):
        rng = random.Random(f"{seed} wrap {number} {prompt.harmful}")
        forms = [None, *_draw(wrappers, wrappings, rng)]
        turn = asked[prompt.harmful]
        asked[prompt.harmful] += 1
        chosen = turn % len(forms) if turn < exchanges // 2 else None
        for place, wrapper in enumerate(forms):
            yield Case(
                id=f"train/{number}/{wrapper.attack if wrapper else 'direct'}",
                messages=wrapper.apply(prompt.text) if wrapper else _plain(prompt.text),
                harmful=prompt.harmful,
                role="train",
                family=wrapper.family if wrapper else NO_FAMILY,
                origin=prompt.origin,
                ask=place == chosen,
            )


def harmless_cases(role: Role, texts: Sequence[tuple[str, str]]) -> Iterator[Case]:
    """Harmless (origin, text) pairs asked directly."""
    for number, (origin, text) in enumerate(texts):
        yield Case(f"{role}/{number}", _plain(text), False, role, NO_FAMILY, origin, ask=True)


def lent_cases(exchanges: Sequence[Exchange], lent: frozenset[str]) -> Iterator[Case]:
    """Calibration cases from the record's own harmless exchanges of the lent clusters, one each, with their replies."""
    done: set[str] = set()
    for exchange in exchanges:
        cluster = str(exchange.metadata.get("behaviour"))
        if is_lent(exchange, lent) and cluster not in done and exchange.reply.text is not None:
            done.add(cluster)
            origin = str(exchange.metadata["kind"])
            yield Case(f"lent/{exchange.id}", exchange.request.messages, False, "calibration", NO_FAMILY, origin, False,
                       exchange.reply.text)  # fmt: skip


def is_lent(exchange: Exchange, lent: frozenset[str]) -> bool:
    """Whether the exchange is a harmless one of a lent cluster."""
    return exchange.metadata.get("kind") in ("twin", "ordinary") and str(exchange.metadata.get("behaviour")) in lent


def in_fold(case: Case, held_out: str | None) -> bool:
    """Whether a fold that holds out this family trains on the case."""
    return case.role == "train" and (held_out is None or case.family != held_out)


def counts(cases: Sequence[Case]) -> Mapping[str, int]:
    """How many cases there are of each part and kind, for the record."""
    table: dict[str, int] = {}
    for case in cases:
        kind = f"{case.role}: {'harmful' if case.harmful else 'harmless'}, {case.origin}"
        table[kind] = table.get(kind, 0) + 1
    return table


def _plain(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


def _draw(wrappers: Sequence[Wrapper], count: int, rng: random.Random) -> list[Wrapper]:
    """One wrapper of each of `count` different attacks."""
    attacks = sorted({wrapper.attack for wrapper in wrappers})
    chosen = rng.sample(attacks, min(count, len(attacks)))
    return [rng.choice([w for w in wrappers if w.attack == attack]) for attack in chosen]
