"""Measure judges against labelled files and write what was found: `python -m stepladder.judges.calibrate FILE...
--judge NAME`.

The patterns were written while reading one half of the labelled questions, so by default only the other half is measured.
Questions are split by a digest of their id, so the halves are the same on every machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from stepladder.core import ChatModel, DataError, StepladderError
from stepladder.data import LabelledSet, read_labelled
from stepladder.judges import get_judge, measure_judge
from stepladder.judges.calibration import Calibration, JudgeReport, read_calibration

_HALVES = {"read": 0, "unread": 1}


def take(labelled: LabelledSet, half: str, rows: int | None) -> LabelledSet:
    """The exchanges of one half of the questions (`read`, `unread` or `all`), at most `rows` of them, drawn by digest."""
    chosen = [e for e in labelled.exchanges if half == "all" or _half(str(e.metadata["behaviour"])) == _HALVES[half]]
    kept = {e.id for e in sorted(chosen, key=lambda e: sha256(f"sample|{e.id}".encode()).digest())[:rows]}
    return dataclasses.replace(labelled, exchanges=tuple(e for e in chosen if e.id in kept))


def _half(question: str) -> int:
    return int(sha256(f"judges|{question}".encode()).hexdigest(), 16) % 2


def merged(known: Calibration, new: Sequence[JudgeReport]) -> Calibration:
    """The reports of both, a new one in the place of an old one of the same judge and data set."""
    names = {(report.judge, report.data_set) for report in new}
    kept = [report for report in known.reports if (report.judge, report.data_set) not in names]
    return Calibration(reports=tuple(sorted((*kept, *new), key=lambda report: (report.judge, report.data_set))))


def line(report: JudgeReport) -> str:
    """One row of the table that the documentation shows."""

    def cell(name: str, **labels: str) -> str:
        found = [m for m in report.measurements if m.name == name and labels.items() == m.labels.items()]
        if not found or found[0].value is None:
            return "not measured"
        interval = found[0].interval
        return f"{found[0].value:.3f}" + (f" [{interval.low:.3f}, {interval.high:.3f}]" if interval else "")

    base = {m.name: m.baseline.value for m in report.measurements if m.baseline and not m.labels}
    cells = [
        f"{report.judge} ({report.model})" if report.model else report.judge,
        report.data_set,
        f"{report.rows} / {report.questions}",
        str(sum(report.unmeasured.values())),
        cell("agreement"),
        f"{base.get('agreement') or 0:.3f}",
        cell("sensitivity"),
        cell("specificity"),
        cell("auroc"),
        f"{base.get('auroc') or 0:.3f}",
    ]
    return "| " + " | ".join(cells) + " |"


HEADER = (
    "| judge | people's labels | rows / questions | unmeasured | agreement | majority | sensitivity | specificity "
    "| AUROC | AUROC of length |\n|---|---|---|---|---|---|---|---|---|---|"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stepladder.judges.calibrate", description=__doc__)
    parser.add_argument(
        "files", nargs="+", type=Path, help="labelled sets: XSTest completions, GPTFuzz responses, PyRIT csv"
    )
    parser.add_argument("--judge", action="append", required=True, help="a judge's name; may be given several times")
    parser.add_argument("--model", default=None, help="the model that the judge asks or reads")
    parser.add_argument("--half", choices=["read", "unread", "all"], default="unread", help="which half of the questions")
    parser.add_argument("--rows", type=int, default=None, help="at most that many rows of each file")
    parser.add_argument("--out", type=Path, default=None, help="calibration file to add to")
    options = parser.parse_args(arguments)
    try:
        reports = _measure(options)
        if options.out:
            _write(options.out, merged(read_calibration(options.out), reports))
    except StepladderError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(HEADER, *(line(report) for report in reports), sep="\n")
    return 0


def _measure(options: argparse.Namespace) -> list[JudgeReport]:
    model = _open(options.model) if options.model else None
    today = datetime.date.today().isoformat()
    sets = [take(read_labelled(path), options.half, options.rows) for path in options.files]
    for path, labelled in zip(options.files, sets, strict=True):
        if not labelled.exchanges:
            raise DataError(path, f"no question of it is in the half {options.half!r}; allowed: read, unread, all")
    judges = [get_judge(name) for name in options.judge]
    return [measure_judge(judge, labelled, model, options.half, today) for judge in judges for labelled in sets]


def _open(name: str) -> ChatModel:
    from stepladder.models import open_model

    return open_model(name)


def _write(path: Path, calibration: Calibration) -> None:
    path.write_text(calibration.model_dump_json(indent=1, exclude_defaults=True) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
