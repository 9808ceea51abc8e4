"""What the framework itself costs a sample, and how long the whole demo takes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.rows import Row, row
from stepladder.core import Message, Request
from stepladder.execution import Budget, Progress
from stepladder.models import open_model
from stepladder.store import open_store

SAMPLES = 2000


def rows() -> list[Row]:
    """Cost of asking, storing and logging per sample; the demo installed, then again unchanged."""
    return [
        row("framework cost", "none", _cost(), None, "ms a sample", note=f"{SAMPLES} scripted answers, asked and stored"),
        *_demo(),
    ]


def _cost() -> float:
    model = open_model("scripted/echo")
    asked = [Request(id=str(i), messages=(Message(role="user", content=f"Say {i}"),)) for i in range(SAMPLES)]
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(Path(folder), progress=Progress(quiet=True), budget=Budget()) as store,
    ):
        start = time.perf_counter()
        store.ask(model, asked, label="bench")
        return (time.perf_counter() - start) * 1000 / SAMPLES


def _demo() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).with_name("stepladder")),
            "run",
            "--subject",
            "smollm2",
            "--name",
            "demo",
            "--store",
            folder,
        ]

        def seconds() -> float:
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            return time.perf_counter() - start

        first, second = seconds(), seconds()
    return [
        row("make demo once installed", "none", first, None, "s a run"),
        row("make demo, unchanged second run", "none", second, None, "s a run"),
    ]
