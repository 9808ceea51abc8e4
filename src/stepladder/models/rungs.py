"""What a pass of the loop left as a model: its base and the adapters on top, in the user's cache by the rung's id.

    rungs/<id>/rung.json    {"id", "base", "adapters": ["0", ...]}
    rungs/<id>/0/...        a peft adapter

The guard that stood in front is not part of it: guards are the loop's, the weights are the model's.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stepladder.core.errors import ModelUnavailable, StoreError, UnknownName


@dataclass(frozen=True)
class RungModel:
    """Name of the base model and the adapters on top of it, in order."""

    id: str
    base: str
    adapters: tuple[Path, ...]


def save_rung(rung_id: str, base: str, adapters: Sequence[Path]) -> RungModel:
    """Keep a rung's model; the folder appears whole, and one that is there already is left as it is."""
    target = _rungs() / rung_id
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{rung_id}-"))
        try:
            names = [str(number) for number in range(len(adapters))]
            for name, adapter in zip(names, adapters, strict=True):
                shutil.copytree(adapter, made / name)
            (made / "rung.json").write_text(json.dumps({"id": rung_id, "base": base, "adapters": names}), "utf-8")
            made.chmod(0o755)
            if not target.exists():
                made.rename(target)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise StoreError(f"cannot keep the rung's model in {target}: {error.strerror}; set STEPLADDER_CACHE") from None
    return load_rung(rung_id)


def load_rung(name: str) -> RungModel:
    """The rung of that id or unique beginning of one; `UnknownName` lists those there are."""
    known = sorted(path.parent.name for path in _rungs().glob("[!.]*/rung.json"))
    found = [rung for rung in known if rung.startswith(name)]
    if len(found) != 1:
        raise UnknownName("rung", name, known[:20] or ["none yet; stepladder run makes one"])
    folder = _rungs() / found[0]
    try:
        stored = json.loads((folder / "rung.json").read_text("utf-8"))
        return RungModel(stored["id"], stored["base"], tuple(folder / part for part in stored["adapters"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(f"cannot read the rung in {folder}: {error}") from None


def _rungs() -> Path:
    from stepladder.models.local.embedded import cache_folder

    return cache_folder() / "rungs"
