"""Exact leave-one-out in least squares: the reference that influence estimates approximate.

Without row i the coefficients move by (X^T X)^-1 x_i e_i / (1 - h_i), e being the residuals and h the leverages (Cook 1977),
so that nothing has to be fitted again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def leave_one_out_residuals(x: Floats, y: Floats, ridge: float = 0.0) -> Floats:
    """Each row's residual under the fit without it, e / (1 - h): (rows); `x` is (rows, width)."""
    _, residuals, leverages = _fitted(x, y, ridge)
    return np.asarray(residuals / (1 - leverages))


def leave_one_out_effects(x: Floats, y: Floats, queries: Floats, ridge: float = 0.0) -> Floats:
    """By how much each row raises the prediction at each query, against the fit without it: (queries, rows)."""
    solved, residuals, leverages = _fitted(x, y, ridge)
    return np.asarray((queries @ solved) * (residuals / (1 - leverages)))


def _fitted(x: Floats, y: Floats, ridge: float) -> tuple[Floats, Floats, Floats]:
    """(X^T X + ridge)^-1 X^T (width, rows), residuals and leverages."""
    solved = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T)
    return np.asarray(solved), np.asarray(y - x @ (solved @ y)), np.einsum("ij,ji->i", x, solved)
