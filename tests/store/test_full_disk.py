"""A full disk: one clear line, nothing half written, and going on once there is space again."""

import os
import random
import sqlite3
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from store_fakes import Config, FakeModel, method, record_of

from stepladder.core import Reply, StoreError
from stepladder.store import load_tensors, open_store, save_tensors

COUNT = 120


class Talkative(FakeModel):
    """Answers that fill a disk and that don't compress."""

    async def reply_many(self, requests):
        replies = await super().reply_many(requests)
        texts = [random.Random(reply.text).randbytes(1500).hex() for reply in replies]
        return [Reply(text=text, tokens_out=1) for text in texts]


def technique(context, config):
    save_tensors(context.folder / "w.safetensors", {"w": np.random.default_rng(0).normal(size=20_000)})
    return record_of(context, config).model_copy(update={"artifacts": {"w": "w.safetensors"}})


def run(folder, model):
    with open_store(folder, concurrency=4) as store:
        return store.run_method(method(technique), store.context(model, seed=0), Config(count=COUNT))


def check_whole(folder):
    """Whatever is there is whole."""
    assert not list(folder.rglob("*.tmp"))
    for log in folder.rglob("*.eval"):
        assert zipfile.ZipFile(log).testzip() is None
    for tensors in folder.rglob("*.safetensors"):
        assert load_tensors(tensors)["w"].shape == (20_000,)
    if (folder / "ledger.db").exists():
        with sqlite3.connect(folder / "ledger.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole") / "store", Talkative())


def check_clear(error):
    assert "\n" not in str(error)
    assert "free some space" in str(error)


def finish(folder, model, expected):
    """With space again: the same record, and only what was in flight is asked again."""
    assert run(folder, model) == expected
    assert len(set(model.asked)) == COUNT
    with open_store(folder) as store:
        assert [record.key for record in store.records()] == [expected.key]
        assert store.load_record(store.log_path(expected)) == expected


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 8 MB, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "stepladder-test", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs the superuser")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("free", [0, 20, 60, 150, 300, 600, 1000, 1300, 1700, 2200])
def test_a_really_full_disk(small_disk, expected, free):
    ballast, folder, model = small_disk / "ballast", small_disk / "store", Talkative()
    ballast.write_bytes(bytes((8 * 1024 - free) * 1024))
    with pytest.raises(StoreError) as error:
        run(folder, model)
    check_clear(error.value)
    ballast.unlink()
    check_whole(small_disk)
    finish(folder, model, expected)
    assert len(model.asked) <= COUNT + 4


LIMITED = """
import resource, sys
from test_full_disk import Talkative, run
from pathlib import Path
from stepladder.core import StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
model = Talkative()
try:
    run(Path(sys.argv[1]), model)
except StoreError as error:
    print(len(model.asked), error)
"""


@pytest.mark.parametrize("limit", [10_000, 200_000, 600_000])
def test_a_file_that_may_not_grow(tmp_path, expected, limit):
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "store"), str(limit)]
    environment = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert "free some space" in line
    check_whole(tmp_path)
    model, before = Talkative(), int(line.split()[0])
    assert run(tmp_path / "store", model) == expected
    assert before + len(model.asked) <= COUNT + 4


@pytest.mark.parametrize("call", range(4))
def test_no_space_for_a_file_at_any_step(tmp_path, monkeypatch, expected, call):
    """The n-th of the tensors, their name, the log, its name finds no space."""
    model, step = Talkative(), iter(range(100))
    name = ("fsync", "replace")[call % 2]
    real = getattr(os, name)

    def full(*arguments):
        if next(step) == (call // 2) * (2 if name == "fsync" else 1):
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, name, full)
    with pytest.raises(StoreError) as error:
        run(tmp_path, model)
    check_clear(error.value)
    check_whole(tmp_path)
    with open_store(tmp_path) as store:
        assert store.records() == ()
    monkeypatch.undo()
    finish(tmp_path, model, expected)
    assert len(model.asked) == COUNT
