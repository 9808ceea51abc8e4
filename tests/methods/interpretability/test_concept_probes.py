"""The technique from planted activations to its finding: what is planted is found, what is shuffled is not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stepladder.core import Finding, StepladderError

pytest.importorskip("torch")

from stepladder.methods.interpretability import probe_reading, probe_sweep
from stepladder.methods.interpretability.concept_data import (
    Statement,
    control_labels,
    shipped_parts,
    shipped_statements,
)
from stepladder.methods.interpretability.concept_probes import METHOD, SHARES, Config
from stepladder.methods.interpretability.probe_reading import last_tokens, spread_layers
from stepladder.models.local.model import LocalModel
from stepladder.store.files import load_metadata, load_tensors

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from tiny_subject import context, tiny_subject

WIDTH = 48
SMALL = Config(per_topic=12, layers=2)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return tiny_subject(tmp_path_factory.mktemp("tiny"), [s.text for s in shipped_statements(40)])


@pytest.fixture(scope="module")
def planted(subject: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Finding]:
    """`planted(strength, negated=...)` measures a model whose last layer holds the truth along one direction.

    `negated` is what the direction says in negated statements: 1 their truth, -1 that of the affirmed clause.
    """

    @cache
    def run(strength: float, negated: float = 1.0) -> Finding:
        def read(model: Any, texts: list[str], layers: Any, task: Any) -> np.ndarray:
            known = {s.text: s for part in shipped_parts(SMALL.per_topic, 0, SHARES) for s in part}
            rng = np.random.default_rng(1)
            direction, negation = rng.normal(size=(2, WIDTH))
            x = rng.normal(size=(len(texts), 2, WIDTH)).astype(np.float32)
            for row, text in enumerate(texts):
                if text in known:
                    sign = (1 if known[text].label else -1) * (negated if known[text].form == "negated" else 1)
                    x[row, 1] += strength * sign * direction + (known[text].form == "negated") * negation
            return x

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(probe_reading, "last_tokens", read)
            made = METHOD.record(context(subject, tmp_path_factory.mktemp("planted")), SMALL)
        return METHOD.judge(made, (), SMALL)

    return run


def test_planted_truth_is_found_at_its_layer_by_every_probe_and_passes_to_other_topics(
    planted: Callable[..., Finding],
) -> None:
    finding = planted(1.0)
    for probe in ("logistic", "whitened_mass_mean", "mass_mean", "ccs"):
        seen = finding.one("probe_auroc", probe=probe, layer="3", test="held-out facts")
        assert seen.value is not None
        assert seen.value > 0.99
    for probe in ("logistic", "mass_mean"):
        other = finding.one("probe_auroc", probe=probe, layer="3", test="other topics")
        assert other.value is not None
        assert other.value > 0.99
        cities = finding.one("transfer_auroc", probe=probe, trained_on="animals", tested_on="cities")
        assert cities.value is not None
        assert cities.value > 0.9
    assert finding.one("held_out_accuracy", probe="logistic", layer="3").value > 0.95  # type: ignore[operator]


def test_nothing_is_found_where_nothing_is_planted(planted: Callable[..., Finding]) -> None:
    for m in planted(0.0).select("probe_auroc", test="held-out facts"):
        assert m.interval is not None
        assert m.interval.low - 0.03 < 0.5 < m.interval.high + 0.03, m.labels


def test_shuffled_labels_words_and_random_directions_are_at_chance(planted: Callable[..., Finding]) -> None:
    finding = planted(1.0)
    shuffled = finding.one("probe_auroc", probe="shuffled_labels", layer="3", test="held-out facts")
    assert shuffled.interval is not None
    assert shuffled.interval.low - 0.05 < 0.5 < shuffled.interval.high + 0.05
    words = finding.one("probe_auroc", probe="logistic", layer="3", test="held-out facts").baseline
    assert words is not None
    assert words.value is not None
    assert abs(words.value - 0.5) < 0.15
    elsewhere = finding.one("probe_auroc", probe="logistic", layer="1", test="held-out facts")
    assert elsewhere.value is not None
    assert abs(elsewhere.value - 0.5) < 0.15


def test_a_truth_that_turns_round_under_negation_is_seen_to(planted: Callable[..., Finding]) -> None:
    finding = planted(1.0, negated=-1.0)
    assert finding.one("probe_auroc", probe="mass_mean", layer="3", test="negations").value < 0.05  # type: ignore[operator]


def test_nothing_is_left_behind_leace(planted: Callable[..., Finding]) -> None:
    finding = planted(1.0)
    same = finding.one("erased_auroc", layer="3", learned_from="same rows")
    fresh = finding.one("erased_auroc", layer="3", learned_from="fresh rows")
    assert same.baseline is not None
    assert same.baseline.value is not None
    assert same.baseline.value > 0.99
    assert same.value is not None
    assert abs(same.value - 0.5) < 0.2
    assert fresh.value is not None
    assert fresh.value < 0.8  # the means are 14 standard deviations apart: what 48 facts determine leaves some of it


def test_the_unit_is_the_fact(planted: Callable[..., Finding]) -> None:
    seen = planted(1.0).one("probe_auroc", probe="logistic", layer="3", test="held-out facts")
    assert 8 * 3 <= seen.n <= 8 * 4  # three tenths of 12 facts of each of eight topics


def test_a_memorising_probe_is_not_selective_and_a_probe_of_the_concept_is() -> None:
    """Hewitt and Liang's point: rows that name their kind let a probe pass the control task."""
    rng = np.random.default_rng(0)
    statements = [
        Statement(f"{kind} {i}", i % 2 == 0, "made", f"{kind}/{i // 2}", kind=str(kind))
        for kind in range(30)
        for i in range(8)
    ]
    truth = np.array([s.label for s in statements])
    coins = np.array(control_labels(statements, 0))
    train = np.array([int(s.unit.split("/")[1]) < 2 for s in statements])
    sets = [probe_sweep.TrainingSet("all", train, truth), probe_sweep.TrainingSet("control", train, coins)]

    def accuracies(x: np.ndarray) -> tuple[float, float]:
        probes = probe_sweep.logistic_probes(x.astype(np.float32), sets, 1.0)
        right = [((p.score(x) > 0) == given.labels)[~train].mean() for p, given in zip(probes, sets, strict=True)]
        return right[0], right[1]

    kinds = 3 * np.eye(30)[[int(s.kind) for s in statements]]
    concept = np.where(truth, 1.0, -1.0)[:, None] * rng.normal(size=30) + rng.normal(size=(len(truth), 30))
    real, control = accuracies(kinds + 0.1 * rng.normal(size=kinds.shape))
    assert control > 0.95 > 0.65 > real
    real, control = accuracies(concept)
    assert real > 0.95 > 0.7 > control


def test_last_tokens_are_the_models_own_whatever_the_batch(subject: LocalModel) -> None:
    import torch

    texts = [s.text for s in shipped_statements(10)][::37]
    found = last_tokens(subject, texts, [1, 3])
    alone = np.concatenate([last_tokens(subject, [text], [1, 3]) for text in texts])
    assert np.allclose(found, alone, atol=1e-4)
    model = subject.weights()
    ids = torch.tensor([subject.chat_format.tokens(texts[0])])
    with torch.inference_mode():
        hidden = model(ids, output_hidden_states=True).hidden_states
    assert np.allclose(found[0, 0], hidden[2][0, -1].numpy(), atol=1e-4)


def test_layers_are_spread_and_end_at_the_last() -> None:
    assert spread_layers(30, 10) == (2, 5, 8, 11, 14, 17, 20, 23, 26, 29)
    assert spread_layers(4, 10) == (0, 1, 2, 3)
    assert spread_layers(5, 1) == (4,)


def test_a_file_of_statements_becomes_a_topic_and_its_probes_are_kept(subject: LocalModel, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    rows = [f"the word {a} has as many letters as {b},{int(len(a) == len(b))}" for a in WORDS for b in WORDS if a != b]
    file.write_text("statement,label\n" + "\n".join(rows))
    config = Config(per_topic=10, layers=2, statements=str(file))
    record = METHOD.record(context(subject, tmp_path), config)
    finding = METHOD.judge(record, (), config)
    assert finding.one("transfer_auroc", probe="logistic", trained_on="cities", tested_on="mine").value is not None
    kept = tmp_path / record.artifacts["probes"]
    assert load_tensors(kept)["logistic.weights"].shape == (WIDTH,)
    assert load_metadata(kept)["layer"] == str(record.data["layer"])


WORDS = ("the", "of", "and", "city", "gold", "opposite", "France", "dog")


@pytest.mark.parametrize("bad", [{"per_topic": 5}, {"layers": 0}, {"strength": 0.0}])
def test_what_cannot_be_measured_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(StepladderError, match="concept_probes"):
        Config(**bad)
