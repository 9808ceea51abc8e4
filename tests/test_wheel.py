"""The wheel alone, in an empty environment without torch: help answers at once, and the scripted run works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `stepladder` command of a fresh environment that holds our wheel and its base dependencies only."""
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", place, ROOT], check=True, capture_output=True)
    venv.create(place / "env", with_pip=True)
    python = place / "env" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", ROOT / "constraints.txt"]
    subprocess.run([*pip, "pip"], check=True, capture_output=True)
    subprocess.run([*pip, *place.glob("*.whl")], check=True, capture_output=True)
    return place / "env" / "bin" / "stepladder"


def test_help_answers_in_half_a_second_without_torch(command: Path) -> None:
    def once() -> float:
        start = time.perf_counter()
        subprocess.run([command, "--help"], check=True, capture_output=True)
        return time.perf_counter() - start

    assert min(once() for _ in range(5)) < 0.5
    assert subprocess.run([command.parent / "python", "-c", "import torch"], capture_output=True).returncode != 0


def test_scripted_run_writes_its_report(command: Path, tmp_path: Path) -> None:
    run = [command, "run", "--subject", "scripted/demo", "--name", "wheel", "--store", tmp_path]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"COLUMNS": "120"})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "wheel" / "report.html").stat().st_size > 10_000
    assert json.loads((tmp_path / "wheel" / "report.json").read_text("utf-8"))["findings"]


def test_a_model_that_needs_the_extra_says_how_to_get_it(command: Path, tmp_path: Path) -> None:
    run = [command, "run", "--subject", "smollm2", "--store", tmp_path]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0
    assert "pip install" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
