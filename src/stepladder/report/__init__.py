"""Findings as tables, pictures and chosen transcripts: one self-contained HTML file, JSON, and a table for the terminal."""

from stepladder.report.build import HTML_NAME, JSON_NAME, build_report, compose, write_report
from stepladder.report.document import SECTIONS, Gate, GateRow, OutcomeCount, Report, ReportInput, Transcript, read_report
from stepladder.report.terminal import console_table, finding_table, to_text
from stepladder.report.transcripts import choose_transcripts

__all__ = [
    "HTML_NAME",
    "JSON_NAME",
    "SECTIONS",
    "Gate",
    "GateRow",
    "OutcomeCount",
    "Report",
    "ReportInput",
    "Transcript",
    "build_report",
    "choose_transcripts",
    "compose",
    "console_table",
    "finding_table",
    "missing_sections",
    "read_report",
    "to_text",
    "write_report",
]


def __getattr__(name: str) -> object:
    # Imported late: `python -m stepladder.report.check` would otherwise import the module that it runs.
    if name == "missing_sections":
        from stepladder.report.check import missing_sections

        return missing_sections
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
