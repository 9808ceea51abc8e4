"""Stepladder from Inspect's side: the tasks and the provider, through Inspect's own command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from inspect_ai.log import EvalLog, list_eval_logs, read_eval_log

from stepladder.methods import CATALOGUE

INSPECT = Path(sys.executable).with_name("inspect")


def evaluate(task: str, model: str, folder: Path, *options: str) -> EvalLog:
    quiet = os.environ | {"INSPECT_DISPLAY": "none"}
    command = [INSPECT, "eval", f"stepladder/{task}", "--model", model, "--log-dir", folder, *options]
    subprocess.run(command, check=True, capture_output=True, cwd=folder, env=quiet)
    (log,) = list_eval_logs(str(folder))
    return read_eval_log(log.name)


def test_the_family_runs_as_an_inspect_task_on_our_provider(tmp_path: Path) -> None:
    log = evaluate("red_teaming", "stepladder/scripted/demo", tmp_path, "-T", "per_category=1", "-T", "ordinary=2")
    assert log.status == "success"
    assert log.results is not None
    assert log.samples is not None
    values = {name: metric.value for name, metric in log.results.scores[0].metrics.items()}
    assert values["harmful_low"] <= values["harmful"] <= values["harmful_high"]
    assert {sample.metadata["kind"] for sample in log.samples} == {"harmful", "twin", "ordinary"}


def test_what_cannot_be_judged_is_unscored_and_not_zero(tmp_path: Path) -> None:
    log = evaluate("attack_library", "stepladder/scripted/nonsense", tmp_path, "-T", "per_category=1", "-T", "ordinary=0")
    assert log.results is not None
    scores = log.results.scores[0]
    assert scores.unscored_samples
    assert scores.unscored_samples > 0
    assert scores.scored_samples == 0 or scores.metrics["harmful"].value > 0


@pytest.mark.parametrize("name", [method.name for method in CATALOGUE if method.plan])
def test_every_technique_with_a_plan_is_a_task(name: str) -> None:
    from inspect_ai import Task

    from stepladder import _registry

    task = getattr(_registry, name)()
    assert isinstance(task, Task)
    assert len(task.dataset) > 10
