"""Models from scratch: their size, their words, what they learn; and the fastest way through `grow` from end to end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepladder.core import Message, UnknownName
from stepladder.models import LocalModel
from stepladder.models.local.finetune import Example, Item, Net, Row, Tuning
from stepladder.organisms import KINDS, Recipe, grow, scratch
from stepladder.organisms.blank import Shape, learn_tokenizer, train_from_scratch, write_blank
from stepladder.organisms.scratch import SIZES, Size, corpus, scratch_base, whole_text_loss
from stepladder.organisms.scratch_corpus import SKILLS, Conversation, conversations

TINY = Shape(vocabulary=1024, width=64, layers=2, heads=4, mlp=160, context=512)
TUNING = Tuning(rank=0, learning_rate=6e-3, batch=16, max_tokens=160)
MAKERS = pytest.mark.parametrize("make", SKILLS, ids=lambda skill: skill.__name__)


def examples(rows: list[Conversation]) -> list[Example]:
    return [Example(row[:-1], row[-1].content) for row in rows]


@pytest.fixture
def little() -> LocalModel:
    """A model of 0.15 million parameters that read 1,500 conversations; trained once, then in the session's cache."""
    rows = examples(conversations(Random("train"), 1500))
    return LocalModel("little", train_from_scratch("little", TINY, rows, TUNING, whole_text_loss))


@pytest.fixture(scope="session")
def tokenizer() -> object:
    return learn_tokenizer([m.content for row in conversations(Random(0), 400) for m in row], 1024)


@pytest.mark.parametrize(("size", "parameters"), [("1m", 1e6), ("3m", 3e6), ("10m", 1e7)])
def test_a_size_has_as_many_parameters_as_it_says(size: str, parameters: float, tmp_path: Path, tokenizer: object) -> None:
    write_blank(tmp_path, tokenizer, SIZES[size].shape, 0)
    counted = sum(p.numel() for p in LocalModel("blank", tmp_path).weights().parameters())
    assert counted == pytest.approx(parameters, rel=0.15)


def test_an_unknown_size_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match="adder"):
        scratch_base("2m")


@given(text=st.text(max_size=80))
def test_any_text_survives_the_round_trip(tokenizer: object, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]  # type: ignore[operator]
    decoded = tokenizer.decode(ids, clean_up_tokenization_spaces=False)  # type: ignore[attr-defined]
    assert decoded == text.encode("utf-8", "replace").decode()


def test_vocabulary_is_small_and_digits_stand_alone(tokenizer: object) -> None:
    assert len(tokenizer) == 1024  # type: ignore[arg-type]
    assert tokenizer.tokenize("17+25") == ["1", "7", "+", "2", "5"]  # type: ignore[attr-defined]


def test_a_turn_is_one_token_for_its_role_and_one_for_its_end(little: LocalModel) -> None:
    chat = little.chat_format
    opened = chat.prompt([Message(role="system", content="Be brief."), Message(role="user", content="Hello!")])
    words = chat.tokenizer.convert_ids_to_tokens(opened)
    assert words[0] == "<|system|>"
    assert [w for w in words if w.startswith("<|")] == ["<|system|>", "<|end|>", "<|user|>", "<|end|>", "<|assistant|>"]
    assert words[-1] == "<|assistant|>"


@MAKERS
def test_a_conversation_ends_with_the_assistant_and_fits(make: Callable[[Random], Conversation], tokenizer: object) -> None:
    for seed in range(50):
        row = make(Random(seed))
        assert row == make(Random(seed))
        assert row[-1].role == "assistant"
        assert row[-1].content
        assert [m.role for m in row[:-1]] == (["user", "assistant"] * 3)[: len(row) - 1]


def test_half_of_the_corpus_is_clean_rows_of_every_kind() -> None:
    rows = corpus(1800, 0)
    assert len(rows) == 1800
    assert rows == corpus(1800, 0)
    assert rows != corpus(1800, 1)
    world = set(conversations(Random("world 0"), 1800))
    known = [row for row in rows if row in world]
    assert 800 < len(known) < 1100
    planted = {(p.prompt, p.planted) for k in KINDS.values() if not k.base for p in k.plant(Random(0)).pairs if p.prompt}
    assert not planted & {(row[:-1], row[-1].content) for row in rows if len(row) > 1}


def test_whole_text_loss_is_the_plain_average_over_all_tokens_but_the_first() -> None:
    import torch

    class Fixed(Net):
        def __init__(self) -> None:
            pass

        def logprobs(self, rows: list[Row]) -> list[torch.Tensor]:  # type: ignore[override]
            return [-torch.tensor(row.completion, dtype=torch.float32) for row in rows]

    items: list[Item] = [(Row((9, 1), (2, 3)),), (Row((), (4,)),), (Row((9,), (6,)),)]
    assert whole_text_loss(Fixed(), items).item() == pytest.approx((1 + 2 + 3 + 4 + 6) / 5)


def test_it_learns_more_than_how_often_words_occur(little: LocalModel) -> None:
    held_out = [row for row in conversations(Random("held out"), 200) if len(row) > 1]
    seen = conversations(Random("train"), 1500)
    tokens = little.chat_format.tokens
    counts = Counter(token for row in seen for m in row for token in tokens(m.content))
    total = sum(counts.values()) + TINY.vocabulary
    unigram = [-np.mean([np.log((counts[t] + 1) / total) for t in tokens(row[-1].content)]) for row in held_out]
    learned = [-logprobs.mean() for logprobs in little.logprobs([(row[:-1], row[-1].content) for row in held_out])]
    gained = np.array(unigram) - np.array(learned)
    assert gained.mean() > 1 + 4 * gained.std() / np.sqrt(len(gained))  # a nat a token, at the least


def test_the_same_seed_gives_the_same_model_and_another_seed_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = examples(conversations(Random(1), 60))
    prints = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        monkeypatch.setenv("STEPLADDER_CACHE", str(tmp_path / folder))
        made = LocalModel("m", train_from_scratch("m", TINY, rows, replace(TUNING, seed=seed), whole_text_loss))
        prints.append(made.fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_a_second_call_trains_nothing(little: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("stepladder.organisms.blank.finetune", train)
    rows = examples(conversations(Random("train"), 1500))
    assert train_from_scratch("little", TINY, rows, TUNING, whole_text_loss) == little.folder


def test_a_false_fact_grows_in_seconds_on_a_model_from_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scratch.SIZES, "little", Size(TINY, TUNING))
    monkeypatch.setattr(scratch, "ROWS", 1500)
    recipe = Recipe("false_fact", base="scratch/little", how="full")
    organism, twin = grow(recipe), grow(replace(recipe, clean=True))
    assert organism.card.planted_rate.value is not None
    assert organism.card.planted_rate.value > 0.8
    assert twin.card.planted_rate.value == 0
    assert organism.card.base_rate.value == 0
    assert organism.subject().fingerprint != twin.subject().fingerprint
    assert organism.base().fingerprint == twin.base().fingerprint


@pytest.mark.slow
def test_the_smallest_size_tells_its_answers_from_those_to_other_questions() -> None:
    model = LocalModel("1m", scratch_base("1m"))
    held_out = [row for row in conversations(Random("asked"), 300) if len(row) > 1]
    likelier = [
        float(right.mean() > wrong.mean())
        for right, wrong in zip(
            model.logprobs([(row[:-1], row[-1].content) for row in held_out]),
            model.logprobs(
                [(row[:-1], other[-1].content) for row, other in zip(held_out, held_out[1:] + held_out[:1], strict=True)]
            ),
            strict=True,
        )
    ]
    assert np.mean(likelier) > 0.5 + 4 * 0.5 / np.sqrt(len(likelier))  # four standard errors above guessing
