"""The sections of a whole rung say what was found, what it is worth, and what is not known."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from stepladder.report import ReportInput, build_report


@pytest.fixture(scope="module")
def section(given: ReportInput, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    page = build_report(given, tmp_path_factory.mktemp("rung"))[0].read_text("utf-8")
    found = re.findall(r'<section id="([^"]+)".*?>(.*?)</section>', page, flags=re.DOTALL)
    return {name: re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)) for name, body in found}


def test_the_steps_are_shown_in_order_with_the_paired_change(section: dict[str, str]) -> None:
    text = section["steps"].split("Trivial baseline")[1]  # the table, after the picture
    places = [text.index(words) for words in ("as it came", "After training", "behind its guard", "subject to guarded")]
    assert places == sorted(places)
    assert "66.7%" in text
    assert "−50.0 points" in text


def test_the_audit_shows_the_most_suspicious_first_and_what_calls_are_worth(section: dict[str, str]) -> None:
    text = section["audit"]
    rows = text.split("Posterior Note")[1]
    assert rows.index("Sycophancy") < rows.index("Backdoor") < rows.index("Bias")
    assert "0.62" in rows
    assert "never calibrated for backdoor" in rows
    assert "needs the training rows" in rows
    assert rows.count("not seen") == 1


def test_planted_defects_say_whether_they_were_noticed(section: dict[str, str]) -> None:
    assert "flips 20%" in section["trust"]
    assert "noticed: more errors" in section["trust"]
    assert "95.0%" in section["trust"]


def test_a_refusal_is_named_with_its_reason(section: dict[str, str], given: ReportInput, tmp_path: Path) -> None:
    assert "✗ refused" in section["gates"]
    assert "refused: over-refusal" in section["gates"]
    issued = replace(given, certificate={**given.certificate, "issued": True})
    assert "✓ issued" in build_report(issued, tmp_path)[0].read_text("utf-8")


def test_the_portfolio_shows_what_would_change_each_line(section: dict[str, str]) -> None:
    text = section["portfolio"]
    assert "supports: intermediate" in text
    assert "not measured in this run" in text
    assert "unmeasured" in text


def test_before_and_after_of_the_battery_stand_together(section: dict[str, str]) -> None:
    text = section["assessment"]
    assert "50.0%" in text
    assert "40.0%" in text
    assert "−10.0 points" in text


def test_the_explanation_goes_from_what_separates_to_what_it_causes(section: dict[str, str]) -> None:
    text = section["explanation"]
    places = [text.index(words) for words in ("75.0%", "begin alike", "25.0 points")]
    assert places == sorted(places)
    assert "55.0%" not in text  # the same within a family is among the measurements only
