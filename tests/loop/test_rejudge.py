"""What two judges of one record have in common: unmeasured is an outcome of its own, and agreement may be undefined."""

from __future__ import annotations

from sklearn.metrics import cohen_kappa_score

from stepladder.core import Verdict
from stepladder.loop.rejudge import agreement, outcome


def verdicts(values: list[float | None]) -> list[Verdict]:
    return [
        Verdict(exchange=str(i), judge="j", value=v, unmeasured=None if v is not None else "why")
        for i, v in enumerate(values)
    ]


def test_a_verdict_without_a_value_is_neither_success_nor_failure() -> None:
    assert [outcome(v) for v in verdicts([1.0, 0.5, 0.49, None])] == ["success", "success", "no success", "unmeasured"]


def test_agreement_is_kappa_of_those_that_both_could_judge() -> None:
    old, new = [1.0, 0.0, 1.0, 0.0, 1.0, None], [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    found = agreement(verdicts(old), verdicts(new))
    assert found.value is not None
    assert abs(found.value - cohen_kappa_score([1, 0, 1, 0, 1], [1, 0, 0, 0, 1])) < 1e-9
    assert (found.n, found.unmeasured) == (5, 1)


def test_agreement_is_undefined_where_both_judges_say_one_thing_throughout() -> None:
    found = agreement(verdicts([0.0, 0.0]), verdicts([0.0, 0.0]))
    assert found.value is None
    assert found.reason
