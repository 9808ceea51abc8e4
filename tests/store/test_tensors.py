import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from stepladder.core import StoreError
from stepladder.store import load_metadata, load_tensors, open_store, save_tensors, save_text

ARRAYS = st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.uint8, np.bool_]).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)


@given(
    st.dictionaries(st.text(min_size=1).filter(lambda name: name != "__metadata__"), ARRAYS, min_size=1, max_size=3),
    st.dictionaries(st.text(), st.text()),
)
@settings(max_examples=30, deadline=None)
def test_arrays_and_metadata_come_back_as_they_were(tensors, metadata):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ordner ä" / "x.safetensors"
        save_tensors(path, tensors, metadata)
        read = load_tensors(path)
        assert load_metadata(path) == metadata
    assert set(read) == set(tensors)
    for name, array in tensors.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_a_transposed_array_is_stored_as_it_looks(tmp_path):
    array = np.arange(6.0).reshape(2, 3).T
    save_tensors(tmp_path / "x.safetensors", {"a": array})
    np.testing.assert_array_equal(load_tensors(tmp_path / "x.safetensors")["a"], array)


def test_what_is_no_file_of_tensors_is_one_clear_line(tmp_path):
    (tmp_path / "bad.safetensors").write_text("hello")
    for name, problem in (("bad.safetensors", "not a readable safetensors"), ("none.safetensors", "no such file")):
        with pytest.raises(StoreError, match=problem):
            load_tensors(tmp_path / name)


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "x.txt"
    save_text(path, "old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StoreError, match="the disk is full"):
        save_text(path, "new")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("x.txt", "old")]


def test_what_a_killed_process_left_half_written_is_removed_and_a_living_one_s_is_not(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    records = tmp_path / "records"
    records.mkdir()
    for process in (dead.pid, os.getpid()):
        (records / f".r.eval.{process}.tmp").touch()
    open_store(tmp_path).close()
    assert [path.name for path in records.iterdir()] == [f".r.eval.{os.getpid()}.tmp"]


KILLED_WHILE_WRITING = """
import itertools, os, random, signal, sys, time
from pathlib import Path
from stepladder.store import save_text

path, size = Path(sys.argv[1]), 3_000_000
save_text(path, size * "a")
for _ in range(40):
    child = os.fork()
    if child == 0:
        for letter in itertools.cycle("bcde"):
            save_text(path, size * letter)
    time.sleep(random.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    text = path.read_text()
    assert len(text) == size and len(set(text)) == 1, "half written"
"""


def test_a_file_whose_writer_is_killed_is_whole(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path / "x")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
