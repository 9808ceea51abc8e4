import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from stepladder.stats import sample_size_difference

rates = st.integers(1, 99).map(lambda percent: percent / 100)


def exact_power(p1, p2, n, alpha=0.05):
    """Power of the pooled two-sided z test, summed over all outcomes."""
    x = np.arange(n + 1)
    pooled = (x[:, None] + x) / (2 * n)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.abs(x[:, None] - x) / n / np.sqrt(pooled * (1 - pooled) * 2 / n)
    return binom.pmf(x, n, p1) @ (z >= norm.ppf(1 - alpha / 2)) @ binom.pmf(x, n, p2)


@pytest.mark.parametrize(("p1", "p2", "power"), [(0.5, 0.3, 0.8), (0.1, 0.3, 0.9), (0.6, 0.5, 0.8)])
def test_the_sample_has_the_promised_power_by_exact_summation_and_no_more_than_needed(p1, p2, power):
    n = sample_size_difference(p1, p2, power)
    assert exact_power(p1, p2, n) == pytest.approx(power, abs=0.02)


def test_the_size_is_fleiss_formula():
    pooled = math.sqrt(2 * 0.4 * 0.6) * norm.ppf(0.975) + math.sqrt(0.25 + 0.21) * norm.ppf(0.8)
    assert sample_size_difference(0.5, 0.3) == math.ceil((pooled / 0.2) ** 2) == 93


@given(rates, rates)
def test_size_is_symmetric_and_grows_with_power(p1, p2):
    if p1 != p2:
        n = sample_size_difference(p1, p2)
        assert n == sample_size_difference(p2, p1) == sample_size_difference(1 - p1, 1 - p2)
        assert n <= sample_size_difference(p1, p2, power=0.95)


@pytest.mark.parametrize("arguments", [(0.5, 0.5), (1.2, 0.5), (0.1, 0.5, 1.0), (0.1, 0.5, 0.8, 0.0)])
def test_bad_input_is_named(arguments):
    with pytest.raises(ValueError, match=r"equal|rates|power"):
        sample_size_difference(*arguments)
