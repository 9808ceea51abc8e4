"""Ctrl-C, by real signals to real processes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import asyncio, sys
from pathlib import Path
from stepladder.execution import Interrupted, Progress, map_units

log = Path(sys.argv[1])
seconds = float(sys.argv[2])

async def work(unit):
    with log.open("a") as file:
        file.write(f"begin {unit}\\n")
    await asyncio.sleep(seconds)
    with log.open("a") as file:
        file.write(f"end {unit}\\n")

try:
    map_units(range(1000), work, concurrency=3, progress=Progress(quiet=True), label="x")
except Interrupted as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def start(log: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(log), str(seconds)], stderr=subprocess.PIPE, text=True)
    while not log.exists() or log.read_text().count("begin") < 3:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    return process


def test_ctrl_c_lets_what_is_in_flight_finish_and_exits_130_with_one_line_that_says_how_to_go_on(tmp_path):
    process = start(tmp_path / "log", 0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    lines = (tmp_path / "log").read_text().split("\n")
    begun = {line.split()[1] for line in lines if line.startswith("begin")}
    ended = {line.split()[1] for line in lines if line.startswith("end")}
    assert process.returncode == 130
    assert begun == ended
    assert len(begun) < 1000
    assert "same command goes on from there" in errors.splitlines()[-1]
    assert "Traceback" not in errors


def test_a_second_ctrl_c_kills_at_once(tmp_path):
    process = start(tmp_path / "log", 60)
    process.send_signal(signal.SIGINT)
    assert "Ctrl-C again" in process.stderr.readline() + process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=5)
    assert process.returncode == -signal.SIGINT


def test_ctrl_c_works_as_before_after_the_work():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
