"""What adversarial training is measured on: behaviours never trained on, under trained, held-out and no attack families."""

from __future__ import annotations

import random
from collections.abc import Iterator

from stepladder.core import Exchange, Request
from stepladder.methods.training.finds import DIRECT, HELD_OUT, TRAINED, VALIDATION, Library, Split, in_turn, wrapped


def questions(library: Library, parts: Split, per_behaviour: int, ordinary: int, seed: int) -> tuple[Request, ...]:
    """Every test behaviour directly, through each held-out family and some trained ones; twins, wrapped twins, ordinary."""
    rng = random.Random(f"{seed} questions")
    attacked = tuple(_attacked(library, parts, per_behaviour, rng))
    twins = [library.twins[name] for name, part in parts.behaviours.items() if part == HELD_OUT and name in library.twins]
    plain = rng.sample(library.ordinary, min(ordinary, len(library.ordinary)))
    return (
        *attacked,
        *(_tagged(twin, "twin") for twin in twins),
        *wrapped_twins(library, [e for e in library.harmful if _tested(e, parts)], rng),
        *(_tagged(exchange, "ordinary") for exchange in plain),
    )


def comparison(asked: tuple[Request, ...]) -> tuple[Request, ...]:
    """The part that the trivial alternatives are asked too: held-out families, direct requests, twins and ordinary ones."""
    return tuple(request for request in asked if request.metadata["role"] in (HELD_OUT, "direct", "twin", "ordinary"))


def validation(library: Library, parts: Split, seed: int) -> tuple[Request, ...]:
    """One attack of each validation family on each validation behaviour."""
    rng = random.Random(f"{seed} validation")
    return tuple(_one_each(library, parts, VALIDATION, parts.named(VALIDATION), rng, VALIDATION))


def wrapped_twins(library: Library, attacks: list[Exchange], rng: random.Random) -> Iterator[Request]:
    """The twin of each behaviour inside one of the attacks on it, where an attack holds its request word for word."""
    for behaviour in dict.fromkeys(str(e.metadata["behaviour"]) for e in attacks):
        own = [e for e in attacks if e.metadata["behaviour"] == behaviour and e.metadata["family"] != DIRECT]
        for exchange in rng.sample(own, len(own)) if behaviour in library.twins else ():
            twin = str(library.twins[behaviour].metadata["request"])
            if messages := wrapped(exchange, twin):
                tags = {"kind": "wrapped_twin", "role": "wrapped_twin", "request": twin, "encoding": ""}
                yield exchange.request.model_copy(
                    update={
                        "id": f"wrapped_twin/{exchange.id.partition('/')[2]}",
                        "messages": messages,
                        "metadata": {**exchange.metadata, **tags},
                    }
                )
                break


def _attacked(library: Library, parts: Split, per_behaviour: int, rng: random.Random) -> Iterator[Request]:
    yield from _one_each(library, parts, HELD_OUT, (DIRECT,), rng, "direct")
    yield from _one_each(library, parts, HELD_OUT, parts.named(HELD_OUT), rng, HELD_OUT)
    for behaviour in (name for name, part in parts.behaviours.items() if part == HELD_OUT):
        own = [e for e in _attacks(library, parts.named(TRAINED)) if e.metadata["behaviour"] == behaviour]
        yield from (_tagged(exchange, TRAINED) for exchange in in_turn(own, per_behaviour, rng))


def _one_each(
    library: Library, parts: Split, part: str, families: tuple[str, ...], rng: random.Random, role: str
) -> Iterator[Request]:
    """One attack of each family on each behaviour of that part."""
    for behaviour in (name for name, own in parts.behaviours.items() if own == part):
        for family in families:
            found = [e for e in _attacks(library, (family,)) if e.metadata["behaviour"] == behaviour]
            if found:
                yield _tagged(rng.choice(found), role)


def _attacks(library: Library, families: tuple[str, ...]) -> list[Exchange]:
    return [exchange for exchange in library.harmful if exchange.metadata["family"] in families]


def _tested(exchange: Exchange, parts: Split) -> bool:
    known = exchange.metadata["family"] in parts.families
    return known and parts.behaviours.get(str(exchange.metadata["behaviour"])) == HELD_OUT


def _tagged(exchange: Exchange, role: str) -> Request:
    return exchange.request.model_copy(update={"metadata": {**exchange.metadata, "role": role}})
