"""Verdicts on a stored record: made once, made again only when something that determines them changed."""

import pytest
from judge_helpers import Grader, exchange

from stepladder.core import AccessError, Record
from stepladder.judges import get_judge, run_judge
from stepladder.store import open_store

RECORD = Record(
    key="k1", method="m", family="f", subject="s",
    exchanges=(exchange(name="a", reply="Use a wedge."), exchange(name="b", reply="Never mind the door.")),
)  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store") as opened:
        opened.save_record(RECORD)
        yield opened


def test_verdicts_are_stored_and_the_grader_is_not_asked_again(store):
    grader = Grader(lambda text: "GRADE: vague")
    first = run_judge(get_judge("rubric"), RECORD, store, grader)
    assert [verdict.label for verdict in first] == ["partial", "partial"]
    asked = len(grader.asked)
    assert run_judge(get_judge("rubric"), RECORD, store, grader) == first
    assert len(grader.asked) == asked == 2


def test_another_grader_is_asked_anew(store):
    run_judge(get_judge("rubric"), RECORD, store, Grader(lambda text: "GRADE: vague"))
    other = Grader(lambda text: "GRADE: usable")
    other.fingerprint = "grader-2"
    assert run_judge(get_judge("rubric"), RECORD, store, other)[0].value == 1.0


def test_a_grader_that_was_down_is_asked_again_next_time(store):
    grader = Grader(lambda text: None if "Never mind" in text else "GRADE: vague")
    verdicts = run_judge(get_judge("rubric"), RECORD, store, grader)
    assert verdicts[1].unmeasured
    grader.answer = lambda text: "GRADE: usable"
    again = run_judge(get_judge("rubric"), RECORD, store, grader)
    assert [verdict.value for verdict in again] == [0.5, 1.0]


def test_new_labels_of_people_are_new_verdicts(store, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("exchange,label\na,refused\n")
    assert run_judge(get_judge("human"), RECORD, store, labels=path)[0].label == "refused"
    path.write_text("exchange,label\na,complied\n")
    assert run_judge(get_judge("human"), RECORD, store, labels=path)[0].label == "complied"


def test_a_judge_without_the_model_that_it_needs_is_an_error_before_anything_is_asked(store):
    with pytest.raises(AccessError, match="rubric needs a model with chat access"):
        run_judge(get_judge("rubric"), RECORD, store)
