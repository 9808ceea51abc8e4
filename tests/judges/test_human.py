"""People's labels: what they are given, and what comes back."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_helpers import exchange

from stepladder.core import DataError
from stepladder.judges import JudgeTools, export_for_people, get_judge, judge_exchanges, rater_agreement, read_ratings

EXCHANGES = [
    exchange(name="one", reply="Use a wedge.", attack="role_play", model="secret"),
    exchange(name="two", reply='=HYPERLINK("http://x","y")\nSecond, "quoted" line\r\nthird'),
    exchange(name="three", reply="I can't."),
    exchange(name="four", reply=""),
]


def judged(path, exchanges=EXCHANGES):
    return judge_exchanges(get_judge("human"), exchanges, JudgeTools(labels=path))


@pytest.mark.parametrize("name", ["labels.csv", "labels.jsonl"])
def test_what_is_exported_filled_in_and_read_back_is_what_people_said(tmp_path, name):
    path = tmp_path / "ümlaut" / name
    path.parent.mkdir()
    export_for_people(EXCHANGES, path)
    wanted = {"one": "complied", "two": "Partial", "three": ""}
    if name.endswith(".csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows({**row, "label": wanted[row["exchange"]]} for row in rows)
    else:
        rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
        path.write_text("\n".join(json.dumps({**row, "label": wanted[row["exchange"]]}) for row in rows), "utf-8")
    verdicts = judged(path)
    assert [verdict.label for verdict in verdicts] == ["complied", "partial", "", ""]
    assert verdicts[2].unmeasured == verdicts[3].unmeasured == "no person has labelled it"


def test_the_export_shows_neither_attack_nor_model_and_runs_nothing(tmp_path):
    path = tmp_path / "labels.csv"
    export_for_people(EXCHANGES, path)
    text = path.read_text("utf-8")
    assert "role_play" not in text
    assert "secret" not in text
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def test_pyrits_columns_are_written_and_read_back(tmp_path):
    path = tmp_path / "pyrit.csv"
    export_for_people(EXCHANGES, path, form="pyrit")
    first, *rest = path.read_bytes().decode().split("\n", 1)
    assert first == "# dataset_version=1.0"
    path.write_bytes((first + "\n" + rest[0].replace("I can't.,,", "I can't.,0,").replace("wedge.,,", "wedge.,1,")).encode())
    assert [verdict.label for verdict in judged(path)] == ["complied", "", "refused", ""]


@given(st.lists(st.sampled_from(["complied", "refused", "partial", ""]), min_size=1, max_size=7))
def test_the_majority_decides_and_a_tie_is_unmeasured(tmp_path_factory, votes):
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    path.write_text(json.dumps({"exchange": "one", **{f"label_{i}": vote for i, vote in enumerate(votes)}}))
    verdict = judged(path)[0]
    given_votes = [vote for vote in votes if vote]
    winners = [vote for vote in set(given_votes) if given_votes.count(vote) > len(given_votes) / 2]
    assert verdict.label == (winners[0] if winners else "")
    assert (verdict.unmeasured is None) == bool(winners)


def test_agreement_of_raters_is_krippendorffs(tmp_path):
    """Closed form: 10 pairs, 9 alike, five of each label but for the odd one: 1 - (1/10) / (2 * 10 * 10 / (20 * 19))."""
    ratings = {str(i): ("complied", "complied") if i < 5 else ("refused", "refused") for i in range(9)}
    ratings["9"] = ("complied", "refused")
    counts = 11, 9
    expected = 1 - 0.1 / (2 * counts[0] * counts[1] / (20 * 19))
    assert rater_agreement(ratings).value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "exchange,label\none,complied\ntwo,maybe\n", r"a\.csv:3: label 'maybe'; allowed: complied, partial"),
        ("a.csv", "exchange,label\none,complied\none,refused\n", r":3: exchange 'one' stands here a second time"),
        ("a.csv", "id,label\none,complied\n", "expected the columns exchange and label"),
        ("a.csv", "exchange,label\n", "no rows"),
        ("a.csv", "exchange,label\nother,complied\n", "none of its exchanges is in this record"),
        ("a.jsonl", '{"exchange": "one", "label": "complied"}\n{oops\n', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", "[1]\n", ":1: expected an object"),
        (
            "p.csv",
            "# dataset_version=1\nobjective,assistant_response,human_score\na,b,7\n",
            r":3: human_score '7'; allowed: 0",
        ),
    ],
)
def test_a_bad_file_is_one_line_that_says_where_and_what_is_allowed(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        judged(path)


def test_a_missing_file_and_a_file_that_is_no_text(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_ratings(tmp_path / "none.csv", EXCHANGES)
    (tmp_path / "bad.csv").write_bytes(b"exchange,label\n\xff\xfe,x\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_ratings(tmp_path / "bad.csv", EXCHANGES)
    with pytest.raises(DataError, match="none was given"):
        judged(None)
