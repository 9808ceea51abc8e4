import io

from rich.console import Console

from stepladder.core import Finding, Measurement
from stepladder.report import ReportInput, console_table, finding_table, to_text


def shown(table: object) -> str:
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=False).print(table)
    return out.getvalue()


def test_the_table_says_value_interval_n_and_unmeasured(given: ReportInput) -> None:
    text = shown(console_table(given))
    line = next(line for line in text.splitlines() if "Attack success, all attacks" in line)
    assert " ".join(line.split()[4:]) == "Before 50.0% [37.7, 62.3] 60 7 direct request: 40.0%"


def test_plain_text_and_the_rich_table_have_the_same_cells(given: ReportInput) -> None:
    plain = [line.split() for line in to_text(given.findings).splitlines()]
    rich = [line.split() for line in shown(console_table(given)).splitlines() if line.strip() and "─" not in line]
    assert plain == rich


def test_findings_without_before_and_after_are_listed_whole() -> None:
    m = Measurement(name="odd", value=None, unit="share", n=4, reason="[bold]judge\x1b[31m down", labels={"layer": "3"})
    finding = Finding(method="x", family="y", subject="toy", record="r", measurements=(m,))
    for text in (to_text({"x": finding}), shown(console_table({"x": finding}))):
        assert "layer: 3" in text
        assert "unmeasured" in text
        assert "[bold]judge‹U+001B›[31m down" in text


def test_a_finding_by_itself_is_listed_whole(given: ReportInput) -> None:
    finding = given.findings["best_of_n"]
    text = shown(finding_table(finding))
    assert text.count("within k tries") == len(finding.select("asr_at_k"))
