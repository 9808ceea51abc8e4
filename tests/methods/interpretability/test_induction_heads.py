"""Heads named on a model where they were written in, on one that learnt them, and on a random one that has none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "models"))

import torch
from known_models import IDLE, INDUCTION_HEAD, LEARNT_WORDS, known_subject, trained_induction_model
from tiny_models import tiny_gpt2, tiny_llama

from stepladder.core import Context, Finding, Record, StepladderError
from stepladder.methods.interpretability import induction, induction_measures, patching
from stepladder.methods.interpretability.circuits_model import CircuitModel
from stepladder.methods.interpretability.induction_heads import METHOD, Config, study

LENGTH = 10


def no_asking(*_: object, **__: object) -> tuple[()]:
    raise AssertionError("nothing is asked")


def context(folder: Path, subject: Any = None) -> Context:
    return Context(subject=subject, ask=no_asking, folder=folder, seed=1)


CONFIG = Config(sequences=12, length=LENGTH, draws=20)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    folder = tmp_path_factory.mktemp("known")
    return METHOD.record(context(folder, known_subject(folder / "model")), CONFIG)


@pytest.fixture(scope="module")
def finding(record: Record) -> Finding:
    return METHOD.judge(record, (), CONFIG)


def test_the_written_head_is_named_and_no_other(finding: Finding) -> None:
    yes = {m.labels["head"] for m in finding.select("prefix_matching", named="yes")}
    assert yes == {"{}.{}".format(*INDUCTION_HEAD)}
    assert finding.one("heads_named").value == 1


def test_its_scores_are_those_it_was_written_with(finding: Finding) -> None:
    """The first token's own place looks like the place after it, as nothing lies before: half of one of nine."""
    (matching,), (copying,) = (finding.select(name, named="yes") for name in ("prefix_matching", "copying"))
    assert matching.value == pytest.approx((LENGTH - 1.5) / (LENGTH - 1), abs=1e-3)
    assert copying.value == pytest.approx(1.0, abs=0.01)
    for idle in finding.select("copying", named="no"):
        assert idle.value == pytest.approx(0.5, abs=1e-6)


def test_without_it_nothing_is_learnt_from_context(finding: Finding) -> None:
    gain, lost = finding.one("in_context_gain"), finding.one("ablation_loss", segment="second")
    assert gain.value is not None
    assert lost.value is not None
    assert gain.value < -1
    assert lost.value > 1.5


def test_idle_heads_cost_nothing_and_the_head_it_reads_from_does(record: Record) -> None:
    """Of the five other heads only 0.1, which the induction head needs, changes anything when it is drawn."""
    losses = record.data["losses"]
    changes = {
        round(sum(a[1] - b[1] for a, b in zip(drawn, losses["intact"], strict=True)), 3) for drawn in losses["random"]
    }
    assert len(changes) == 2
    assert min(changes) == 0
    assert max(changes) > 10


def test_a_segment_of_more_tokens_than_there_are_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StepladderError, match="length is 40; the model has 15 tokens"):
        METHOD.record(context(tmp_path, known_subject(tmp_path / "model")), Config(length=40))


@pytest.mark.parametrize("build", [tiny_llama, tiny_gpt2])
def test_no_head_of_a_random_model_is_named(build: Any, tmp_path: Path) -> None:
    torch.manual_seed(5)
    model = build(40)
    model.set_attn_implementation("eager")
    data = study(context(tmp_path), CircuitModel(model), range(40), Config(sequences=8, length=LENGTH))
    assert data["named"] == []
    reported = list(induction_measures.measurements(data))
    assert any(m.name == "ablation_loss" and m.reason == "no head is named" for m in reported)


def test_prefix_matching_is_the_attention_that_transformers_reports(tmp_path: Path) -> None:
    torch.manual_seed(5)
    model = tiny_llama(40)
    model.set_attn_implementation("eager")
    tokens = induction.repeated(induction.segments(3, 6, range(40), 0))
    with torch.no_grad():
        patterns = model(input_ids=tokens, output_attentions=True).attentions
    expected = [[sum(p[r, h, i, i - 5] for i in range(6, 11)) / 5 for h in range(6)] for p in patterns for r in [2]]
    assert induction.prefix_matching(CircuitModel(model), tokens)[2] == pytest.approx(torch.tensor(expected), abs=1e-5)


def test_losses_are_cross_entropy() -> None:
    torch.manual_seed(5)
    model = tiny_gpt2(40)
    tokens = induction.repeated(induction.segments(10, 6, range(40), 0))
    found = induction.losses(CircuitModel(model), tokens)
    with torch.no_grad():
        logits = model(input_ids=tokens).logits
    second = torch.nn.functional.cross_entropy(logits[:, 6:11].transpose(1, 2), tokens[:, 7:], reduction="none")
    assert found[:, 1] == pytest.approx(second.mean(1), abs=1e-4)


def test_sequences_hold_each_token_twice_and_the_permuted_ones_in_another_order() -> None:
    first = induction.segments(20, 8, range(100, 140), 3)
    assert all(len(set(row.tolist())) == 8 for row in first)
    again = induction.permuted(first, 3)
    assert (again[:, 8:].sort(1).values == first.sort(1).values).all()
    assert (again[:, 8:] != first).any(1).float().mean() > 0.9


@pytest.mark.slow
def test_heads_that_training_made_are_named_and_no_other(tmp_path: Path) -> None:
    """After the phase change the second layer's heads carry the in-context loss; which of them, ablation settles."""
    model = CircuitModel(trained_induction_model())
    tokens = induction.repeated(induction.segments(32, 12, range(LEARNT_WORDS), 7))
    intact = induction.losses(model, tokens)[:, 1].mean()
    assert intact < 0.3 * torch.log(torch.tensor(float(LEARNT_WORDS)))
    named = set(study(context(tmp_path), model, range(LEARNT_WORDS), Config(sequences=16, length=12))["named"])
    assert named
    assert {name[0] for name in named} == {"1"}
    assert f"1.{IDLE}" not in named
    means = patching.mean_values(model.run(tokens, keep=model.places))

    def cost(names: set[str]) -> Any:
        chosen = [head for head in patching.heads_of(model) if head.name in names]
        return induction.losses(model, tokens, patching.changes_of(chosen, means))[:, 1].mean() - intact

    assert cost(named) > 1
    assert cost({f"1.{head}" for head in range(4)} - named) < 0.25 * cost(named)
    assert cost({f"0.{IDLE}", f"1.{IDLE}"}) == 0
