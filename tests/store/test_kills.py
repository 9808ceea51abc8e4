"""`kill -9` at random moments: the same result, and nothing asked twice but what was in flight (`kill_runner` checks)."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUNNER = Path(__file__).with_name("kill_runner.py")


def kill(folder, seed, kills, batch):
    command = [sys.executable, str(RUNNER), str(folder), str(seed), str(kills), str(batch)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(RUNNER.parent)})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("batch", [1, 8])
def test_a_run_killed_at_random_moments_ends_like_one_that_never_was(tmp_path, batch):
    assert kill(tmp_path, seed=batch, kills=12, batch=batch)["kills"] >= 12


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 4, 64])
def test_hundreds_of_kills_change_nothing(tmp_path, batch):
    assert kill(tmp_path, seed=100 + batch, kills=300, batch=batch)["kills"] >= 300


CTRL_C = """
import sys
import time
from pathlib import Path
from kill_runner import job
from stepladder.execution import Interrupted
try:
    job(Path(sys.argv[1]), int(sys.argv[2]))
except Interrupted:
    sys.exit(130)
"""


@pytest.mark.parametrize("batch", [1, 8])
def test_after_ctrl_c_nothing_at_all_is_asked_twice(tmp_path, batch):
    command = [sys.executable, "-c", CTRL_C, str(tmp_path), str(batch)]
    environment = os.environ | {"PYTHONPATH": str(RUNNER.parent)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    while not (tmp_path / "asked").exists() or not (tmp_path / "asked").read_text():
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    before = (tmp_path / "asked").read_text().split()
    assert 0 < len(before) < 68
    subprocess.run(command, env=environment, check=True)
    asked = (tmp_path / "asked").read_text().split()
    assert len(asked) == len(set(asked)) == 68
