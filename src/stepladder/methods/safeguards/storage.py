"""A guard on disk: structure and vocabularies in JSON, numbers in safetensors; both written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stepladder.core import Record, StoreError
from stepladder.methods.safeguards.cascade import Limits, Scale
from stepladder.methods.safeguards.features import FloatArray, Terms, TextClassifier
from stepladder.methods.safeguards.guard import Fold, Guard
from stepladder.methods.safeguards.probe import Probe
from stepladder.methods.safeguards.reading import Reader

FORMAT = 1

Tensors = dict[str, FloatArray]


def pack(guard: Guard) -> tuple[dict[str, Any], Tensors]:
    """Structure for JSON and tensors by name."""
    tensors: Tensors = {}
    folds = {name: _pack_fold(name, fold, tensors) for name, fold in guard.folds.items()}
    for moment, table in guard.seen.items():
        if table:
            tensors[f"seen/{moment}"] = np.stack(list(table.values()))
    reader = guard.reader
    return {
        "format": FORMAT,
        "reader": {"characters": reader.characters, "reply": reader.reply, "layers": list(reader.layers)},
        "window": guard.window,
        "source": guard.source,
        "folds": folds,
        "seen": {moment: list(table) for moment, table in guard.seen.items()},
    }, tensors


def unpack(structure: Mapping[str, Any], tensors: Mapping[str, FloatArray]) -> Guard:
    """The guard that `pack` took apart."""
    reader = structure["reader"]
    seen = {
        moment: dict(zip(keys, tensors[f"seen/{moment}"], strict=True)) if keys else {}
        for moment, keys in structure["seen"].items()
    }
    return Guard(
        folds={name: _unpack_fold(name, fold, tensors) for name, fold in structure["folds"].items()},
        reader=Reader(reader["characters"], reader["reply"], tuple(reader["layers"])),
        window=structure["window"],
        source=structure["source"],
        seen=seen,
    )


def save_guard(folder: Path, name: str, guard: Guard) -> dict[str, str]:
    """Write `<name>.json` and `<name>.safetensors`; returns the record's artifacts: paths relative to `folder`."""
    from stepladder.store.files import save_tensors, save_text

    structure, tensors = pack(guard)
    save_tensors(folder / f"{name}.safetensors", tensors, {"digest": guard.digest})
    save_text(folder / f"{name}.json", json.dumps(structure))
    return {"guard": f"{name}.json", "guard_weights": f"{name}.safetensors"}


def load_guard(folder: Path, record: Record) -> Guard:
    """The guard that a record of `constitutional_classifiers` left; raises `StoreError` where it is gone or damaged."""
    from stepladder.store.files import load_tensors

    if "guard" not in record.artifacts:
        raise StoreError(f"record {record.key} ({record.method}) left no guard; constitutional_classifiers does")
    path = folder / record.artifacts["guard"]
    try:
        structure = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: no guard can be read here ({error}); measure constitutional_classifiers again") from None
    if structure.get("format") != FORMAT:
        raise StoreError(f"{path}: guard of format {structure.get('format')}; this program reads {FORMAT}")
    return unpack(structure, load_tensors(folder / record.artifacts["guard_weights"]))


def _pack_fold(name: str, fold: Fold, tensors: Tensors) -> dict[str, Any]:
    texts = {key: _pack_text(f"{name}/{key}", text, tensors) for key, text in fold.texts.items()}
    for key, probe in fold.probes.items():
        tensors[f"{name}/{key}/weights"] = probe.weights
    return {
        "texts": texts,
        "probes": {key: probe.bias for key, probe in fold.probes.items()},
        "scales": {key: [scale.mean, scale.deviation] for key, scale in fold.scales.items()},
        "limits": _pack_limits(fold.limits),
        "limits_tfidf": _pack_limits(fold.limits_tfidf),
    }


def _pack_limits(limits: Limits) -> list[float | None]:
    return [limits.screen, limits.ensemble.mean, limits.ensemble.deviation, limits.threshold]


def _unpack_limits(values: Sequence[Any]) -> Limits:
    screen, mean, deviation, threshold = values
    return Limits(screen, Scale(mean, deviation), threshold)


def _pack_text(prefix: str, text: TextClassifier, tensors: Tensors) -> dict[str, Any]:
    for part, terms in (("words", text.words), ("characters", text.characters)):
        tensors[f"{prefix}/{part}_idf"], tensors[f"{prefix}/{part}_weights"] = terms.idf, terms.weights
    return {"bias": text.bias, "words": list(text.words.vocabulary), "characters": list(text.characters.vocabulary)}


def _unpack_fold(name: str, fold: Mapping[str, Any], tensors: Mapping[str, FloatArray]) -> Fold:
    return Fold(
        texts={key: _unpack_text(f"{name}/{key}", text, tensors) for key, text in fold["texts"].items()},
        probes={key: Probe(tensors[f"{name}/{key}/weights"], bias) for key, bias in fold["probes"].items()},
        scales={key: Scale(*values) for key, values in fold["scales"].items()},
        limits=_unpack_limits(fold["limits"]),
        limits_tfidf=_unpack_limits(fold["limits_tfidf"]),
    )


def _unpack_text(prefix: str, text: Mapping[str, Any], tensors: Mapping[str, FloatArray]) -> TextClassifier:
    words, characters = (
        Terms(tuple(text[part]), tensors[f"{prefix}/{part}_idf"], tensors[f"{prefix}/{part}_weights"])
        for part in ("words", "characters")
    )
    return TextClassifier(words, characters, text["bias"])
