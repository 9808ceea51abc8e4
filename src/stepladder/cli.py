"""The command line: `stepladder run | measure | calibrate | judge | report | models | methods | doctor`.

Commands parse their options, call one function of a room below and print what it returns: tables for people on stdout,
or with `--json` one JSON document; progress goes to stderr. Whatever a user can cause ends in one line and a non-zero
exit. Rooms are imported inside the commands, so that `stepladder --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from stepladder import __version__
from stepladder.core.errors import StepladderError, UnknownName

if TYPE_CHECKING:
    from stepladder.loop import Bench
    from stepladder.store import Store


@dataclass(frozen=True)
class Shared:
    """Options of every command that measures."""

    budget: str = ""
    """Stop cleanly after this much, e.g. "200k tokens, 10m, $2". The same command goes on from there."""
    store: Path = Path("runs")
    """Folder of the ledger, the records, the reports and the pictures."""
    json: bool = False
    """Print one JSON document instead of tables."""


@dataclass(frozen=True)
class Options(Shared):
    """Options that every command which asks one subject understands."""

    subject: str = "smollm2"
    """The model under study: smollm2, hf/<id or folder>, scripted/<name>, or any Inspect model (see `stepladder models`)."""
    helper: str | None = None
    """A model that helps (writes synthetic data); templates are used when there is none."""
    judge: str = "refusal"
    """The judge, NAME or NAME@MODEL; a judge that needs a model reads by the subject unless one is named."""
    seed: int = 0
    """Seed of everything random."""


@dataclass(frozen=True)
class Run(Options):
    """Find, strengthen, find again on one subject; ends with a table and the path of the report."""

    name: str = "run"
    """The report goes to <store>/<name>/report.html and report.json."""
    policy: Path | None = None
    """A release policy (YAML); the shipped one otherwise."""


@dataclass(frozen=True, kw_only=True)
class Judge(Options):
    """Judge a stored record again with --judge, without asking the subject, and show which verdicts flipped."""

    record: Annotated[str, tyro.conf.Positional]
    """A record's key or a unique beginning of it, or an Inspect log (.eval), ours or anyone's."""
    against: str = "refusal_patterns"
    """The judge to compare with."""
    labels: Path | None = None
    """The file of people's labels that the judge `human` reads."""


@dataclass(frozen=True)
class Calibrate(Shared):
    """Measure techniques on organisms with planted behaviours and on their clean twins; goes on where it was stopped."""

    methods: tuple[str, ...] = ()
    """Techniques (default: all; those that detect nothing are only listed)."""
    kinds: tuple[str, ...] = ()
    """Kinds of organisms, or Python files that describe one (default: all kinds)."""
    bases: tuple[str, ...] = ("smollm2",)
    """Models to grow organisms on: smollm2, scratch/1m, scratch/3m, scratch/10m, hf/<folder>."""
    seeds: int = 3
    """Plantings of each kind, with seeds 0, 1, ...; what is independent is the planting."""
    doses: tuple[float, ...] = (1.0,)
    """Shares of the planted rows, in (0, 1]."""


@dataclass(frozen=True)
class Report:
    """Build a stored run's report again from the store; asks no model."""

    name: Annotated[str, tyro.conf.Positional] = "run"
    store: Path = Path("runs")
    json: bool = False


@dataclass(frozen=True)
class Listing:
    """Options of the listing commands."""

    json: bool = False
    """Print one JSON document instead of a table."""


WIDTH = 130
"""Columns of a table that is not printed on a terminal."""

COMMANDS = {
    "run": "find, strengthen, find again on one subject, and report",
    "measure": "run one technique: stepladder measure METHOD",
    "calibrate": "measure techniques on organisms with planted behaviours and their clean twins",
    "judge": "judge a stored record again: stepladder judge RECORD --judge JUDGE",
    "report": "build a stored run's report again",
    "models": "the models that can be named, and what access they give",
    "methods": "the techniques in the catalogue",
    "doctor": "what is missing on this machine and how to get it",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point: exits 0, or non-zero after one clear line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _dispatch(arguments)
    except StepladderError as error:
        print(f"stepladder: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("stepladder: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)


def _dispatch(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
    elif arguments[0] == "--version":
        print(f"stepladder {__version__}")
    elif arguments[0] not in COMMANDS:
        raise UnknownName("command", arguments[0], list(COMMANDS))
    else:
        _HANDLERS[arguments[0]](arguments[1:])


def _help() -> str:
    lines = [f"  {name:<11}{text}" for name, text in COMMANDS.items()]
    head = ["usage: stepladder COMMAND [OPTIONS]", "", "AI-assisted alignment, one tested rung at a time.", ""]
    return "\n".join([*head, *lines, "", "stepladder COMMAND --help shows a command's options."])


def _parse(kind: type[Any], command: str, arguments: list[str]) -> Any:
    return tyro.cli(kind, prog=f"stepladder {command}", args=arguments, config=(tyro.conf.OmitArgPrefixes,))


@contextmanager
def _bench(options: Options) -> Iterator[Bench]:
    from stepladder.loop import open_bench

    with _store(options) as store:
        yield open_bench(store, options.subject, options.judge, options.helper, options.seed)


def _store(options: Shared) -> Store:
    from stepladder.execution import Budget, Progress
    from stepladder.store import open_store

    return open_store(options.store, progress=Progress(quiet=options.json), budget=Budget.parse(options.budget))


def _run(arguments: list[str]) -> None:
    options = _parse(Run, "run", arguments)
    from stepladder.loop import run
    from stepladder.report import console_table

    with _bench(options) as bench:
        rung = run(bench, options.name, options.policy)
    if options.json:
        print(rung.json.read_text("utf-8"))
    else:
        _print(console_table(rung.report), f"report: {rung.html}", f"data:   {rung.json}")


def _measure(arguments: list[str]) -> None:
    from stepladder.loop import measure
    from stepladder.methods import CATALOGUE, get_method
    from stepladder.report import finding_table

    if not arguments or arguments[0] in ("-h", "--help"):
        lines = [f"  {method.name:<28}{method.summary}" for method in CATALOGUE]
        print("\n".join(["usage: stepladder measure METHOD [OPTIONS]", "", *lines]))
        return
    method = get_method(arguments[0])
    kind = make_dataclass("Measure", [("options", Options), ("config", method.config)], frozen=True)
    kind.__doc__ = method.summary
    parsed = _parse(kind, f"measure {method.name}", arguments[1:])
    with _bench(parsed.options) as bench:
        measured = measure(bench, method, parsed.config)
    if parsed.options.json:
        print(measured.finding.to_json())
    else:
        _print(finding_table(measured.finding), f"record: {measured.record.key}")


def _calibrate(arguments: list[str]) -> None:
    options = _parse(Calibrate, "calibrate", arguments)
    from stepladder.calibration import COLUMNS, calibrate, make_plan, notes, table_rows

    plan = make_plan(options.methods, options.kinds, options.bases, options.seeds, options.doses)
    with _store(options) as store:
        matrix = calibrate(store, plan)
    if options.json:
        print(matrix.to_json())
    else:
        _table(COLUMNS, table_rows(matrix))
        _print(*notes(matrix), f"pictures: {options.store / 'calibration' / 'index.html'}")


def _judge(arguments: list[str]) -> None:
    options = _parse(Judge, "judge", arguments)
    from stepladder.loop import rejudge

    with _store(options) as store:
        done = rejudge(store, options.record, options.judge, options.against, options.labels)
    if options.json:
        print(done.to_json())
        return
    _table(("exchange", done.against, done.judge), [(f.exchange, f.before, f.after) for f in done.flips])
    kappa = done.agreement
    shown = kappa.reason if kappa.value is None else f"kappa {kappa.value:.3f}"
    _print(f"{len(done.flips)} of {sum(done.counts.values())} verdicts flipped; {shown}", *sorted(_counts(done.counts)))


def _report(arguments: list[str]) -> None:
    options = _parse(Report, "report", arguments)
    from stepladder.loop import rebuild_report

    html, data = rebuild_report(options.store, options.name)
    print(data.read_text("utf-8") if options.json else f"report: {html}\ndata:   {data}")


def _models(arguments: list[str]) -> None:
    options = _parse(Listing, "models", arguments)
    from stepladder.models import model_table

    rows = [(m.name, m.access, "yes" if m.available else "no", m.how) for m in model_table()]
    _rows(options, ("model", "access", "available", "how"), rows)


def _methods(arguments: list[str]) -> None:
    options = _parse(Listing, "methods", arguments)
    from stepladder.methods import CATALOGUE

    rows = [(m.name, m.family, m.access, ", ".join(m.papers), m.summary) for m in CATALOGUE]
    _rows(options, ("method", "family", "access", "papers", "what it does"), rows)


def _doctor(arguments: list[str]) -> None:
    options = _parse(Listing, "doctor", arguments)
    from stepladder.loop import examine

    checks = examine()
    _rows(options, ("check", "found", "how to mend it"), [(c.name, c.found, c.mend if not c.ok else "") for c in checks])
    if any(c.required and not c.ok for c in checks):
        sys.exit(1)


def _rows(options: Listing, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    if options.json:
        import json

        print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2, ensure_ascii=False))
    else:
        _table(columns, rows)


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(Text, row))
    _print(table)


def _counts(counts: Mapping[str, int]) -> list[str]:
    return [f"  {n:>6}  {what}" for what, n in counts.items()]


def _print(*things: Any) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH
    console = Console(markup=False, highlight=False, soft_wrap=False, width=width)
    for thing in things:
        console.print(thing, soft_wrap=isinstance(thing, str))


_HANDLERS: dict[str, Callable[[list[str]], None]] = {
    "run": _run,
    "measure": _measure,
    "calibrate": _calibrate,
    "judge": _judge,
    "report": _report,
    "models": _models,
    "methods": _methods,
    "doctor": _doctor,
}
