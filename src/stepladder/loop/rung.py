"""One rung: find, strengthen, find again, hold the result against the release policy, report.

    find            attack_library on the subject                        -> record, verdicts, finding
    best_of_n       best_of_n on the subject
    safeguards      constitutional_classifiers, trained on what was found -> a guard
    find_again      attack_library on the guarded subject; the guard that answers an attack never saw its family
    best_of_n_again best_of_n on the guarded subject; no guard was trained on its augmentations
    report          the findings, ten transcripts, the gates

Every stage is stored under a key of all that determines it, so the same command goes on where a killed one stopped and
costs nothing where nothing changed. The report can be drawn again from its own JSON alone.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import stepladder
from stepladder.core import ChatModel, UnknownName
from stepladder.data import load_policy
from stepladder.loop.measure import Bench, Measured, measure
from stepladder.loop.policy import GateResult, check_policy
from stepladder.methods import get_method
from stepladder.methods.safeguards import GuardedModel, load_guard
from stepladder.report import JSON_NAME, ReportInput, build_report, read_report, write_report


@dataclass(frozen=True)
class Rung:
    """What one pass of the loop left."""

    stages: Mapping[str, Measured]
    gates: tuple[GateResult, ...]
    report: ReportInput
    html: Path
    json: Path


def run(bench: Bench, name: str, policy_path: Path | None = None) -> Rung:
    """Run all stages on the bench and write the report into `<store>/<name>`."""
    started = time.time()
    policy = load_policy(policy_path)
    stages = _stages(bench)
    gates = check_policy(policy, {stage: measured.finding for stage, measured in stages.items()})
    given = _report_input(bench, name, stages, gates, started)
    folder = bench.store.folder / name
    html, data = build_report(given, folder)
    return Rung(stages, gates, given, html, data)


def _stages(bench: Bench) -> dict[str, Measured]:
    library, best_of_n = get_method("attack_library"), get_method("best_of_n")
    classifiers = get_method("constitutional_classifiers")
    find = measure(bench, library)
    sampled = measure(bench, best_of_n)
    safeguards = measure(bench, classifiers, inputs={"attack_library": find})
    guarded = replace(bench, subject=guard_subject(bench, safeguards))
    return {
        "find": find,
        "best_of_n": sampled,
        "safeguards": safeguards,
        "find_again": measure(guarded, library),
        "best_of_n_again": measure(guarded, best_of_n),
    }


def guard_subject(bench: Bench, safeguards: Measured) -> ChatModel:
    """The bench's subject behind the guard that `safeguards` trained; answers already known are not asked again."""
    guard = load_guard(bench.store.artifacts(safeguards.record), safeguards.record)
    return GuardedModel(bench.store.cached(bench.subject), guard, features=bench.subject)


def _report_input(
    bench: Bench, name: str, stages: Mapping[str, Measured], gates: tuple[GateResult, ...], started: float
) -> ReportInput:
    return ReportInput(
        title=f"Stepladder run {name}: {bench.subject.name}",
        run=_run_info(bench, name, stages, started),
        findings={stage: measured.finding for stage, measured in stages.items()},
        records={stage: measured.record for stage, measured in stages.items()},
        verdicts={stage: measured.verdicts for stage, measured in stages.items()},
        gates=gates,
        limits=tuple(dict.fromkeys(limit for measured in stages.values() for limit in measured.finding.limits)),
    )


def _run_info(bench: Bench, name: str, stages: Mapping[str, Measured], started: float) -> dict[str, Any]:
    from importlib.metadata import PackageNotFoundError, version

    def installed(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    packages = ("inspect-ai", "torch", "transformers", "scikit-learn", "numpy")
    return {
        "name": name,
        "subject": bench.subject.name,
        "helper": bench.helper.name if bench.helper else None,
        "judge": bench.judge.name + (f"@{bench.judge_model.name}" if bench.judge_model else ""),
        "seed": bench.seed,
        "versions": {"stepladder": stepladder.__version__} | {package: installed(package) for package in packages},
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 1),
        "cost": {stage: measured.record.cost.model_dump() for stage, measured in stages.items()},
        "records": {stage: measured.record.key for stage, measured in stages.items()},
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def rebuild_report(store_folder: Path, name: str) -> tuple[Path, Path]:
    """Draw a stored run's report again from its `report.json`; asks no model and judges nothing."""
    folder = store_folder / name
    if not (folder / JSON_NAME).is_file():
        runs = sorted(path.parent.name for path in store_folder.glob(f"*/{JSON_NAME}"))
        raise UnknownName("run", name, runs or [f"none in {store_folder} yet; stepladder run makes one"])
    return write_report(read_report(folder / JSON_NAME), folder)
