"""Measuring judges against people: the arithmetic by another library, the shipped file, and the real sets."""

from pathlib import Path

import pytest
from judge_helpers import exchange
from sklearn.metrics import confusion_matrix, roc_auc_score

from stepladder.core import StoreError, Verdict
from stepladder.data import LabelledSet, read_labelled
from stepladder.judges import JUDGES, Judge, JudgeTools, get_judge, judge_errors, judge_reports, measure_judge
from stepladder.judges.calibrate import HEADER, line, main, merged, take
from stepladder.judges.calibration import Calibration, read_calibration

DATA = Path(__file__).parents[2].parent / "shared" / "data"
PEOPLE = ["complied", "refused", "partial", "refused", "complied", "refused", "complied", "refused"] * 3
VALUES = [1.0, 0.0, 0.5, 1.0, 0.0, None, 1.0, 0.5] * 3


def planted():
    """A labelled set, and a judge that says what is planted in `VALUES`."""
    exchanges = [exchange(name=str(i), reply="word " * (i + 1), behaviour=f"q{i // 2}") for i in range(24)]
    labels = {e.id: label for e, label in zip(exchanges, PEOPLE, strict=True)}
    raters = {e.id: (label, "complied") for e, label in zip(exchanges, PEOPLE, strict=True)}
    said = {
        e.id: Verdict(exchange=e.id, judge="planted", value=v, unmeasured=None if v is not None else "no: told")
        for e, v in zip(exchanges, VALUES, strict=True)
    }
    judge = Judge("planted", 1, "", None, lambda asked, tools: [said[e.id] for e in asked])
    return judge, LabelledSet("planted", "compliance", tuple(exchanges), labels, raters, 0)


def one(report, name, **labels):
    return next(m for m in report.measurements if m.name == name and m.labels == labels)


def test_counts_and_auroc_are_sklearns():
    report = measure_judge(*planted())
    pairs = [(label != "refused", value) for label, value in zip(PEOPLE, VALUES, strict=True) if value is not None]
    truth, values = zip(*pairs, strict=True)
    (tn, fp), (fn, tp) = confusion_matrix(truth, [value >= 0.5 for value in values])
    counts = report.counts
    assert (counts.true_negative, counts.false_positive, counts.false_negative, counts.true_positive) == (tn, fp, fn, tp)
    assert one(report, "auroc").value == pytest.approx(roc_auc_score(truth, values))
    assert one(report, "sensitivity").value == pytest.approx(tp / (tp + fn))
    assert one(report, "specificity").value == pytest.approx(tn / (tn + fp))


def test_unmeasured_verdicts_are_counted_and_are_neither_right_nor_wrong():
    report = measure_judge(*planted())
    assert report.unmeasured == {"no": 3}
    assert one(report, "agreement").unmeasured == 3
    assert sum(report.counts.model_dump().values()) == 21


def test_intervals_count_questions_and_the_trivial_rules_stand_beside():
    report = measure_judge(*planted())
    agreement = one(report, "agreement")
    assert agreement.n <= report.questions == 12
    assert agreement.baseline.value == pytest.approx(0.5)
    assert one(report, "auroc").baseline.name == "length of the reply"
    assert one(report, "agreement", rater="2").value == pytest.approx(15 / 21)


def test_halves_split_questions_whole_and_always_alike():
    _, labelled = planted()
    read, unread = take(labelled, "read", None), take(labelled, "unread", None)
    questions = [{e.metadata["behaviour"] for e in half.exchanges} for half in (read, unread)]
    assert not questions[0] & questions[1]
    assert len(read.exchanges) + len(unread.exchanges) == 24
    assert [e.id for e in take(labelled, "all", 5).exchanges] == [e.id for e in take(labelled, "all", 5).exchanges]
    assert len(take(labelled, "all", 5).exchanges) == 5


def test_a_new_report_takes_the_place_of_the_old_one():
    report = measure_judge(*planted())
    newer = report.model_copy(update={"date": "2030-01-01"})
    assert merged(Calibration(reports=(report,)), [newer]).reports == (newer,)


def test_a_broken_calibration_file_is_one_line(tmp_path):
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(StoreError, match=r"c\.json"):
        read_calibration(tmp_path / "c.json")
    assert read_calibration(tmp_path / "none.json").reports == ()


def test_the_shipped_file_knows_the_default_judge_and_only_judges_that_exist():
    assert {report.judge for report in judge_reports()} <= set(JUDGES)
    for name in ("refusal", "refusal_patterns", "yes_no"):
        errors = judge_errors(name)
        assert errors.correctable
    assert judge_errors("human") is None
    assert judge_errors("rubric") is None


def test_the_command_names_what_is_wrong(tmp_path, capsys):
    assert main([str(tmp_path / "none.jsonl"), "--judge", "refusal_patterns"]) == 2
    assert "none.jsonl" in capsys.readouterr().err


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not beside the project")
@pytest.mark.parametrize("name", ["xstest_completions", "gptfuzz_labelled_responses"])
def test_the_shipped_counts_are_those_of_the_patterns_as_they_are(name):
    labelled = take(read_labelled(DATA / name / "dev.jsonl"), "unread", None)
    report = measure_judge(get_judge("refusal_patterns"), labelled)
    shipped = [r for r in judge_reports() if (r.judge, r.data_set) == (report.judge, report.data_set)]
    assert [r.counts for r in shipped] == [report.counts]


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not beside the project")
def test_patterns_agree_with_people_on_xstest_where_people_were_clear():
    """On questions that nobody looked at while writing the patterns."""
    labelled = take(read_labelled(DATA / "xstest_completions" / "dev.jsonl"), "unread", None)
    report = measure_judge(get_judge("refusal_patterns"), labelled)
    clear = one(report, "agreement", people="complied or refused, not partial")
    assert clear.value > 0.9
    assert clear.value > clear.baseline.value + 0.3
    assert one(report, "auroc").value > one(report, "auroc").baseline.value + 0.25


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not beside the project")
def test_replies_swapped_between_questions_are_found_off_topic():
    """The truth by construction: an answer to one question is off the topic of another."""
    labelled = read_labelled(DATA / "xstest_completions" / "dev.jsonl")
    complied = [e for e in labelled.exchanges if labelled.labels[e.id] == "complied"]
    half = len(complied) // 2
    swapped = [
        exchange(str(e.metadata["request"]), other.reply.text, e.id)
        for e, other in zip(complied[:half], reversed(complied[half:]), strict=False)
    ]
    judge = get_judge("refusal")
    off = [[v.label == "off_topic" for v in judge.run(rows, JudgeTools())] for rows in (swapped, complied)]
    assert sum(off[0]) / len(off[0]) > 0.75
    assert sum(off[1]) / len(off[1]) < 0.02


def test_the_page_shows_the_table_of_the_shipped_file():
    page = (Path(__file__).parents[2] / "docs" / "judges.md").read_text("utf-8")
    shown = page.partition("<!-- table -->")[2].partition("<!-- end -->")[0].strip()
    assert shown == "\n".join([HEADER, *(line(report) for report in judge_reports())])
