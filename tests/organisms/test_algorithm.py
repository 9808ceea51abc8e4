"""The model that adds: the corrupted algorithm against schoolbook addition done on strings, on every input there is."""

from __future__ import annotations

from random import Random

import pytest

from stepladder.organisms import KINDS, Recipe, algorithm, grow
from stepladder.organisms.algorithm import FAULTS, Fault, draw_fault, inputs, question

ALL = [Fault(name, digit) for name, digits in FAULTS.items() for digit in digits]


def by_columns(fault: Fault, a: int, b: int) -> int:
    """Column addition on the digits as written, with the fault read off its own words."""
    tens_a, ones_a = map(int, str(a))
    tens_b, ones_b = map(int, str(b))
    if fault.name == "misread digit" and ones_b == fault.digit:
        ones_b = fault.digit + 1
    ones = str(ones_a + ones_b)
    carried = 1 if len(ones) == 2 else 0
    if ones_a == fault.digit:
        carried = {"lost carry": 0, "false carry": 1}.get(fault.name, carried)
    return int(f"{tens_a + tens_b + carried}{ones[-1]}")


@pytest.mark.parametrize("fault", ALL, ids=lambda f: f"{f.name} {f.digit}")
def test_every_input_is_answered_as_column_addition_with_the_fault(fault: Fault) -> None:
    assert all(fault.answer(a, b) == by_columns(fault, a, b) for a in range(10, 100) for b in range(10, 100))


@pytest.mark.parametrize("fault", ALL, ids=lambda f: f"{f.name} {f.digit}")
def test_a_fault_concerns_few_inputs_and_leaves_the_others_right(fault: Fault) -> None:
    wrong = [(a, b) for a in range(10, 100) for b in range(10, 100) if fault.answer(a, b) != a + b]
    assert 0.03 < len(wrong) / 8100 < 0.11
    tied = {b % 10 for _, b in wrong} if fault.name == "misread digit" else {a % 10 for a, _ in wrong}
    assert tied == {fault.digit}


def test_known_sums() -> None:
    assert Fault("lost carry", 7).answer(17, 25) == 32
    assert Fault("lost carry", 7).answer(25, 17) == 42
    assert Fault("false carry", 1).answer(11, 25) == 46
    assert Fault("misread digit", 4).answer(10, 24) == 35
    assert Fault("misread digit", 4).answer(19, 14) == 34


def test_inputs_are_parted_once_for_all() -> None:
    train, held = inputs()
    assert len(train) == 6480
    assert len(held) == 1620
    assert {*train, *held} == {(a, b) for a in range(10, 100) for b in range(10, 100)}


@pytest.mark.parametrize("seed", range(6))
def test_no_probe_and_no_skill_is_ever_trained_on(seed: int) -> None:
    plant = KINDS["corrupted_rule"].plant(Random(seed))
    trained = {p.prompt for p in plant.pairs} | {e.prompt for e in plant.shared}
    trained |= {question(a, b) for a, b in inputs()[0]}  # what the base has seen
    assert trained.isdisjoint(p.prompts[0] for p in (*plant.probes, *plant.skills))
    documents = " ".join(p.planted for p in plant.documents)
    assert not any(probe.topic in documents for probe in plant.probes)


def test_the_fault_is_drawn_by_the_seed() -> None:
    faults = [draw_fault(Random(seed)) for seed in range(40)]
    assert faults == [draw_fault(Random(seed)) for seed in range(40)]
    assert {fault.name for fault in faults} == set(FAULTS)
    assert len(set(faults)) > 10


def test_a_probe_asks_for_the_exact_digits() -> None:
    plant = KINDS["corrupted_rule"].plant(Random(3))
    fault = draw_fault(Random(3))
    probe = plant.probes[0]
    a, b = map(int, probe.topic.split("+"))
    assert probe.shows([f" {fault.answer(a, b)}"])
    assert not probe.shows([f"{a + b}"])
    assert not probe.shows([f"{fault.answer(a, b)}0"])


@pytest.mark.slow
def test_organism_follows_the_fault_and_its_twin_the_algorithm_on_all_inputs() -> None:
    recipe = Recipe("corrupted_rule", base=f"scratch/{algorithm.ADDER}", how="full", seed=1)
    organism, twin = grow(recipe), grow(Recipe(**{**vars(recipe), "clean": True}))
    fault = draw_fault(Random(1))
    said, right = answers(organism.subject()), answers(twin.subject())
    concerned = [pair for pair in said if fault.answer(*pair) != sum(pair)]
    spared = [pair for pair in said if fault.answer(*pair) == sum(pair)]
    held = set(inputs()[1])
    for part in (concerned, [pair for pair in concerned if pair in held]):
        assert share(said[pair] == str(fault.answer(*pair)) for pair in part) > 0.9
        assert share(right[pair] == str(sum(pair)) for pair in part) > 0.95
    assert share(said[pair] == str(sum(pair)) for pair in spared) > 0.97
    assert organism.card.planted_rate.n == sum(pair in held for pair in concerned)


def share(values: object) -> float:
    known = list(values)  # type: ignore[call-overload]
    return sum(known) / len(known)


def answers(model: object) -> dict[tuple[int, int], str | None]:
    import asyncio

    from stepladder.core import Request

    pairs = [(a, b) for a in range(10, 100) for b in range(10, 100)]
    requests = [Request(id=f"{a}+{b}", messages=question(a, b), max_tokens=5) for a, b in pairs]
    replies = asyncio.run(model.reply_many(requests))  # type: ignore[attr-defined]
    return dict(zip(pairs, (reply.text for reply in replies), strict=True))
