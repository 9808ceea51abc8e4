"""Projections that lose nothing change nothing; ones that reduce keep inner products in the mean."""

from __future__ import annotations

import pytest

from stepladder.methods.attribution.gradients import Traces, stacked
from stepladder.methods.attribution.trak import features, kernel_scores, projection, trak

torch = pytest.importorskip("torch")


def layers(rows: int, losses: float = 50.0) -> Traces:
    gradients = {"a": torch.randn(rows, 5), "b": torch.randn(rows, 3)}
    inputs = {"a": torch.randn(rows, 6), "b": torch.randn(rows, 4)}
    return Traces(inputs, gradients, list(range(rows + 1)), torch.full((rows,), losses))


def one(rows: int) -> Traces:
    full = layers(rows)
    return Traces({"a": full.inputs["a"]}, {"a": full.gradients["a"]}, full.starts, full.losses)


def test_a_projection_of_full_dimension_is_the_kernel_itself() -> None:
    torch.manual_seed(0)
    queries, rows = one(4), one(80)
    queries = Traces({"a": queries.inputs["a"][:, :5]}, queries.gradients, queries.starts, queries.losses)
    rows = Traces({"a": rows.inputs["a"][:, :5]}, rows.gradients, rows.starts, rows.losses)
    plain = [-stacked(t.inputs["a"], t.gradients["a"], t.starts).flatten(1) for t in (queries, rows)]
    expected = kernel_scores(*plain, ridge=0.0)
    found = trak(queries, rows, sides=5, projections=1, ridge=0.0)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_the_kernel_score_is_the_hat_matrix() -> None:
    """On the rows themselves Phi (Phi^T Phi)^-1 Phi^T projects onto the features: idempotent, with their number as trace."""
    torch.manual_seed(1)
    phi = torch.randn(30, 6)
    hat = kernel_scores(phi, phi, ridge=0.0)
    torch.testing.assert_close(hat @ hat, hat, rtol=1e-4, atol=1e-5)
    assert hat.trace().item() == pytest.approx(6, rel=1e-5)


def test_features_keep_inner_products_in_the_mean() -> None:
    torch.manual_seed(2)
    traces = layers(6)
    exact = sum(
        m @ m.T for m in (stacked(traces.inputs[n], traces.gradients[n], traces.starts).flatten(1) for n in traces.layers)
    )
    found = torch.stack([features(traces, 16, str(i)) @ features(traces, 16, str(i)).T for i in range(400)])
    error = found.std(0) / 400**0.5
    assert ((found.mean(0) - exact).abs() < 4.5 * error).all()


def test_a_likely_reply_moves_little() -> None:
    torch.manual_seed(3)
    queries, rows = layers(3), layers(20, losses=0.05)
    phi = [features(t, 8, "0/0") for t in (queries, rows)]
    expected = kernel_scores(*phi) * (1 - torch.exp(torch.tensor(-0.05)))
    torch.testing.assert_close(trak(queries, rows, sides=8, projections=1), expected, rtol=1e-4, atol=1e-6)


def test_an_exact_copy_of_the_query_comes_first() -> None:
    torch.manual_seed(4)
    rows = layers(40)
    queries = Traces(
        {n: v[[5, 30]] for n, v in rows.inputs.items()}, {n: v[[5, 30]] for n, v in rows.gradients.items()}, [0, 1, 2],
        rows.losses[:2],
    )  # fmt: skip
    assert trak(queries, rows, sides=8).argmax(1).tolist() == [5, 30]


def test_projections_are_drawn_by_their_seed() -> None:
    assert torch.equal(projection(7, 3, "x"), projection(7, 3, "x"))
    assert not torch.equal(projection(7, 3, "x"), projection(7, 3, "y"))
