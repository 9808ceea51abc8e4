"""Folders exchanged with sae-lens itself, in an environment of its own (made by `python -m benchmarks`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from safetensors.torch import load_file  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from random_dictionaries import D, every_dictionary  # noqa: E402

from stepladder.methods.interpretability.saelens import load_dictionary, save_dictionary  # noqa: E402

PYTHON = Path(__file__).parents[3] / "bench-work" / "envs" / "sae-lens" / "bin" / "python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason=f"sae-lens has no environment at {PYTHON}"),
]


def sae_lens(*arguments: str | Path) -> None:
    script = Path(__file__).with_name("peer_sae_lens.py")
    done = subprocess.run([PYTHON, script, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_their_folders_give_their_codes_and_reconstructions(tmp_path: Path) -> None:
    sae_lens("make", tmp_path)
    folders = sorted(tmp_path.iterdir())
    assert len(folders) == 12
    for folder in folders:
        dictionary, seen = load_dictionary(folder), load_file(folder / "seen.safetensors")
        codes = dictionary.encode(seen["x"])
        assert (seen["codes"] > 0).any(1).float().mean() > 0.9, folder.name
        torch.testing.assert_close(codes, seen["codes"], atol=1e-5, rtol=1e-4, msg=folder.name)
        torch.testing.assert_close(dictionary.decode(codes), seen["output"], atol=1e-5, rtol=1e-4, msg=folder.name)
    assert (load_dictionary(tmp_path / "gated").layer, load_dictionary(tmp_path / "gated").site) == (3, "mlp")
    assert load_dictionary(tmp_path / "matryoshka_training").architecture == "matryoshka"


def test_our_folders_give_our_codes_and_reconstructions_in_theirs(tmp_path: Path) -> None:
    ours = {name: d for name, d in every_dictionary().items() if name != "topk_transcoder"}  # sparsify's, not theirs
    for name, dictionary in ours.items():
        save_dictionary(dictionary, tmp_path / name)
    sae_lens("read", tmp_path)
    for name, dictionary in ours.items():
        seen = load_file(tmp_path / name / "seen.safetensors")
        assert seen["x"].shape[1] == D
        codes = dictionary.encode(seen["x"])
        torch.testing.assert_close(codes, seen["codes"], atol=1e-5, rtol=1e-4, msg=name)
        torch.testing.assert_close(dictionary.decode(codes), seen["output"], atol=1e-5, rtol=1e-4, msg=name)
