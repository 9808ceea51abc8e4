"""Against dense curvature, where Kronecker factors are exact, and against each row's gradient where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from stepladder.methods.attribution.ekfac import ekfac, rotated
from stepladder.methods.attribution.gradients import Traces, stacked
from stepladder.methods.attribution.leave_one_out import leave_one_out_effects, leave_one_out_residuals
from stepladder.methods.attribution.tracin import gradient_dot, tracin

torch = pytest.importorskip("torch")


def layer(inputs, gradients, starts=None) -> Traces:
    starts = starts or list(range(len(inputs) + 1))
    return Traces({"w": inputs}, {"w": gradients}, starts, torch.zeros(len(starts) - 1))


@pytest.fixture
def data():
    torch.manual_seed(0)
    return torch.randn(60, 7) @ torch.randn(7, 7), torch.randn(5, 7), torch.randn(60), torch.randn(5)


def test_one_output_of_unit_noise_is_the_damped_inverse_hessian(data) -> None:
    """Least squares, curvature at residuals of one: the Hessian is X^T X / n, and the factors are exact."""
    x, q, e, g = data
    hessian = x.T @ x / len(x)
    damping = 0.1 * torch.linalg.eigvalsh(hessian).mean()
    exact = (g[:, None] * q) @ torch.linalg.solve(hessian + damping * torch.eye(7), (e[:, None] * x).T)
    from stepladder.methods.attribution.ekfac import preconditioned
    from stepladder.methods.attribution.gradients import products

    signs = torch.randint(0, 2, (60, 1)) * 2.0 - 1
    fitted = rotated(layer(x, signs), "w")
    asked = preconditioned(layer(q, g[:, None]), "w", fitted)
    rows = (x @ fitted.inputs_basis, e[:, None] @ fitted.gradients_basis)
    torch.testing.assert_close(products(asked, *rows, list(range(61))), exact, rtol=1e-3, atol=1e-3)


def test_equals_dense_brute_force_where_inputs_and_gradients_are_independent() -> None:
    """All pairs of 6 inputs and 5 gradients: E[aa^T (x) gg^T] factors exactly, so the dense inverse is EK-FAC's."""
    torch.manual_seed(1)
    a, g = torch.randn(6, 4), torch.randn(5, 3)
    rows = layer(a.repeat_interleave(5, 0), g.repeat(6, 1))
    queries = layer(torch.randn(8, 4), torch.randn(8, 3), [0, 3, 8])
    flat = stacked(rows.inputs["w"], rows.gradients["w"], rows.starts).flatten(1).double()
    fisher = flat.T @ flat / len(flat)
    damped = fisher + 0.1 * fisher.trace() / 12 * torch.eye(12)
    asked = stacked(queries.inputs["w"], queries.gradients["w"], queries.starts).flatten(1).double()
    exact = asked @ torch.linalg.solve(damped, flat.T)
    torch.testing.assert_close(ekfac(queries, rows).double(), exact, rtol=1e-3, atol=1e-3)


def test_corrected_values_are_each_rows_gradient_in_the_eigenbasis_squared() -> None:
    torch.manual_seed(2)
    starts = [0, 4, 5, 11, 20]
    rows = layer(torch.randn(20, 6), torch.randn(20, 5), starts)
    found = rotated(rows, "w")
    made = stacked(rows.inputs["w"], rows.gradients["w"], starts)
    expected = torch.stack([(found.gradients_basis.T @ d @ found.inputs_basis) ** 2 for d in made]).mean(0)
    torch.testing.assert_close(found.values, expected)
    second = rows.inputs["w"].T @ rows.inputs["w"] / 20
    off = found.inputs_basis.T @ second @ found.inputs_basis
    torch.testing.assert_close(off, torch.diag(torch.diag(off)), atol=1e-5, rtol=1e-5)


def test_without_curvature_it_is_the_gradient_product() -> None:
    torch.manual_seed(3)
    rows, queries = layer(torch.randn(30, 6), torch.randn(30, 4)), layer(torch.randn(5, 6), torch.randn(5, 4))
    far = ekfac(queries, rows, damping=1e6)
    assert np.corrcoef(far.flatten(), gradient_dot(queries, rows).flatten())[0, 1] > 0.99999


def test_gradient_products_by_brute_force_and_checkpoints_add_up() -> None:
    torch.manual_seed(4)
    pairs = [(layer(torch.randn(3, 6), torch.randn(3, 4)), layer(torch.randn(9, 6), torch.randn(9, 4))) for _ in range(2)]

    def brute(queries, rows):
        made = [stacked(t.inputs["w"], t.gradients["w"], t.starts).flatten(1) for t in (queries, rows)]
        return made[0] @ made[1].T

    torch.testing.assert_close(gradient_dot(*pairs[0]), brute(*pairs[0]))
    torch.testing.assert_close(tracin(pairs, [0.5, 2.0]), 0.5 * brute(*pairs[0]) + 2 * brute(*pairs[1]))


def test_shuffled_rows_permute_the_scores() -> None:
    torch.manual_seed(5)
    a, g = torch.randn(40, 6), torch.randn(40, 4)
    queries, order = layer(torch.randn(3, 6), torch.randn(3, 4)), torch.randperm(40)
    torch.testing.assert_close(
        ekfac(queries, layer(a[order], g[order])), ekfac(queries, layer(a, g))[:, order], rtol=1e-3, atol=1e-4
    )


def test_an_exact_copy_of_the_query_comes_first() -> None:
    torch.manual_seed(6)
    a, g = torch.randn(50, 16), torch.randn(50, 8)
    rows = layer(a, g)
    copies = layer(a[[7, 23]], g[[7, 23]])
    assert ekfac(copies, rows).argmax(1).tolist() == [7, 23]


def test_leave_one_out_equals_fitting_again() -> None:
    rng = np.random.default_rng(0)
    x, y, queries = rng.normal(size=(25, 4)), rng.normal(size=25), rng.normal(size=(3, 4))
    for ridge in (0.0, 2.0):

        def fit(keep, ridge=ridge):
            return np.linalg.solve(x[keep].T @ x[keep] + ridge * np.eye(4), x[keep].T @ y[keep])

        whole = fit(np.arange(25))
        effects, residuals = leave_one_out_effects(x, y, queries, ridge), leave_one_out_residuals(x, y, ridge)
        for i in range(25):
            without = fit(np.delete(np.arange(25), i))
            np.testing.assert_allclose(effects[:, i], queries @ (whole - without), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(residuals[i], y[i] - x[i] @ without, rtol=1e-9)


def test_influence_in_least_squares_is_leave_one_out_times_one_minus_leverage() -> None:
    """EK-FAC without damping is Koh and Liang's influence; the exact effect divides it by 1 - h."""
    rng = np.random.default_rng(1)
    x, y, queries = rng.normal(size=(200, 5)), rng.normal(size=200), rng.normal(size=(4, 5))
    inverse = np.linalg.inv(x.T @ x)
    residuals, leverages = y - x @ inverse @ x.T @ y, np.einsum("ij,jk,ik->i", x, inverse, x)
    signs = torch.from_numpy(rng.choice([-1.0, 1.0], size=(200, 1))).float()
    fitted = rotated(layer(torch.from_numpy(x).float(), signs), "w")
    weights = (torch.from_numpy(queries).float() @ fitted.inputs_basis / fitted.values[0]) @ fitted.inputs_basis.T
    influence = (weights.numpy() @ x.T) * residuals / 200
    np.testing.assert_allclose(influence / (1 - leverages), leave_one_out_effects(x, y, queries), rtol=1e-3, atol=1e-5)
