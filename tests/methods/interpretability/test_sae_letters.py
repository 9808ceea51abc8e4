"""The first-letter task on activations made by hand: letters in latents of their own, or absorbed by those of words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from stepladder.core import Measurement  # noqa: E402
from stepladder.methods.interpretability import sae_letters as letters  # noqa: E402
from stepladder.methods.interpretability.dictionary import Dictionary  # noqa: E402

LETTERS, EACH = "abcdef", 24
WIDTH = len(LETTERS) * (EACH + 1)


class Spelling:
    """Stands for a model with a word a token: its activation is a direction for the letter and one for the word."""

    def __init__(self) -> None:
        self.words = [f" {letter}{chr(97 + i // 5)}{chr(97 + i % 5)}o" for letter in LETTERS for i in range(EACH)] + [
            " zoo",
            "#",
        ]
        self.chat_format = self

        self.tokenizer = self

    def __len__(self) -> int:
        return len(self.words)

    def convert_ids_to_tokens(self, tokens: Iterable[int]) -> list[str]:
        return [self.words[token].replace(" ", "_") for token in tokens]

    def tokens(self, text: str) -> list[int]:
        return [len(self.words) - 1]

    def text(self, tokens: list[int]) -> str:
        return self.words[tokens[0]]

    def read(self, token_lists: list[list[int]], layers: list[int], site: str) -> list[np.ndarray]:
        assert (layers, site) == ([3], "mlp")
        return [np.stack([activation(token) for token in tokens])[:, None] for tokens in token_lists]


def activation(token: int) -> np.ndarray:
    found = np.zeros(WIDTH, np.float32)
    if token < len(LETTERS) * EACH:
        found[token // EACH], found[len(LETTERS) + token] = 2.0, 1.0
    return found


def dictionary(absorbed: int = 0) -> Dictionary:
    """A latent for each letter and each word; the latents of the first words of every letter bring their letter along."""
    eye = torch.eye(WIDTH)
    encoder, decoder = eye.clone(), eye.clone()
    for letter in range(len(LETTERS)):
        for word in range(absorbed):
            place = len(LETTERS) + letter * EACH + word
            decoder[place, letter] = 2.0
            encoder[place, letter] = -2.0  # the word takes away the letter's 2
    bias = torch.zeros(WIDTH)
    return Dictionary(architecture="standard", W_enc=encoder, b_enc=bias, W_dec=decoder, b_dec=bias, layer=3, site="mlp")


def measured(found: Dictionary) -> dict[tuple[str, str], Measurement]:
    model: Any = Spelling()
    words = letters.read_letters(model, found.layer, found.site)
    values = letters.letter_measurements(letters.letter_rows(found, words))
    return {(m.name, m.labels.get("k", "")): m for m in values}


def test_words_are_grouped_by_letter_and_rare_letters_left_out() -> None:
    model: Any = Spelling()
    words = letters.letter_words(model)
    assert {letter: len(found) for letter, found in words.items()} == dict.fromkeys(LETTERS, EACH)
    assert all(model.text([token])[1] == letter for letter, found in words.items() for token in found)


def test_a_latent_for_each_letter_is_found_and_absorbs_nothing() -> None:
    seen = measured(dictionary())
    assert seen["sparse_probe_auc", "1"].value == 1.0
    assert seen["sparse_probe_auc", "1"].n == len(LETTERS)
    assert seen["absorption", ""].value == 0.0
    assert seen["absorption_share", ""].value == 0.0
    assert seen["absorption", ""].n == len(LETTERS)
    chance = seen["sparse_probe_auc", "1"].baseline
    assert chance
    assert chance.value is not None
    assert chance.value < 0.7


def test_planted_absorption_is_its_share_of_unseen_words() -> None:
    """Six of twenty-four words of each letter are absorbed; which of them are unseen is the seed's choice."""
    model: Any = Spelling()
    words = letters.letter_words(model)
    unseen = [token for found in words.values() for token in found[1::2]]
    planted = [token % EACH < 6 for token in unseen]
    seen = measured(dictionary(absorbed=6))
    assert seen["absorption", ""].value == pytest.approx(np.mean(planted))
    assert seen["absorption_share", ""].value == pytest.approx(np.mean(planted))


def test_without_words_there_is_no_number_but_a_reason() -> None:
    values = letters.letter_measurements([])
    assert {m.value for m in values} == {None}
    assert all("no two letters" in (m.reason or "") for m in values)


def test_letters_that_no_probe_tells_are_unmeasured() -> None:
    rows = [
        {"letter": letter, "words": 40, "dense_auc": 0.6, "auc": {"1": 0.5, "5": 0.5}, "random_auc": {"1": 0.5, "5": 0.5},
         "absorbed": [1.0] * 5, "share": [1.0] * 5, "random_absorbed": [0.0] * 5}
        for letter in "abc"
    ]  # fmt: skip
    values = {m.name: m for m in letters.letter_measurements(rows)}
    assert values["absorption"].value is None
    assert values["absorption"].unmeasured == 3
