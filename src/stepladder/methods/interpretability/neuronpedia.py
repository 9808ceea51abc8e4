"""Features as Neuronpedia exchanges them: an export that it imports, and dashboards in batches.

    v1/<model>/<source>/{model,release,source,sourceset}.jsonl
    v1/<model>/<source>/{features,activations,explanations}/batch-<N>.jsonl.gz
    dashboards/<model>_<source>/batch-<N>.json

A source is named by layer and set: `15-res-stepladder`. What we do not compute (correlated neurons, attributions) is empty.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stepladder.core.errors import DataError
from stepladder.core.keys import digest
from stepladder.methods.interpretability.contexts import Example
from stepladder.methods.interpretability.feature_folder import FeatureFolder

BATCH = 256
EXAMPLES = 20
PARTS = ("features", "activations", "explanations")
SITES = {"residual": "res", "mlp": "mlp", "attention": "att"}
HOOKS = {"residual": "hook_resid_post", "mlp": "hook_mlp_out", "attention": "hook_attn_out"}
_UNKNOWN = (
    "neuron_alignment_indices", "neuron_alignment_values", "neuron_alignment_l1", "correlated_neurons_indices",
    "correlated_neurons_pearson", "correlated_neurons_l1", "correlated_features_indices", "correlated_features_pearson",
    "correlated_features_l1", "decoder_weights_dist",
)  # fmt: skip


def export(features: FeatureFolder, latents: Sequence[int], to: Path, creator: str = "stepladder") -> Path:
    """Write both layouts for those latents; the folder of the export."""
    model, layer, site = (str(features.about[name]) for name in ("model", "layer", "site"))
    set_name = f"{SITES.get(site, site)}-{creator}"
    source = f"{layer}-{set_name}"
    now = {"creatorId": creator, "createdAt": datetime.now(UTC).isoformat()}
    folder, boards = to / "v1" / model / source, to / "dashboards" / f"{model}_{source}"
    for name, row in _heads(model, source, set_name, site, creator, len(features.index.tokens)).items():
        _lines(folder / f"{name}.jsonl", [{**row, **now}])
    for number, start in enumerate(range(0, len(latents), BATCH)):
        batch = [(latent, features.strongest(latent, EXAMPLES)) for latent in latents[start : start + BATCH]]
        place = {"modelId": model, "layer": source}
        boarded = [_dashboard(features, latent, examples) for latent, examples in batch]
        written: Mapping[str, Iterable[dict[str, Any]]] = {
            "features": (
                _feature(board, examples, layer, site) for board, (_, examples) in zip(boarded, batch, strict=True)
            ),
            "activations": (row for latent, examples in batch for row in _activations(latent, examples)),
            "explanations": (row for latent, _ in batch for row in _explanations(features, latent)),
        }
        for part, rows in written.items():
            _lines(folder / part / f"batch-{number}.jsonl.gz", [{**place, **row, **now} for row in rows])
        boards.mkdir(parents=True, exist_ok=True)
        head = {"model_id": model, "layer": int(layer), "sae_set": set_name, "sae_id_suffix": "", "features": boarded}
        (boards / f"batch-{number}.json").write_text(json.dumps(head), "utf-8")
    return folder


def read_export(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of `features`, `activations` and `explanations` of one source, of all batches in order."""
    found = {part: sorted((folder / part).glob("batch-*.jsonl.gz"), key=_number) for part in PARTS}
    if not found["features"]:
        raise DataError(folder, "no export of Neuronpedia (features/batch-0.jsonl.gz is missing)")
    return {part: [row for path in paths for row in _read(path)] for part, paths in found.items()}


def _heads(model: str, source: str, set_name: str, site: str, creator: str, tokens: int) -> dict[str, dict[str, Any]]:
    return {
        "model": {"id": model, "displayName": model, "displayNameShort": model, "instruct": False},
        "release": {"name": creator, "description": creator, "descriptionShort": creator, "urls": [], "creatorName": creator,
                    "creatorNameShort": creator},
        "sourceset": {"modelId": model, "name": set_name, "description": f"{site}, {tokens:,} tokens",
                      "releaseName": creator, "creatorName": creator, "visibility": "PRIVATE"},
        "source": {"modelId": model, "id": source, "setName": set_name, "visibility": "PRIVATE", "dataset": "",
                   "num_prompts": None, "num_tokens_in_prompt": None},
    }  # fmt: skip


def _dashboard(features: FeatureFolder, latent: int, examples: Sequence[Example]) -> dict[str, Any]:
    up, down = features.moved(latent, "up"), features.moved(latent, "down")
    fired, fired_at = features.activation_histogram(latent)
    spread, spread_at = features.logit_histogram(latent)
    return {
        "feature_index": latent,
        "pos_str": [t for t, _ in up], "pos_values": [v for _, v in up],
        "neg_str": [t for t, _ in down], "neg_values": [v for _, v in down],
        "frac_nonzero": features.frequency(latent),
        "freq_hist_data_bar_heights": fired, "freq_hist_data_bar_values": fired_at,
        "logits_hist_data_bar_heights": spread, "logits_hist_data_bar_values": spread_at,
        **{name: [] for name in _UNKNOWN},
        "activations": _binned(examples),
    }  # fmt: skip


def _binned(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Windows with the bin that they come from: here all are of the top, so one bin."""
    peaks = [max(example.activations) for example in examples]
    low, high = (min(peaks), max(peaks)) if peaks else (0.0, 0.0)
    return [
        {
            "tokens": list(e.tokens), "values": list(e.activations), "bin_min": low, "bin_max": high, "bin_contains": 1.0,
            "qualifying_token_index": e.activations.index(max(e.activations)),
        }
        for e in examples
    ]  # fmt: skip


def _feature(board: Mapping[str, Any], examples: Sequence[Example], layer: str, site: str) -> dict[str, Any]:
    kept = {name: value for name, value in board.items() if name not in ("activations", "feature_index")}
    return {
        "index": str(board["feature_index"]), "maxActApprox": max((max(e.activations) for e in examples), default=0.0),
        "hookName": f"blocks.{layer}.{HOOKS.get(site, site)}", "hasVector": False, "vector": [], **kept,
    }  # fmt: skip


def _activations(latent: int, examples: Sequence[Example]) -> Iterable[dict[str, Any]]:
    for row, example in zip(_binned(examples), examples, strict=True):
        where = row["qualifying_token_index"]
        yield {
            "id": digest([latent, example.start]), "index": str(latent), "tokens": row["tokens"], "values": row["values"],
            "maxValue": row["values"][where], "maxValueTokenIndex": where, "minValue": min(row["values"]),
            "binMin": row["bin_min"], "binMax": row["bin_max"], "binContains": row["bin_contains"],
            "qualifyingTokenIndex": where, "dataIndex": str(example.document), "dataSource": None, "dfaValues": [],
            "dfaTargetIndex": None, "dfaMaxValue": None, "lossValues": [], "logitContributions": None,
        }  # fmt: skip


def _explanations(features: FeatureFolder, latent: int) -> Iterable[dict[str, Any]]:
    for explainer, label in features.labels.get(str(latent), {}).items():
        yield {
            "id": digest([latent, explainer]), "index": str(latent), "description": label["text"],
            "typeName": f"stepladder_{explainer}", "explanationModelName": label.get("model"),
            "scores": [{"explanationScoreTypeName": s, "value": v[0]} for s, v in label["scores"].items() if v],
        }  # fmt: skip


def _lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    except (OSError, EOFError, ValueError):
        raise DataError(path, "not gzipped JSON lines") from None


def _number(path: Path) -> int:
    digits = path.name.removeprefix("batch-").split(".")[0]
    return int(digits) if digits.isdigit() else -1
