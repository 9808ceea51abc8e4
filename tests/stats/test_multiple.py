import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepladder.stats import adjust_p_values

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def brute_force(p, method):
    """Bonferroni m p; Holm the running maximum of (m - i) p_(i); BH the running minimum from above of m p_(i) / i."""
    m, order = len(p), np.argsort(p, kind="stable")
    adjusted = np.empty(m)
    if method == "bonferroni":
        return np.minimum(1, m * np.array(p))
    if method == "holm":
        adjusted[order] = np.maximum.accumulate([(m - i) * p[k] for i, k in enumerate(order)])
    else:
        scaled = [m * p[k] / (i + 1) for i, k in enumerate(order)]
        adjusted[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return np.minimum(1, adjusted)


@pytest.fixture(autouse=True, scope="module")
def no_collections():
    """statsmodels collects garbage at every call, which takes a second once a test process is large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "collect", lambda *_: 0)
        yield


@given(p_values, st.sampled_from(["holm", "fdr_bh", "bonferroni"]))
def test_adjusted_values_follow_the_definitions_in_the_order_given(p, method):
    assert adjust_p_values(p, method) == pytest.approx(brute_force(p, method))


def test_no_tests_need_no_adjustment():
    assert adjust_p_values([]) == []


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="holm, fdr_bh, bonferroni"):
        adjust_p_values([0.1], "sidak")
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        adjust_p_values([1.1])
