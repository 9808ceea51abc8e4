"""The unlearning losses against slow closed forms, and where one becomes another."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepladder.methods.training.unlearning_objectives import gradient_ascent, npo, simnpo, squared_distance

torch = pytest.importorskip("torch")

logps = st.lists(st.tuples(st.floats(-40, -0.01), st.floats(-40, -0.01)), min_size=1, max_size=6)


@given(logps, st.floats(0.01, 3))
def test_npo_is_the_papers_formula(rows: list[tuple[float, float]], beta: float) -> None:
    """Equation 3 in its first form: (2/b) E log(1 + (p / p_ref)^b)."""
    slow = sum(2 / beta * math.log1p(math.exp(beta * (p - ref))) for p, ref in rows) / len(rows)
    logp, reference = torch.tensor(rows, dtype=torch.float64).T
    assert float(npo(logp, reference, beta)) == pytest.approx(slow, rel=1e-9)


@given(logps)
def test_npo_becomes_gradient_ascent_as_beta_goes_to_zero(rows: list[tuple[float, float]]) -> None:
    """Proposition 1 of the paper: up to a constant, and its gradient exactly."""
    logp, reference = torch.tensor(rows, dtype=torch.float64).T
    logp = logp.clone().requires_grad_(True)
    beta = 1e-6
    loss = npo(logp, reference, beta)
    assert float(loss.detach()) - 2 / beta * math.log(2) == pytest.approx(
        float((gradient_ascent(logp) - reference.mean()).detach()), abs=1e-2
    )
    (slope,) = torch.autograd.grad(loss, logp)
    (ascent,) = torch.autograd.grad(gradient_ascent(logp), logp)
    assert torch.allclose(slope, ascent, rtol=1e-4)


@given(logps, st.floats(0.05, 3))
def test_npos_gradient_is_ascents_weighted_by_how_much_is_still_known(rows: list[tuple[float, float]], beta: float) -> None:
    """The paper's adaptive weight 2 p^b / (p^b + p_ref^b), which fades as the model forgets."""
    logp, reference = torch.tensor(rows, dtype=torch.float64).T
    logp = logp.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(npo(logp, reference, beta), logp)
    weights = [2 / (1 + math.exp(-beta * (p - ref))) / len(rows) for p, ref in rows]
    assert slope.tolist() == pytest.approx(weights, rel=1e-6)


@given(
    st.lists(st.lists(st.floats(-9, -0.01), min_size=1, max_size=5), min_size=1, max_size=4),
    st.floats(0.1, 4),
    st.floats(0, 2),
)
def test_simnpo_is_the_papers_formula(rows: list[list[float]], beta: float, gamma: float) -> None:
    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    slow = sum(-2 / beta * math.log(sigmoid(-beta / len(row) * sum(row) - gamma)) for row in rows) / len(rows)
    means = torch.tensor([sum(row) / len(row) for row in rows], dtype=torch.float64)
    assert float(simnpo(means, beta, gamma)) == pytest.approx(slow, rel=1e-9)


def test_simnpo_with_no_margin_is_npo_on_length_normalised_rows_against_a_uniform_reference() -> None:
    means = torch.tensor([-1.0, -3.0])
    assert float(simnpo(means, 2.5, 0.0)) == pytest.approx(float(npo(means, torch.zeros(2), 2.5)))


def test_rmus_terms_are_mean_squared_distances() -> None:
    hidden = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    assert float(squared_distance(hidden, torch.tensor([1.0, 0.0]))) == pytest.approx((0 + 4 + 1 + 1) / 4)
