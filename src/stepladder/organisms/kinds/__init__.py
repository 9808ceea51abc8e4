"""All kinds of organisms, by name; one file each. A user's own kind is a Python file of the same form."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Mapping
from pathlib import Path

from stepladder.core import DataError, UnknownName, digest
from stepladder.organisms.kind import Kind
from stepladder.organisms.kinds import (
    alignment_faking,
    biased_data,
    corrupted_rule,
    false_fact,
    hidden_loyalty,
    password_sandbagging,
    refusal_gap,
    reward_hack,
    sycophancy,
    trigger_backdoor,
)

_MODULES = (
    alignment_faking,
    biased_data,
    corrupted_rule,
    false_fact,
    hidden_loyalty,
    password_sandbagging,
    refusal_gap,
    reward_hack,
    sycophancy,
    trigger_backdoor,
)

KINDS: Mapping[str, Kind] = {module.KIND.name: module.KIND for module in _MODULES}


def get_kind(name: str) -> Kind:
    """The kind of that name, or the one described in the Python file of that path; `UnknownName` for others."""
    if name in KINDS:
        return KINDS[name]
    if name.endswith(".py"):
        return load_kind(Path(name))
    raise UnknownName("kind of organism", name, (*KINDS, "<your own kind>.py"))


def code_of(name: str) -> str:
    """Digest of the file that describes a kind."""
    return digest(Path(inspect.getfile(get_kind(name).plant)).read_text("utf-8"))


def load_kind(path: Path) -> Kind:
    """The `KIND` of a Python file, which is run: load only files that you would run. Raises `DataError`."""
    if not path.is_file():
        raise DataError(path, "no such file; a kind is a Python file that defines KIND")
    spec = importlib.util.spec_from_file_location(f"stepladder_kind_{path.stem}", path)
    assert spec  # a .py file always has a spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise DataError(path, f"running it failed: {type(error).__name__}: {error}") from error
    kind = getattr(module, "KIND", None)
    if not isinstance(kind, Kind):
        raise DataError(path, "does not define KIND, a stepladder.organisms.Kind")
    return kind
