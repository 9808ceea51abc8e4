"""`kill -9` at random moments: the same result, and nothing asked twice but what was in flight (`kill_runner` checks)."""

import json
import os
import subprocess
import sys
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
