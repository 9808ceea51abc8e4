"""Folders in the layout of delphi (EleutherAI, arXiv:2410.13928), so that its tools read ours and ours read its.

raw_latents/<module>/<first>_<last>.safetensors   locations (entries, 3): window, position, latent - first;
                                                  activations (entries) float16; tokens (windows, 32)
raw_latents/<module>/config.json
explanations/<module>_latent<N>.txt               the label as a JSON string
scores/<scorer>/<module>_latent<N>.txt            a JSON list, one object an example
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepladder.core.errors import DataError
from stepladder.methods.interpretability.contexts import WINDOW, window_starts
from stepladder.methods.interpretability.label_scorers import Item, Prediction
from stepladder.methods.interpretability.latent_index import LatentIndex

FOLDERS = {"detection": "detection", "fuzzing": "fuzz"}
"""Our scorers, and the folders that delphi keeps their scores in."""
SPLITS, ENTRIES = 5, 2_000_000
"""Files that the latents are spread over: delphi's number, or as many as keep a file below so many entries on average."""
_NAME = re.compile(r"(.+)_latent(\d+)$")


def write_raw_latents(index: LatentIndex, folder: Path, module: str, model: str) -> None:
    """Every activation of the index, in files of consecutive latents; windows shorter than 32 end in zeros."""
    from safetensors.numpy import save_file

    to = folder / "raw_latents" / module
    to.mkdir(parents=True, exist_ok=True)
    starts = window_starts(index.documents)
    tokens = np.zeros((len(starts), WINDOW), np.int64)
    ends = np.append(starts[1:], len(index.tokens))
    for row, (a, b) in enumerate(zip(starts, ends, strict=True)):
        tokens[row, : b - a] = index.tokens[a:b]
    splits = min(max(SPLITS, len(index.rows) // ENTRIES), index.latents)
    for latents in np.array_split(np.arange(index.latents), splits):
        first, last = int(latents[0]), int(latents[-1])
        part = slice(int(index.starts[first]), int(index.starts[last + 1]))
        rows = np.asarray(index.rows[part], np.int64)
        which = np.repeat(latents - first, index.counts[first : last + 1])
        window = np.searchsorted(starts, rows, side="right") - 1
        locations = np.stack([window, rows - starts[window], which], 1)
        small = len(starts) < 2**16 and len(latents) < 2**16
        data = {
            "locations": locations.astype(np.uint16 if small else np.uint32),
            "activations": np.asarray(index.values[part]).astype(np.float16),
            "tokens": tokens,
        }
        save_file(data, to / f"{first}_{last}.safetensors")
    config = {"ctx_len": WINDOW, "n_tokens": int(tokens.size), "n_splits": splits, "model_name": model}
    (to / "config.json").write_text(json.dumps(config))


def read_raw_latents(folder: Path, module: str) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float16]]]:
    """By latent: locations (entries, 2) of window and position, and activations; latents that never fire are not there."""
    from safetensors.numpy import load_file

    found: dict[int, tuple[NDArray[np.int64], NDArray[np.float16]]] = {}
    paths = sorted((folder / "raw_latents" / module).glob("*_*.safetensors"))
    if not paths:
        raise DataError(folder / "raw_latents" / module, "no raw latents of delphi (files such as 0_99.safetensors)")
    for path in paths:
        data = load_file(path)
        locations, first = data["locations"].astype(np.int64), int(path.stem.split("_")[0])
        for latent in np.unique(locations[:, 2]):
            mine = locations[:, 2] == latent
            found[first + int(latent)] = locations[mine, :2], data["activations"][mine]
    return found


def write_explanation(folder: Path, module: str, latent: int, text: str) -> None:
    """One label."""
    _write(folder / "explanations" / f"{module}_latent{latent}.txt", text)


def read_explanations(folder: Path) -> dict[tuple[str, int], str]:
    """Labels by module and latent."""
    return {_place(path): _read(path, str) for path in sorted((folder / "explanations").glob("*.txt"))}


def write_scores(
    folder: Path, module: str, latent: int, scorer: str, items: Sequence[Item], predictions: Sequence[Prediction]
) -> None:
    """What a scorer of detection or fuzzing was asked and answered; unreadable answers are null, as delphi has it."""
    _write(folder / "scores" / FOLDERS[scorer] / f"{module}_latent{latent}.txt", list(_examples(items, predictions)))


def _examples(items: Sequence[Item], predictions: Sequence[Prediction]) -> Iterator[dict[str, Any]]:
    for item, probability in zip(items, predictions, strict=True):
        called = None if probability is None else float(probability) >= 0.5  # type: ignore[arg-type]  # not simulation
        yield {
            "str_tokens": list(item.example.tokens),
            "activations": list(item.example.activations),
            "distance": item.example.quantile if item.truth else -1,
            "activating": item.truth,
            "prediction": called,
            "probability": probability,
            "correct": None if called is None else called == item.truth,
        }


def read_scores(folder: Path) -> list[dict[str, Any]]:
    """Scores by any writer of the layout as rows with `unit`, `scorer`, `truth` and `predicted`.

    Where an example has no probability, its yes or no counts as 1 or 0. delphi does not say which examples share a document:
    each counts as one of its own.
    """
    ours = {name: scorer for scorer, name in FOLDERS.items()}
    rows = []
    for path in sorted((folder / "scores").glob("*/*.txt")):
        (module, latent), examples = _place(path), _read(path, list)
        rows.append({
            "unit": f"{module}/{latent}", "scorer": ours.get(path.parent.name, path.parent.name),
            "documents": list(range(len(examples))), "truth": [bool(e["activating"]) for e in examples],
            "predicted": [_probability(e) for e in examples],
        })  # fmt: skip
    return rows


def _probability(example: Mapping[str, Any]) -> float | None:
    for name in ("probability", "prediction"):
        if example.get(name) is not None:
            return float(example[name])
    return None


def _place(path: Path) -> tuple[str, int]:
    name = _NAME.match(path.stem)
    if not name:
        raise DataError(path, "expected a name such as layers.15_latent7.txt")
    return name[1], int(name[2])


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")


def _read(path: Path, kind: type) -> Any:
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError:
        raise DataError(path, "not JSON") from None
    if not isinstance(value, kind):
        raise DataError(path, f"expected a JSON {'string' if kind is str else 'list'}")
    return value
