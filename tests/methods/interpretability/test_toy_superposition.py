"""Toy models of superposition against closed forms, autograd, and the geometry that was published."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest

from stepladder.core import Context, Finding, StepladderError
from stepladder.methods.interpretability import toy_measures
from stepladder.methods.interpretability.toy_superposition import METHOD, Config
from stepladder.models import open_model

torch = pytest.importorskip("torch")
from stepladder.methods.interpretability.toy_models import (  # noqa: E402
    Setting,
    dimensionality,
    gradients,
    interference,
    sample,
    train_toys,
)


def regular(sides: int, step: int = 1) -> torch.Tensor:
    """Corners of a regular polygon."""
    angles = [2 * math.pi * step * i / sides for i in range(sides)]
    return torch.tensor([[math.cos(a), math.sin(a)] for a in angles])


def test_dimensionalities_of_known_polytopes() -> None:
    pair, apart = torch.tensor([[1.0], [-1.0]]), torch.eye(3)
    cube = torch.tensor(list(itertools.product((1.0, -1.0), repeat=3)))
    tetrahedron = cube[cube.prod(1) > 0]
    assert dimensionality(apart).tolist() == [1.0, 1.0, 1.0]
    assert dimensionality(pair).tolist() == [0.5, 0.5]
    assert dimensionality(tetrahedron).tolist() == pytest.approx([0.75] * 4)
    assert dimensionality(regular(3)).tolist() == pytest.approx([2 / 3] * 3)
    assert dimensionality(regular(5)).tolist() == pytest.approx([0.4] * 5)
    assert interference(regular(4)).tolist() == pytest.approx([1.0] * 4)  # the corner opposite
    assert interference(apart).tolist() == [0.0] * 3


def test_gradients_are_those_of_autograd() -> None:
    generator = torch.Generator().manual_seed(0)
    W, b = torch.randn(4, 6, 3, generator=generator), 0.3 * torch.randn(4, 1, 6, generator=generator)
    x, importance = torch.rand(4, 10, 6, generator=generator), torch.rand(4, 1, 6, generator=generator)
    linear = torch.tensor([True, False, False, True])[:, None, None]
    W.requires_grad_(), b.requires_grad_()
    z = x @ W @ W.transpose(1, 2) + b
    loss = (importance * (torch.where(linear, z, z.relu()) - x).square()).sum() / 10
    expected = torch.autograd.grad(loss, (W, b))
    for ours, theirs in zip(gradients(W.detach(), b.detach(), x, importance, linear), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_features_are_sparse_and_uniform() -> None:
    x = sample(torch.tensor([0.1, 1.0]), 20000, 1, 2, torch.Generator().manual_seed(1))[:, 0]
    share = (x > 0).float().mean((1, 2))
    assert share[0] == pytest.approx(0.1, abs=4 * (0.1 * 0.9 / 40000) ** 0.5)
    assert x[1].mean() == pytest.approx(0.5, abs=4 * (1 / 12 / 40000) ** 0.5)


def test_the_linear_model_is_principal_components_of_the_most_important_features() -> None:
    """Without ReLU the optimum projects on the features of largest importance times variance."""
    importance = (1.0, 0.8, 0.6, 0.1, 0.05)
    toys = train_toys([Setting(importance, 0.5, 3, relu=False)], units=3, restarts=1, steps=1500, seed=0)
    for W in toys.W[0]:
        torch.testing.assert_close(W @ W.t(), torch.diag(torch.tensor([1.0, 1, 1, 0, 0])), atol=0.05, rtol=0)
    # What it gives back of the others is their mean, so their variance is lost: p/3 - p^2/4.
    lost = 0.15 * (0.5 / 3 - 0.25 / 4)
    assert toys.loss.mean() == pytest.approx(lost, rel=0.05)


def test_two_features_in_one_dimension_by_the_closed_form() -> None:
    """Expected losses by sampling, and what is trained on either side of the boundary."""
    x = sample(torch.tensor([0.4]), 400_000, 1, 2, torch.Generator().manual_seed(2))[0, 0]
    first = 0.3 * (x[:, 1] - 0.2).square()
    apart = x[:, 0] - x[:, 1]
    antipodal = (apart.relu() - x[:, 0]).square() + 0.3 * ((-apart).relu() - x[:, 1]).square()
    closed = toy_measures.phase_losses(0.4, 0.3)
    for name, losses in (("first", first), ("antipodal", antipodal)):
        assert float(losses.mean()) == pytest.approx(closed[name], abs=4 * float(losses.std()) / len(x) ** 0.5)
    for r in (0.1, 0.5, 1.0):
        losses_there = toy_measures.phase_losses(toy_measures.boundary(r), r)
        assert losses_there["first"] == pytest.approx(losses_there["antipodal"])
    places = [(0.9, 0.3), (0.05, 0.3), (0.9, 4.0), (0.05, 1.0)]
    toys = train_toys([Setting((1.0, r), p, 1) for p, r in places], units=2, restarts=8, steps=400, seed=0)
    found = [[toy_measures.phase(*W[:, 0].tolist()) for W in units] for units in toys.W]
    assert found == [["first"] * 2, ["antipodal"] * 2, ["second"] * 2, ["antipodal"] * 2]


def test_names_of_phases() -> None:
    assert [toy_measures.phase(*w) for w in ((1, 0), (0, -1), (1, -1), (0.9, 0.8), (0, 0.1))] == [
        "first", "second", "antipodal", "merged", "none",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["antipodal pairs", "pentagon", "square antiprism"])
def test_the_published_polytopes_are_the_optimum(name: str) -> None:
    shape = toy_measures.POLYTOPES[name]
    setting = Setting((1.0,) * shape.features, shape.density, shape.hidden)
    toys = train_toys([setting], units=2, restarts=8, steps=500, seed=1)
    assert dimensionality(toys.W[0]).flatten().tolist() == pytest.approx([shape.published] * 2 * shape.features, abs=0.05)


def test_same_seed_same_models_and_units_differ() -> None:
    one, two = (train_toys([Setting((1.0,) * 4, 0.2, 2)], 2, 2, 30, seed=5) for _ in range(2))
    assert torch.equal(one.W, two.W)
    assert not torch.allclose(one.W[0, 0], one.W[0, 1])


@pytest.fixture(scope="module")
def finding(tmp_path_factory: pytest.TempPathFactory) -> Finding:
    def no_asking(*_: object, **__: object) -> Any:
        raise AssertionError("nothing is asked of the subject")

    folder: Path = tmp_path_factory.mktemp("toys")
    config = Config(units=2, restarts=2, steps=150, dictionary_steps=150)
    record = METHOD.record(Context(subject=open_model("scripted/echo"), ask=no_asking, folder=folder), config)
    return METHOD.judge(record, (), config)


def test_sparsity_brings_superposition_only_with_the_relu(finding: Finding) -> None:
    def value(name: str, **labels: str) -> float:
        found = finding.one(name, **labels).value
        assert found is not None
        return found

    assert (
        value("features_represented", model="relu", density="0.01")
        > 5
        >= value("features_represented", model="linear", density="0.01")
    )
    assert value("interference", model="relu", density="0.01") > 5 * value("interference", model="linear", density="0.01")
    assert value("features_per_dimension", density="0.05") > 2 * value("features_per_dimension", density="1")


def test_a_dictionary_finds_the_features_of_a_toy_better_than_chance(finding: Finding) -> None:
    cosine = finding.one("recovery_cosine")
    assert cosine.value is not None
    assert cosine.baseline
    assert cosine.baseline.value is not None
    assert cosine.value > cosine.baseline.value + 0.1


def test_every_number_has_its_units(finding: Finding) -> None:
    assert all(m.n == 2 for m in finding.measurements if m.name != "phase_agreement")
    assert finding.one("phase_agreement").n > 30


def test_too_small_is_a_clear_error() -> None:
    with pytest.raises(StepladderError, match="toy_superposition: units is 1; allowed: 2 or more"):
        Config(units=1)
