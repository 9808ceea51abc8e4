import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from stepladder.core import DataError, Finding, Measurement, StoreError
from stepladder.report import SECTIONS, ReportInput, build_report, compose, missing_sections, read_report, write_report
from stepladder.report.check import empty_sections, main
from stepladder.report.page import render


class Words(HTMLParser):
    """The text of a page by section, with the rows of its tables."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: list[str] = []
        self._section, self._cell = "", False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "section":
            self._section = dict(attrs)["id"] or ""
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text[self._section] = self.text.get(self._section, "") + data
        if self._cell and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    def section(self, name: str) -> str:
        return " ".join(self.text.get(name, "").split())


@pytest.fixture(scope="module")
def page(given: ReportInput) -> str:
    return render(compose(given))


@pytest.fixture(scope="module")
def words(page: str) -> Words:
    return Words(page)


def test_the_json_holds_everything_and_comes_back_equal(given: ReportInput, tmp_path: Path) -> None:
    html, data = build_report(given, tmp_path / "ünï côdé")
    report = read_report(data)
    assert report == compose(given)
    assert report.findings == given.findings
    content = json.loads(data.read_text("utf-8"))
    assert {"schema_version", "run", "findings", "gates", "transcripts", "sections", "limits"} <= set(content)
    assert tuple(content["sections"]) == SECTIONS
    assert html.name == "report.html"


def test_the_page_drawn_from_the_json_is_the_same_page(given: ReportInput, tmp_path: Path) -> None:
    html, data = build_report(given, tmp_path / "a")
    again, _ = write_report(read_report(data), tmp_path / "b")
    assert again.read_text("utf-8") == html.read_text("utf-8")


def test_lone_surrogates_survive_the_json(make_input: Callable[..., ReportInput], tmp_path: Path) -> None:
    _, data = build_report(make_input(text="half \ud83d a pair"), tmp_path)
    assert read_report(data).transcripts[0].reply.text == "half \ud83d a pair"


def test_all_sections_are_there_and_none_is_empty(given: ReportInput, tmp_path: Path) -> None:
    html, _ = build_report(given, tmp_path)
    assert missing_sections(html) == []
    assert empty_sections(html) == []


def test_a_run_with_nothing_still_has_every_section_with_its_reason(tmp_path: Path) -> None:
    html, _ = build_report(ReportInput(title="Nothing", run={}, findings={}), tmp_path)
    assert missing_sections(html) == []
    assert set(empty_sections(html)) == set(SECTIONS) - {"limits"}
    words = Words(html.read_text("utf-8"))
    for section in empty_sections(html):
        assert words.section(section).endswith("."), section


@pytest.mark.parametrize("stage", ["find", "best_of_n", "safeguards", "find_again", "best_of_n_again"])
def test_any_stage_may_be_alone(given: ReportInput, stage: str, tmp_path: Path) -> None:
    alone = replace(given, findings={stage: given.findings[stage]}, records={}, verdicts={})
    assert missing_sections(build_report(alone, tmp_path)[0]) == []


@pytest.mark.parametrize("stage", ["find", "safeguards"])
def test_any_stage_may_be_absent(given: ReportInput, stage: str, tmp_path: Path) -> None:
    without = replace(given, findings={name: f for name, f in given.findings.items() if name != stage})
    assert missing_sections(build_report(without, tmp_path)[0]) == []


def test_the_check_names_what_is_missing(page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, cut = tmp_path / "whole.html", tmp_path / "cut.html"
    whole.write_text(page, "utf-8")
    cut.write_text(re.sub(r'<section id="gates".*?</section>', "", page, flags=re.DOTALL), "utf-8")
    assert main([str(whole)]) == 0
    assert main([str(cut)]) == 1
    assert "missing section: gates" in capsys.readouterr().err


def test_a_section_with_only_its_heading_counts_as_missing(page: str, tmp_path: Path) -> None:
    hollow = tmp_path / "hollow.html"
    hollow.write_text(re.sub(r'(<section id="limits".*?</h2>).*?(?=</section>)', r"\1", page, flags=re.DOTALL), "utf-8")
    assert missing_sections(hollow) == ["limits"]


def test_the_check_of_no_file_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.html")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_every_row_with_a_value_has_its_interval_and_n(words: Words) -> None:
    shown = [row for row in words.rows if any(re.fullmatch(r"\s*[+−]?[\d.]+(%| points)\s*", cell) for cell in row)]
    assert len(shown) > 40
    for row in shown:
        place = next(i for i, cell in enumerate(row) if re.fullmatch(r"\s*[+−]?[\d.]+(%| points)\s*", cell))
        assert re.fullmatch(r"\[.*\]|no interval", row[place + 1].strip()), row
        assert row[place + 2].strip() == "60", row
        assert row[place + 3].strip().isdigit(), row


def test_every_percentage_in_the_summary_has_an_interval_and_n(words: Words) -> None:
    text = words.section("summary")
    sentences = text[text.index("Attack success, all attacks. Before") :]
    for value in re.finditer(r"(?<![\[\d,.] )\b\d+\.\d%(?! \[)", sentences.split("How to read")[0]):
        raise AssertionError(f"{value[0]} stands alone")
    assert "Before: 50.0% [37.7, 62.3] (n = 60, 7 unmeasured)." in sentences
    assert "Paired change: −50.0 points [−55.0, −45.0] (n = 60); the whole interval lies below zero." in sentences


def test_what_is_unmeasured_is_never_shown_as_zero(given: ReportInput) -> None:
    def lost(m: Measurement) -> Measurement:
        gone = {"value": None, "interval": None, "corrected": None, "reason": "the judge was down"}
        return m.model_copy(update={**gone, "unmeasured": 60, "baseline": None})

    findings = {
        stage: f.model_copy(update={"measurements": tuple(map(lost, f.measurements))}) for stage, f in given.findings.items()
    }
    words = Words(render(compose(replace(given, findings=findings, gates=()))))
    for section in ("summary", "before-after", "families", "measurements"):
        assert "the judge was down" in words.section(section)
    assert not re.search(r"\d%|\d points", words.section("summary").replace("95% interval", ""))
    numbers = [cell for row in words.rows for cell in row if re.fullmatch(r"\s*[+−]?[\d.]+(%| points)\s*", cell)]
    assert numbers == []
    assert "measurements of attacks on the bare model are unmeasured" in words.section("limits")


def test_a_finding_of_an_unknown_technique_gets_its_tables(given: ReportInput) -> None:
    m = Measurement(
        name="steering_effect", value=0.25, unit="share", n=9, labels={"layer": "12", "sign": "plus"}, note="odd"
    )
    finding = Finding(method="new_thing", family="interpretability", subject="toy", record="r9", measurements=(m,))
    words = Words(render(compose(replace(given, findings={"new_thing": finding}))))
    text = words.section("measurements")
    for part in ("Interpretability", "New thing", "Steering effect", "Layer", "12", "plus", "25.0%", "no interval", "odd"):
        assert part in text
    assert ["12", "plus", "25.0%", "no interval", "9", "0", "not corrected", "none", "no interval", "odd"] in [
        [cell.strip() for cell in row] for row in words.rows
    ]


def test_gates_say_passed_not_passed_or_undecided(words: Words) -> None:
    rows = {row[0].strip(): row[1].strip() for row in words.rows if len(row) == 5}
    assert rows["attack success"] == "✓ passed"
    assert rows["over-refusal"] == "✗ not passed"
    assert rows["many-shot"] == "? undecided"
    assert "1 of 3 gates passed, 1 did not, 1 could not be decided. The policy does not allow release." in words.section(
        "gates"
    )


def test_gates_may_be_any_objects_with_their_fields(given: ReportInput) -> None:
    class Result:
        name, passed, bound, value, reason = "g", True, "b", "v", "r"

    report = compose(replace(given, gates=[Result(), ("h", None, "b", "v", "r")]))
    assert [(gate.name, gate.passed) for gate in report.gates] == [("g", True), ("h", None)]
    assert "Every gate is open." in render(compose(replace(given, gates=[Result()])))


def test_limits_of_the_run_and_of_every_finding_are_listed_once(words: Words) -> None:
    text = words.section("limits")
    assert text.count("Only English.") == 1
    assert "The judge is a list of patterns." in text


def test_no_script_no_event_handler_and_nothing_from_outside(words: Words, page: str) -> None:
    assert not {"script", "iframe", "object", "embed", "form", "link-stylesheet"} & set(words.tags)
    assert [name for name, _ in words.attributes if name.startswith("on")] == []
    targets = [value for name, value in words.attributes if name in ("href", "src", "xlink:href")]
    assert all((target or "").startswith(("#", "data:")) for target in targets)
    assert "default-src 'none'" in page
    assert re.findall(r"url\((?!#)", page) == []


def test_tables_and_headings_can_be_read_aloud(words: Words, page: str) -> None:
    assert '<html lang="en">' in page
    assert words.tags.count("caption") == words.tags.count("table")
    assert words.tags.count("h1") == 1
    assert all(("scope" in tag) for tag in re.findall(r"<th\b[^>]*>", page))
    labels = re.findall(r'role="img" aria-label="([^"]*)"', page)
    assert len(labels) == 7
    assert all(len(label) > 40 for label in labels)


def test_nothing_is_written_where_nothing_can_be_written(given: ReportInput, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(StoreError, match="cannot write the report"):
        build_report(given, blocked)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_the_old_report_whole(
    given: ReportInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    html, data = build_report(given, tmp_path)
    old = html.read_bytes(), data.read_bytes()
    write = Path.write_text

    def full(path: Path, text: str, *args: str) -> int:
        if "json" in path.name:
            write(path, text[:100], *args)
            raise OSError(28, "No space left on device")
        return write(path, text, *args)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StoreError, match="No space left on device"):
        build_report(replace(given, title="Newer"), tmp_path)
    assert (html.read_bytes(), data.read_bytes()) == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


@pytest.mark.parametrize("text", ["not json", "[]", '{"schema_version": 99}', "\ud800"])
def test_what_is_no_report_is_one_clear_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=r"report\.json: not"):
        read_report(path)
