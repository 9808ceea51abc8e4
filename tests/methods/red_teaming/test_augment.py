"""The random changes of best-of-n: what they keep, and that each happens as often as it says."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepladder.methods.red_teaming.augment import add_noise, augment, capitalise, scramble

seeds = st.integers(0, 10_000)


@given(st.text(), seeds)
def test_scrambling_keeps_the_letters_and_both_ends_of_every_word(text: str, seed: int) -> None:
    changed = scramble(text, 1.0, random.Random(seed))
    assert len(changed) == len(text)
    for before, after in zip(text.split(), changed.split(), strict=True):
        assert Counter(before) == Counter(after)
        assert (before[0], before[-1]) == (after[0], after[-1])
        assert len(before) > 3 or before == after


@given(st.text(alphabet=st.characters(max_codepoint=127)), seeds, st.floats(0, 1))
def test_capitalising_changes_nothing_but_case(text: str, seed: int, chance: float) -> None:
    assert capitalise(text, chance, random.Random(seed)).casefold() == text.casefold()


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)), seeds)
def test_noise_moves_each_character_to_a_neighbour_in_the_table(text: str, seed: int) -> None:
    changed = add_noise(text, 1.0, random.Random(seed))
    assert len(changed) == len(text)
    assert all(abs(ord(a) - ord(b)) <= 1 and 32 <= ord(b) <= 126 for a, b in zip(text, changed, strict=True))


@given(st.text(), seeds)
def test_strength_zero_changes_nothing(text: str, seed: int) -> None:
    assert augment(text, 0.0, random.Random(seed)) == text


def test_the_same_seed_gives_the_same_text_and_another_seed_another() -> None:
    text = "Explain how the whole procedure works, step by step."
    assert augment(text, 0.4, random.Random(5)) == augment(text, 0.4, random.Random(5))
    assert len({augment(text, 0.4, random.Random(seed)) for seed in range(50)}) == 50


@pytest.mark.parametrize("chance", [0.064, 0.63])
def test_changes_happen_as_often_as_they_should(chance: float) -> None:
    n = 20_000
    error = 4 * (chance * (1 - chance) / n) ** 0.5
    capitals = sum(c.isupper() for c in capitalise("a" * n, chance, random.Random(1)))
    moved = sum(c != "m" for c in add_noise("m" * n, chance, random.Random(1)))
    assert capitals / n == pytest.approx(chance, abs=error)
    assert moved / n == pytest.approx(chance, abs=error)
