"""Steering a planted direction moves the logits as the linear algebra says, and a random one does not."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stepladder.core import Finding, Message, Record, UnknownName

pytest.importorskip("torch")

from stepladder.data import load_behaviours, load_ordinary
from stepladder.methods.interpretability import concept_steering
from stepladder.methods.interpretability.concept_data import shipped_statements
from stepladder.methods.interpretability.concept_steering import METHOD, Config
from stepladder.methods.interpretability.probe_fits import cosine
from stepladder.methods.interpretability.steering_concepts import CONCEPTS, Concept, Item
from stepladder.methods.interpretability.steering_measures import repetition
from stepladder.models.local.model import LocalModel

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from tiny_subject import context, tiny_subject

SMALL = Config(concepts=("truth",), strengths=(-2.0, -1.0, 1.0, 2.0), items=32, fluency_prompts=3, max_tokens=6, depth=0.99)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    texts = [s.text for s in shipped_statements(40)] + [o.text for o in load_ordinary()]
    return tiny_subject(
        tmp_path_factory.mktemp("tiny"), [*texts, "Is this statement true or false? True False I can't Sure"]
    )


@pytest.fixture(scope="module")
def made(subject: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Finding]:
    record = METHOD.record(context(subject, tmp_path_factory.mktemp("steering")), SMALL)
    return record, METHOD.judge(record, (), SMALL)


def test_shift_at_the_last_layer_is_what_norm_and_head_say(
    subject: LocalModel, made: tuple[Record, Finding], tmp_path: Path
) -> None:
    """Only the final norm and the head follow: log-odds = w'norm(h + s v) for w = head[True] - head[False]."""
    import torch

    steering = concept_steering._Steering(context(subject, tmp_path), SMALL, CONCEPTS["truth"](SMALL.items, 0), [])
    assert steering.layer == subject.layers - 1
    model, chat = subject.weights(), subject.chat_format
    toward, away = (chat.tokens(text)[0] for text in ("True", "False"))
    runs = {run["strength"]: run for run in made[0].data["concepts"]["truth"]["runs"] if run["direction"] == "concept"}
    for row in (0, 5):
        prompt = chat.prompt((Message(role="user", content=steering.held[row].prompt),))
        with torch.inference_mode():
            caught = _before_the_norm(model, prompt)
            for strength, run in runs.items():
                moved = caught + strength * torch.tensor(steering.direction, dtype=torch.float32)
                logits = model.lm_head(model.model.norm(moved))
                assert abs(float(logits[toward] - logits[away]) - run["log_odds"][row]) < 1e-3


def _before_the_norm(model: Any, prompt: list[int]) -> Any:
    """What the last layer leaves at the last token, (width)."""
    import torch

    caught: list[Any] = []
    hook = model.model.norm.register_forward_pre_hook(lambda _, given: caught.append(given[0][0, -1]))
    model(torch.tensor([prompt]))
    hook.remove()
    return caught[0]


def test_a_planted_direction_is_recovered_and_moves_more_than_random_ones(subject: LocalModel, tmp_path: Path) -> None:
    """The head's own direction for True against False, added where it is read, shifts the log-odds by its square."""
    head = subject.weights().lm_head.weight.detach().numpy()
    chat = subject.chat_format
    planted = head[chat.tokens("True")[0]] - head[chat.tokens("False")[0]]
    steering = concept_steering._Steering(context(subject, tmp_path), SMALL, CONCEPTS["truth"](SMALL.items, 0), [])
    steering.direction = planted / np.linalg.norm(planted)
    finding = METHOD.judge(_record(steering.data(), subject, tmp_path), (), SMALL)
    excess = finding.one("excess_shift_per_strength", concept="truth")
    assert excess.interval is not None
    assert excess.interval.low > 0
    own = finding.one("shift_per_strength", direction="concept")
    random = finding.one("shift_per_strength", direction="random")
    assert own.value is not None
    assert random.value is not None
    assert own.value > 4 * abs(random.value)


def _record(data: dict[str, Any], subject: LocalModel, folder: Path) -> Record:
    from stepladder.core.recording import new_record

    return new_record(METHOD, context(subject, folder), SMALL, data={"concepts": {"truth": data}})


def test_a_direction_planted_in_the_stream_is_found_at_cosine_99(
    monkeypatch: pytest.MonkeyPatch, subject: LocalModel
) -> None:
    rng = np.random.default_rng(0)
    direction = rng.normal(size=subject.width)
    items = [Item(f"{i}", i % 2 == 0, str(i // 2)) for i in range(400)]

    def activations(conversations: Any, layers: Any, generation_prompt: bool) -> list[np.ndarray]:
        assert generation_prompt
        labels = [int(messages[0].content) % 2 == 0 for messages in conversations]
        return [rng.normal(size=(5, 1, subject.width)) + (3 if label else -3) * direction for label in labels]

    monkeypatch.setattr(subject, "activations", activations, raising=False)
    found, _ = concept_steering.concept_direction(subject, items, 0)
    assert cosine(found, direction) > 0.99


def test_no_strength_is_no_change_and_pairs_stay_together(made: tuple[Record, Finding]) -> None:
    data = made[0].data["concepts"]["truth"]
    assert data["runs"][0]["strength"] == 0
    units = [item["unit"] for item in data["items"]]
    assert len(units) == 2 * len(set(units))
    assert made[1].one("concept_shift", strength="1", direction="concept").n == len(set(units))


def test_opposite_strengths_of_a_short_step_shift_oppositely(subject: LocalModel, tmp_path: Path) -> None:
    config = replace(SMALL, strengths=(-0.01, 0.01), random_directions=1)
    finding = METHOD.judge(METHOD.record(context(subject, tmp_path), config), (), config)
    up, down = (finding.one("concept_shift", strength=s, direction="concept").value for s in ("0.01", "-0.01"))
    assert up is not None
    assert down is not None
    assert abs(up + down) < 0.2 * abs(up - down)


def test_fluency_costs_nothing_unsteered_and_something_under_a_large_push(made: tuple[Record, Finding]) -> None:
    costs = made[1].select("fluency_cost", direction="random")
    assert {m.n for m in costs} == {SMALL.fluency_prompts}
    assert all(m.baseline is None for m in costs)
    assert all(m.baseline is not None for m in made[1].select("fluency_cost", direction="concept"))


@pytest.mark.parametrize(
    ("text", "share"), [("a b c d e", 0.0), ("no no no no no", 2 / 3), ("a b c a b c", 1 / 4), ("too short", None)]
)
def test_repetition_is_the_share_of_trigrams_seen_before(text: str, share: float | None) -> None:
    assert repetition(text) == (None if share is None else pytest.approx(share))


def test_concepts_are_balanced_pairs() -> None:
    for name in CONCEPTS:
        concept: Concept = CONCEPTS[name](64, 0)
        labels: dict[str, set[bool]] = {}
        for item in concept.items:
            labels.setdefault(item.unit, set()).add(item.label)
        assert set(map(frozenset, labels.values())) == {frozenset({True, False})}
        assert 48 <= len(concept.items) <= 64
    assert len([b for b in load_behaviours() if b.twin]) >= 32


def test_an_unknown_concept_is_one_clear_line() -> None:
    with pytest.raises(UnknownName, match="allowed: truth, refusal"):
        Config(concepts=("charm",))
