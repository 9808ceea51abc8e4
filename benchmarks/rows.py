"""A row of `results.json`, and how a peer is run: in an environment of its own, as a process, on the same prompts."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WORK = ROOT / "bench-work"
RESULTS = Path(__file__).with_name("results.json")

# What each peer's environment holds; torch is pinned so that all of them multiply with the same library.
PEERS = {
    "garak": ("garak==0.17.1",),
    "inspect-hf": ("inspect-ai==0.3.285", "transformers==5.23.0", "accelerate==1.15.0"),
    "trl": ("trl==1.16.0", "peft==0.21.2", "datasets==5.2.0", "transformers==5.23.0", "accelerate==1.15.0"),
    "transformers": ("transformers==5.23.0", "accelerate==1.15.0"),
    "transformer-lens": ("transformer-lens==4.3.0", "transformers==5.23.0"),
    "nnsight": ("nnsight==0.8.1", "transformers==5.23.0"),
    "sae-lens": ("sae-lens==6.54.12", "transformer-lens==3.9.0", "transformers==5.23.0"),
    "sklearn": ("scikit-learn==1.9.1",),
    "sparsify": ("eai-sparsify==1.3.3",),
    "dictionary_learning": ("dictionary-learning==0.1.0",),
    "kronfluence": ("kronfluence==1.0.1", "transformers==5.23.0", "accelerate==1.15.0"),
}


@dataclass(frozen=True)
class Row:
    """One figure. `ratio` is ours / theirs, turned round for times so that above 1 always means ours is better."""

    name: str
    peer: str
    ours: float
    theirs: float | None
    unit: str
    ratio: float | None
    share_of_peak: float | None
    versions: dict[str, str]
    date: str
    machine: str
    note: str = ""


def row(
    name: str, peer: str, ours: float, theirs: float | None, unit: str, *, share: float | None = None, note: str = ""
) -> Row:
    """A row dated now. Units that begin with `s` (seconds) or `ms` are better when smaller."""
    smaller = unit.startswith(("s ", "ms ", "s/", "ms/"))
    ratio = None if not theirs else (theirs / ours if smaller else ours / theirs)
    used = {name: version(name) for name in ("stepladder", "torch", "transformers", "inspect-ai")}
    pins = dict(pin.split("==") for pin in PEERS.get(peer, ()))
    return Row(
        name, peer, _round(ours), _round(theirs), unit, _round(ratio), _round(share), used | pins, _now(), machine(), note
    )


def machine() -> str:
    """Processor, cores and system of this machine."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), model)
    return f"{model}, {os.cpu_count()} cores, {platform.system()}"


def environment(peer: str) -> Path:
    """The Python of the peer's own environment, made on first use."""
    folder = WORK / "envs" / peer
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pins = WORK / "torch.txt"
        pins.write_text("torch==2.13.0\n")
        for wanted in (["pip==26.3"], ["torch==2.13.0"], list(PEERS[peer])):
            subprocess.run([python, "-m", "pip", "install", "-q", "-c", pins, *wanted], check=True)
        (folder / ".ready").touch()
    return python


def contend(python: Path | str, script: str, *arguments: Any) -> dict[str, float]:
    """Run one contender as a process of its own and return what it measured."""
    command = [str(python), str(ROOT / "benchmarks" / "contenders" / script), *map(str, arguments)]
    quiet = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "INSPECT_DISPLAY": "none"}
    done = subprocess.run(command, capture_output=True, text=True, env=quiet, cwd=WORK)
    if done.returncode:
        raise RuntimeError(f"{script} failed:\n{done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def save(rows: Sequence[Row]) -> None:
    """Replace the rows of the same name and peer, keep the others."""
    kept = {(r["name"], r["peer"]): r for r in (json.loads(RESULTS.read_text()) if RESULTS.exists() else [])}
    kept |= {(r.name, r.peer): asdict(r) for r in rows}
    RESULTS.write_text(json.dumps(list(kept.values()), indent=1, ensure_ascii=False) + "\n")


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _now() -> str:
    return time.strftime("%Y-%m-%d")
