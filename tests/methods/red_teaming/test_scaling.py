"""ASR@k and its power law against closed forms and brute force."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from stepladder.methods.red_teaming.scaling import (
    PowerLaw,
    Tally,
    asr_at_k,
    curve,
    fit_power_law,
    forecast,
    mean_asr,
    powers_of_two,
)


@pytest.mark.parametrize(("successes", "samples"), [(c, n) for n in range(1, 8) for c in range(n + 1)])
def test_asr_at_k_is_the_share_of_all_draws_of_k_that_hold_a_success(successes: int, samples: int) -> None:
    hits = [1] * successes + [0] * (samples - successes)
    for k in range(1, samples + 1):
        draws = list(itertools.combinations(hits, k))
        assert asr_at_k(successes, samples, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_asr_at_k_is_unbiased_for_one_minus_one_minus_p_to_the_k() -> None:
    n, p = 20, 0.13
    chances = scipy_stats.binom(n, p).pmf(range(n + 1))
    for k in (1, 3, 8, 20):
        expected = sum(chance * asr_at_k(c, n, k) for c, chance in enumerate(chances))
        assert expected == pytest.approx(1 - (1 - p) ** k)


@pytest.mark.parametrize("k", [0, 6])
def test_asr_at_k_refuses_a_k_that_the_samples_do_not_have(k: int) -> None:
    with pytest.raises(ValueError, match="with 5 samples"):
        asr_at_k(1, 5, k)


tallies = st.builds(Tally, st.just("b"), st.integers(0, 12), st.integers(0, 12), st.integers(0, 3)).filter(
    lambda t: t.samples
)


@given(tallies, st.integers(1, 30))
def test_asr_of_a_tally_lies_between_its_bounds_and_grows_with_k(tally: Tally, k: int) -> None:
    rate = tally.asr(k)
    if rate is None:
        return
    low, high = (end.asr(k) for end in tally.bounds)
    assert low is not None
    assert high is not None
    assert low - 1e-12 <= rate <= high + 1e-12
    more = tally.asr(k + 1)
    assert more is None or more >= rate - 1e-12


def test_an_unmeasured_sample_is_never_read_as_a_failure() -> None:
    assert Tally("b", 0, 31, 1).asr(32) is None, "the missing one might have succeeded"
    assert Tally("b", 1, 30, 1).asr(32) == 1.0, "whatever the missing one was"
    assert Tally("b", 2, 6, 0).asr(1) == Tally("b", 2, 6, 1).asr(1) == 0.25
    assert Tally("b", 2, 2, 4).asr(1) is None, "half of the samples are missing"


@given(st.floats(0.05, 5), st.floats(0.05, 2))
def test_an_exact_power_law_is_recovered(scale: float, exponent: float) -> None:
    law = PowerLaw(scale, exponent)
    fitted = fit_power_law({k: law.asr(k) for k in (1, 2, 4, 8)})
    assert fitted is not None
    assert fitted.scale == pytest.approx(scale, rel=1e-6)
    assert fitted.exponent == pytest.approx(exponent, rel=1e-5, abs=1e-9)
    assert fitted.asr(1000) == pytest.approx(law.asr(1000), rel=1e-4)


def test_the_fit_is_least_squares_in_logarithms_as_scipy_has_it() -> None:
    points = {1: 0.11, 2: 0.2, 4: 0.24, 8: 0.5}
    line = scipy_stats.linregress(np.log(list(points)), np.log(-np.log(list(points.values()))))
    fitted = fit_power_law(points)
    assert fitted is not None
    assert fitted.exponent == pytest.approx(-line.slope)
    assert fitted.scale == pytest.approx(math.exp(line.intercept))


def test_no_law_is_fitted_to_fewer_than_three_points_strictly_between_0_and_1() -> None:
    assert fit_power_law({1: 0.0, 2: 0.3, 4: 0.6, 8: 1.0}) is None


def test_behaviours_of_spread_out_difficulty_follow_a_power_law_and_its_forecast_holds() -> None:
    """p from a wide beta: -log ASR@k is close to a power law, so k = 64 is foreseen from k <= 16."""
    rng = random.Random(0)
    chances = [rng.betavariate(0.3, 3) for _ in range(400)]
    counts = [sum(rng.random() < p for _ in range(16)) for p in chances]
    seen = [Tally(str(i), c, 16 - c) for i, c in enumerate(counts)]
    truth = sum(1 - (1 - p) ** 64 for p in chances) / len(chances)
    foreseen = forecast(curve(seen, powers_of_two(16)), 64)
    equal_chance = 1 - (1 - mean_asr(seen, 1)) ** 64  # type: ignore[operator]
    assert foreseen == pytest.approx(truth, abs=0.05)
    assert abs(equal_chance - truth) > 0.2


def test_behaviours_of_equal_chance_are_not_a_power_law_and_the_forecast_misses() -> None:
    """The case that the law should miss: 1 - (1 - p)^k saturates faster than any power law."""
    p = 0.1
    law = fit_power_law({k: 1 - (1 - p) ** k for k in (1, 2, 4, 8)})
    assert law is not None
    assert law.asr(64) < 1 - (1 - p) ** 64 - 0.02


def test_the_curve_leaves_out_what_could_not_be_measured() -> None:
    assert curve([Tally("a", 1, 1), Tally("b", 0, 1, 1)], (1, 2, 4)) == {1: 0.5, 2: 1.0}


def test_powers_of_two_end_with_the_largest() -> None:
    assert powers_of_two(1) == (1,)
    assert powers_of_two(8) == (1, 2, 4, 8)
    assert powers_of_two(24) == (1, 2, 4, 8, 16, 24)
