"""Whether a report is whole: `python -m stepladder.report.check runs/demo/report.html` exits 1 and names what is missing.

A section is there when it has its heading and something under it. A section that says in a sentence why it has no content
is there too; it is named as empty without failing.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path

from stepladder.core import DataError, StepladderError
from stepladder.report.document import SECTIONS


class _Sections(HTMLParser):
    """Text under each section's heading, by section id."""

    def __init__(self) -> None:
        super().__init__()
        self.heading: dict[str, str] = {}
        self.body: dict[str, str] = {}
        self.empty: set[str] = set()
        self._open: list[str] = []
        self._in_heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "section":
            self._open.append(given.get("id") or "")
            self.empty |= {self._open[-1]} if "data-empty" in given else set()
        self._in_heading = tag == "h2" or (self._in_heading and tag != "section")

    def handle_endtag(self, tag: str) -> None:
        self._in_heading = self._in_heading and tag != "h2"
        if tag == "section" and self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            place = self.heading if self._in_heading else self.body
            place[self._open[-1]] = place.get(self._open[-1], "") + data.strip()


def _read(path: Path) -> _Sections:
    found = _Sections()
    try:
        found.feed(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(path, "is not a report: not UTF-8 text") from None
    return found


def missing_sections(path: Path) -> list[str]:
    """Ids of the sections that the page lacks: no such section, no heading, or nothing under it."""
    found = _read(Path(path))
    return [section for section in SECTIONS if not (found.heading.get(section) and found.body.get(section))]


def empty_sections(path: Path) -> list[str]:
    """Ids of the sections that are there but only say why they have no content."""
    found = _read(Path(path))
    return [section for section in SECTIONS if section in found.empty]


def main(arguments: list[str]) -> int:
    """Check the one page named; the exit code."""
    if len(arguments) != 1:
        print("usage: python -m stepladder.report.check REPORT.html", file=sys.stderr)
        return 2
    try:
        missing, empty = missing_sections(Path(arguments[0])), empty_sections(Path(arguments[0]))
    except StepladderError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for section in empty:
        print(f"{arguments[0]}: section without content: {section}", file=sys.stderr)
    for section in missing:
        print(f"{arguments[0]}: missing section: {section}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
