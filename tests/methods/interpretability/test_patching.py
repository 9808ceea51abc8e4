"""Patching against circuits written by hand, brute force, autograd and linearity."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "models"))

import torch
from known_models import INDUCTION_HEAD, PREVIOUS_TOKEN_HEAD, LinearModel, induction_model
from tiny_models import tiny_gpt2, tiny_llama, tiny_qwen2

from stepladder.methods.interpretability import patching
from stepladder.methods.interpretability.circuits_model import CircuitModel, Place
from stepladder.methods.interpretability.patching import Part, Prompts

PREVIOUS = Part(PREVIOUS_TOKEN_HEAD[0], "heads", PREVIOUS_TOKEN_HEAD[1])
INDUCTION = Part(INDUCTION_HEAD[0], "heads", INDUCTION_HEAD[1])


@pytest.fixture(scope="module")
def planted() -> CircuitModel:
    return CircuitModel(induction_model())


def pairs_of_bigrams() -> tuple[Prompts, Any]:
    """`... A B .. D C .. A` is followed by B; with A and D exchanged, by C."""
    clean = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 1], [9, 7, 8, 0, 11, 3, 2, 7], [5, 14, 1, 0, 6, 10, 9, 14]])
    corrupted = clean.clone()
    corrupted[:, 1], corrupted[:, 4] = clean[:, 4], clean[:, 1]
    return Prompts(corrupted, answers=clean[:, 2], foils=clean[:, 5]), clean


@pytest.fixture(params=[tiny_llama, tiny_gpt2, tiny_qwen2])
def random_model(request: pytest.FixtureRequest) -> CircuitModel:
    torch.manual_seed(3)
    return CircuitModel(request.param(40))


def random_prompts(seed: int = 0) -> tuple[Prompts, Any]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, 40, (2, 3, 7), generator=generator)
    return Prompts(tokens[0], torch.tensor([1, 2, 3]), torch.tensor([4, 5, 6])), tokens[1]


def test_only_the_planted_heads_restore_the_answer(planted: CircuitModel) -> None:
    prompts, clean = pairs_of_bigrams()
    base, wanted = patching.read(planted, prompts.tokens), patching.read(planted, clean)
    gap = prompts.difference(planted.last(wanted.hidden)) - prompts.difference(planted.last(base.hidden))
    parts = [*patching.heads_of(planted), *patching.mlps_of(planted)]
    effects = patching.patch_each(planted, prompts, base, parts, wanted.kept) / gap
    for part, effect in zip(parts, effects, strict=True):
        assert effect == pytest.approx(float(part in (PREVIOUS, INDUCTION)), abs=1e-4), part.name


def test_the_planted_path_carries_all_and_no_other_anything(planted: CircuitModel) -> None:
    prompts, clean = pairs_of_bigrams()
    base, wanted = patching.read(planted, prompts.tokens), patching.read(planted, clean)
    gap = prompts.difference(planted.last(wanted.hidden)) - prompts.difference(planted.last(base.hidden))
    receivers = [None, *patching.heads_of(planted)]
    for agree in (0, 1):  # in these prompts the first token is the same in both
        shares = patching.path_effects(planted, prompts, base, PREVIOUS, receivers, wanted.kept, agree) / gap
        for receiver, share in zip(receivers, shares, strict=True):
            assert share == pytest.approx(float(receiver == INDUCTION), abs=1e-4), receiver
    direct = patching.path_effects(planted, prompts, base, INDUCTION, [None], wanted.kept)[0]
    assert direct / gap == pytest.approx(1.0, abs=1e-4)


def test_ablating_an_unused_head_changes_nothing_and_a_used_one_takes_the_answer(planted: CircuitModel) -> None:
    prompts, _ = pairs_of_bigrams()
    base = patching.read(planted, prompts.tokens)
    for values in (patching.zero_values(base), patching.mean_values(base)):
        for head in patching.heads_of(planted):
            lost = patching.patch_each(planted, prompts, base, [head], values)[0].abs()
            assert (lost > 1).all() if head in (PREVIOUS, INDUCTION) else (lost == 0).all(), head.name


def test_where_the_answer_lies_moves_from_the_pair_to_the_last_token(planted: CircuitModel) -> None:
    prompts, clean = pairs_of_bigrams()
    base, wanted = patching.read(planted, prompts.tokens), patching.read(planted, clean)
    gap = prompts.difference(planted.last(wanted.hidden)) - prompts.difference(planted.last(base.hidden))

    def share(layer: int, token: int) -> Any:
        part = Part(layer, "residual", token)
        return (patching.patch_each(planted, prompts, base, [part], wanted.kept)[0] / gap).mean()

    assert share(-1, 7) == pytest.approx(0, abs=1e-4)
    assert share(0, 2) + share(0, 5) > 0.9  # after layer 0, the tokens that followed A and D know it
    assert share(1, 7) == pytest.approx(1, abs=1e-4)


def test_patching_equals_a_run_with_the_value_written_in_by_hand(random_model: CircuitModel) -> None:
    prompts, other = random_prompts()
    base, wanted = patching.read(random_model, prompts.tokens), patching.read(random_model, other)
    head, width = Part(1, "heads", 2), wanted.kept[Place(1, "heads")].shape[-1]

    def write(module: Any, inputs: Any) -> Any:
        value = inputs[0].clone()
        value[..., 2 * width : 3 * width] = wanted.kept[Place(1, "heads")][:, :, 2]
        return (value, *inputs[1:])

    def difference() -> Any:
        with torch.no_grad():
            logits = random_model.model(input_ids=prompts.tokens).logits[:, -1]
        rows = torch.arange(3)
        return logits[rows, prompts.answers] - logits[rows, prompts.foils]

    plain = difference()
    handle = random_model.projections[1].register_forward_pre_hook(write)
    expected = difference() - plain
    handle.remove()
    assert patching.patch_each(random_model, prompts, base, [head], wanted.kept)[0] == pytest.approx(expected, abs=1e-5)


def test_batching_parts_and_beginning_late_change_nothing(random_model: CircuitModel, monkeypatch: Any) -> None:
    prompts, other = random_prompts()
    base, wanted = patching.read(random_model, prompts.tokens), patching.read(random_model, other)
    streams = [Part(layer, "residual", 4) for layer in (-1, 0, 2)]
    parts = [*patching.heads_of(random_model), *patching.mlps_of(random_model), *streams]
    at_once = patching.patch_each(random_model, prompts, base, parts, wanted.kept)
    monkeypatch.setattr(patching, "ROWS", 1)
    assert patching.patch_each(random_model, prompts, base, parts, wanted.kept) == pytest.approx(at_once, abs=1e-5)
    whole = [patching.patch_together(random_model, prompts, base, [part], wanted.kept) for part in parts]
    assert torch.stack(whole) == pytest.approx(at_once, abs=1e-5)


def test_tokens_that_agree_need_not_be_run_again(random_model: CircuitModel) -> None:
    prompts, other = random_prompts()
    other[:, :4] = prompts.tokens[:, :4]
    base, wanted = patching.read(random_model, prompts.tokens), patching.read(random_model, other)
    streams = [Part(layer, "residual", 5) for layer in (-1, 0, 2)]
    parts = [*patching.heads_of(random_model), *patching.mlps_of(random_model), *streams]
    whole = patching.patch_each(random_model, prompts, base, parts, wanted.kept)
    found = patching.patch_each(random_model, prompts, base, parts, wanted.kept, agree=4)
    assert whole.abs().max() > 0.1
    assert found == pytest.approx(whole, abs=1e-4)


def test_patching_everything_gives_the_other_run(random_model: CircuitModel) -> None:
    prompts, other = random_prompts()
    base, wanted = patching.read(random_model, prompts.tokens), patching.read(random_model, other)
    streams = [Part(-1, "residual", token) for token in range(7)]
    moved = patching.patch_together(random_model, prompts, base, streams, wanted.kept)
    expected = prompts.difference(random_model.last(wanted.hidden)) - prompts.difference(random_model.last(base.hidden))
    assert moved == pytest.approx(expected, abs=1e-5)


def test_attribution_is_exact_where_the_model_is_linear() -> None:
    model = CircuitModel(LinearModel())
    prompts, other = random_prompts()
    prompts, other = Prompts(prompts.tokens % 11, prompts.answers, prompts.foils), other % 11
    base, wanted = patching.read(model, prompts.tokens), patching.read(model, other)
    parts = [*patching.heads_of(model), *patching.mlps_of(model), Part(1, "residual", 3)]
    exact = patching.patch_each(model, prompts, base, parts, wanted.kept)
    assert exact.abs().min() > 1e-4
    assert patching.attribute(model, prompts, parts, wanted.kept) == pytest.approx(exact, rel=1e-3, abs=1e-6)


def test_attribution_is_the_slope_of_patching(random_model: CircuitModel) -> None:
    """A thousandth of the way to the other value moves the logits by a thousandth of the attribution."""
    prompts, other = random_prompts()
    base, wanted = patching.read(random_model, prompts.tokens), patching.read(random_model, other)
    parts = [*patching.heads_of(random_model), *patching.mlps_of(random_model)]
    near = {place: value + 1e-3 * (wanted.kept[place] - value) for place, value in base.kept.items()}
    small = patching.patch_each(random_model, prompts, base, parts, near) / 1e-3
    estimated = patching.attribute(random_model, prompts, parts, wanted.kept)
    assert estimated.numpy() == pytest.approx(small.numpy(), rel=2e-2, abs=0.1)


def test_attribution_misses_what_goes_through_a_saturated_softmax(planted: CircuitModel) -> None:
    """The written induction head looks nowhere else: its own effect is estimated well, that of the head it reads is not."""
    prompts, clean = pairs_of_bigrams()
    base, wanted = patching.read(planted, prompts.tokens), patching.read(planted, clean)
    exact = patching.patch_each(planted, prompts, base, [PREVIOUS, INDUCTION], wanted.kept).mean(1)
    quick = patching.attribute(planted, prompts, [PREVIOUS, INDUCTION], wanted.kept).mean(1)
    assert quick[1].item() == pytest.approx(exact[1].item(), rel=0.05)
    assert quick[0] < 0 < exact[0]


def test_direct_paths_are_those_of_a_linear_model() -> None:
    """In a linear model the direct path to the logits is the contribution times the unembedding."""
    model = CircuitModel(LinearModel())
    prompts, other = random_prompts()
    prompts, other = Prompts(prompts.tokens % 11, prompts.answers, prompts.foils), other % 11
    base, wanted = patching.read(model, prompts.tokens), patching.read(model, other)
    sender = Part(0, "heads", 1)
    place = sender.place
    moved = sender.pick(wanted.kept[place] - base.kept[place])[:, -1]
    weights = model.projections[0].weight[:, 4:8]
    unembedded = moved @ weights.T @ model.model.head.weight.T
    expected = prompts.difference(unembedded)
    found = patching.path_effects(model, prompts, base, sender, [None], wanted.kept)[0]
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_an_unknown_architecture_is_a_clear_error() -> None:
    from stepladder.core.errors import ModelUnavailable

    with pytest.raises(ModelUnavailable, match="where the layers of a Linear lie"):
        CircuitModel(torch.nn.Linear(2, 2))
