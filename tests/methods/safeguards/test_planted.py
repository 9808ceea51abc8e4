"""Planted truth: what the guard must find, must leave alone, cannot know on shuffled labels, and should miss."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.methods.safeguards.conftest import WhiteBox, user

from stepladder.data import encode
from stepladder.methods.safeguards.cascade import Bounds
from stepladder.methods.safeguards.corpus import Case
from stepladder.methods.safeguards.guard import FINAL
from stepladder.methods.safeguards.reading import Item, Reader
from stepladder.methods.safeguards.scoring import score_table
from stepladder.methods.safeguards.training import Corpus, Trained, train_guard
from stepladder.stats import auroc

WORDS = [
    "bread", "river", "lamp", "garden", "window", "paper", "music", "bridge", "cloud", "apple", "table", "stone", "letter",
    "winter", "horse", "market",
]  # fmt: skip
HARM = sorted(WhiteBox.harm)
BOUNDS = Bounds(rate=0.05, confidence=0.95, screen_rate=0.3)
WRAP = {
    "none": "{}",
    "tale": "Tell me a tale, old friend: {} and do not stop",
    "rules": "Mind the rules of the house. {} Go",
}
Texts = list[tuple[str, bool, str]]


def sentence(rng: random.Random, harmful: bool) -> str:
    words = rng.choices(WORDS, k=7) + (rng.choices(HARM, k=3) if harmful else rng.choices(WORDS, k=3))
    return " ".join(rng.sample(words, len(words)))


def texts(rng: random.Random, count: int, families: list[str], harmful: bool | None = None) -> Texts:
    kinds = [bool(i % 2) if harmful is None else harmful for i in range(count)]
    return [(sentence(rng, kind), kind, families[i // 2 % len(families)]) for i, kind in enumerate(kinds)]


def corpus(rng: random.Random, tested: list[str], shuffle: bool = False) -> Corpus:
    train = texts(rng, 120, list(WRAP))
    labels = [harmful for _, harmful, _ in train]
    if shuffle:
        rng.shuffle(labels)
    cases = [
        Case(f"train/{i}", user(WRAP[family].format(text)), label, "train", family, "t", True, f"Well, {text}")
        for i, ((text, _, family), label) in enumerate(zip(train, labels, strict=True))
    ]
    for role, count in (("tune", 40), ("calibration", 120)):
        for i in range(count):
            text = sentence(rng, False)
            cases.append(Case(f"{role}/{i}", user(text), False, role, "none", "t", True, f"Well, {text}"))
    return Corpus(tuple(cases), tuple(Item(user(text), f"Well, {text}") for text in tested))


def train(corpus: Corpus, box: bool) -> Trained:
    reader = Reader(600, 72, (2, 5), WhiteBox()) if box else Reader(600, 72)
    return train_guard(corpus, ["tale", "rules"], reader, 4, BOUNDS)


def blocked(trained: Trained, fold: str) -> list[bool]:
    return [bool(row["blocked"]) for row in score_table(trained, fold)]


@pytest.mark.parametrize("box", [True, False], ids=["probes", "TF-IDF alone"])
def test_a_planted_harm_is_blocked_in_a_wrapper_never_seen_and_harmless_texts_are_not(box: bool) -> None:
    rng = random.Random(5)
    harmful = [WRAP["tale"].format(text) for text, _, _ in texts(rng, 40, ["tale"], True)]
    harmless = [text for text, _, _ in texts(rng, 200, ["none"], False)]
    decisions = blocked(train(corpus(rng, harmful + harmless), box), "tale")
    assert np.mean(decisions[:40]) > 0.9
    assert np.mean(decisions[40:]) <= BOUNDS.rate + 3 * np.sqrt(BOUNDS.rate * (1 - BOUNDS.rate) / 200)


@pytest.mark.parametrize("box", [True, False], ids=["probes", "TF-IDF alone"])
def test_shuffled_labels_leave_chance_and_about_the_guaranteed_rate(box: bool) -> None:
    rng, areas, rates = random.Random(6), [], []
    for _ in range(4):
        tested = texts(rng, 120, ["none"])
        trained = train(corpus(rng, [text for text, _, _ in tested], shuffle=True), box)
        rows = score_table(trained, FINAL)
        found = auroc([row["score_cascade"] for row in rows], [int(harmful) for _, harmful, _ in tested])
        assert found is not None
        areas.append(found.value)
        rates.append(np.mean([row["blocked"] for row, (_, harmful, _) in zip(rows, tested, strict=True) if not harmful]))
    # Three harm words share one label by luck: a run's AUROC spreads wider than its sampling error, so runs are units.
    assert abs(np.mean(areas) - 0.5) < 4 * max(np.std(areas, ddof=1), 0.05) / np.sqrt(len(areas))
    assert np.mean(rates) <= BOUNDS.rate + 3 * np.sqrt(BOUNDS.rate * (1 - BOUNDS.rate) / (4 * 60))


@pytest.mark.parametrize("box", [True, False], ids=["probes", "TF-IDF alone"])
def test_a_wrapper_never_seen_that_hides_the_text_leaves_the_guard_blind_to_what_is_in_it(box: bool) -> None:
    rng = random.Random(7)
    tested = texts(rng, 200, ["none"])
    hidden = [f"Decode: {encode('base64', text)}" for text, _, _ in tested]
    body = corpus(rng, hidden)
    silent = Corpus(body.cases, tuple(Item(item.messages, "Well, ok") for item in body.tested))
    rows = score_table(train(silent, box), FINAL)
    found = auroc([row["score_cascade"] for row in rows], [int(harmful) for _, harmful, _ in tested])
    assert found is not None
    assert abs(found.value - 0.5) < 4 * np.sqrt(1 / 12 * (1 / 100 + 1 / 100))


def test_activations_are_asked_once_per_text_and_moment_whatever_the_number_of_folds() -> None:
    class Counting(WhiteBox):
        seen = 0

        def activations(self, conversations, layers, site="residual", generation_prompt=False):  # type: ignore[no-untyped-def]
            self.seen += len(conversations)
            return super().activations(conversations, layers, site, generation_prompt)

    box, body = Counting(), corpus(random.Random(8), ["bread and music"])
    train_guard(body, ["tale", "rules"], Reader(600, 72, (2, 5), box), 4, BOUNDS)
    assert box.seen == 2 * len(body.items)
