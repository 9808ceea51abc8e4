import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepladder.stats import Estimate, JudgeErrors, corrected_difference, paired_difference, rogan_gladen, wilson

errors = st.builds(JudgeErrors, *[st.integers(0, 60)] * 4)
counts = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def ends(estimate):
    return estimate.interval.low, estimate.interval.high


def test_the_point_is_rogan_and_gladens():
    estimate = rogan_gladen(40, 100, JudgeErrors(80, 20, 90, 10))
    assert estimate.value == pytest.approx((0.4 + 0.9 - 1) / (0.8 + 0.9 - 1))


def test_a_judge_known_to_be_perfect_leaves_wilsons_interval():
    estimate, plain = rogan_gladen(7, 50, JudgeErrors(10**9, 0, 10**9, 0)), wilson(7, 50)
    assert ends(estimate) == pytest.approx((plain.low, plain.high), abs=1e-6)


@given(counts, errors, st.sampled_from([0.5, 0.95, 0.99]))
def test_the_interval_always_contains_the_point_inside_the_unit_and_has_width(count, judge, level):
    estimate = rogan_gladen(*count, judge, level)
    assert (estimate is None) == (not judge.correctable)
    if estimate:
        assert 0 <= estimate.interval.low <= estimate.value <= estimate.interval.high <= 1
        assert estimate.interval.low < estimate.interval.high


@given(counts, errors)
def test_calling_the_other_class_positive_mirrors(count, judge):
    x, n = count
    turned = JudgeErrors(judge.true_negative, judge.false_positive, judge.true_positive, judge.false_negative)
    one, other = rogan_gladen(x, n, judge), rogan_gladen(n - x, n, turned)
    if one:
        assert other.value == pytest.approx(1 - one.value, abs=1e-9)
        assert ends(other) == pytest.approx([1 - end for end in ends(one)][::-1], abs=1e-6)


@given(counts, st.integers(1, 8), st.integers(0, 3), st.integers(1, 8), st.integers(0, 3))
def test_more_calibration_never_widens_the_interval(count, tp, fn, tn, fp):
    small, large = JudgeErrors(tp, fn, tn, fp), JudgeErrors(100 * tp, 100 * fn, 100 * tn, 100 * fp)
    if small.correctable:
        one, other = rogan_gladen(*count, small), rogan_gladen(*count, large)
        assert other.interval.high - other.interval.low <= one.interval.high - one.interval.low + 1e-9


def test_a_judge_that_may_be_no_better_than_chance_says_nothing():
    assert ends(rogan_gladen(50, 100, JudgeErrors(6, 4, 5, 5))) == (0, 1)


@pytest.mark.parametrize(
    "judge", [JudgeErrors(0, 0, 5, 5), JudgeErrors(5, 5, 0, 0), JudgeErrors(5, 5, 5, 5), JudgeErrors(1, 9, 1, 9)]
)
def test_a_judge_without_a_class_or_at_chance_cannot_be_corrected_for(judge):
    assert rogan_gladen(5, 10, judge) is None
    assert corrected_difference(paired_difference([1, 0, 1], [0, 0, 1], range(3)), judge) is None


def test_fewer_positives_than_false_alarms_alone_mean_none_with_an_upper_bound():
    estimate = rogan_gladen(0, 200, JudgeErrors(40, 10, 40, 10))
    assert (estimate.value, estimate.interval.low) == (0, 0)
    assert 0 < estimate.interval.high < 0.5


def test_a_difference_grows_by_one_over_youden_and_keeps_its_sign():
    down = paired_difference([1] * 60 + [0] * 40, [0] * 50 + [1] * 10 + [0] * 40, range(100))
    judge = JudgeErrors(90, 10, 80, 20)
    corrected = corrected_difference(down, judge)
    assert corrected.value == pytest.approx(-0.5 / 0.7)
    assert -1 <= corrected.interval.low < corrected.value < corrected.interval.high < 0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=30), errors)
def test_a_corrected_difference_mirrors_and_lies_inside_its_interval(pairs, judge):
    before, after = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    one = corrected_difference(paired_difference(before, after, range(len(pairs))), judge)
    other = corrected_difference(paired_difference(after, before, range(len(pairs))), judge)
    if one:
        assert -1 <= one.interval.low <= one.value <= one.interval.high <= 1
        assert other.value == pytest.approx(-one.value)
        if one.value:
            assert ends(other) == pytest.approx([-end for end in ends(one)][::-1], abs=1e-6)


def test_a_difference_without_an_interval_stays_uncorrected():
    assert corrected_difference(Estimate(0.1, None, 1), JudgeErrors(9, 1, 9, 1)) is None


def test_bad_counts_are_refused():
    with pytest.raises(ValueError, match="negative"):
        JudgeErrors(-1, 0, 0, 0)
    with pytest.raises(ValueError, match="successes"):
        rogan_gladen(3, 2, JudgeErrors(9, 1, 9, 1))
    with pytest.raises(ValueError, match="above 0"):
        rogan_gladen(0, 0, JudgeErrors(9, 1, 9, 1))
