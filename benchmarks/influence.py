"""Influence of training rows on 10 queries by EK-FAC: nine MLP matrices of smollm2 (layers 10 to 12), rows of 32 tokens.

The same model in float32, rows and layers for everyone, and the empirical Fisher on both sides. The peer is kronfluence as
its examples start it: covariances, eigendecomposition, lambdas, scores, in batches of 25. Loading is not counted. All times
but those of the eigendecompositions, which both sides have, grow in proportion to the rows: the ratio with fewer than the
full 500 rows is the lower one.

    python -m benchmarks influence        200 rows
    python -m benchmarks.influence 500    the full size, as a row of its own
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.rows import ROOT, WORK, Row, contend, environment, row, save
from stepladder.models import LocalModel, open_model
from stepladder.models.local.embedded import embedded_folder

ROWS, QUERIES, TOKENS = 200, 10, 32
LAYERS = (10, 11, 12)


def rows(peak: float, count: int = ROWS) -> list[Row]:
    """Ours against kronfluence: seconds in all, and how far the scores agree."""
    folder, file = str(embedded_folder()), str(_token_file(count))
    ours = contend(sys.executable, "own_influence.py", folder, file, "influence-own.npy")
    theirs = contend(_peer(), "kronfluence_influence.py", folder, file, "influence-kronfluence.npy")
    size = f"{count} rows x {TOKENS} tokens x {QUERIES} queries"
    note = f"lowest Pearson of a query's scores {_agreement():.5f}; ours: {_parts(ours)}; theirs: {_parts(theirs)}"
    share = _arithmetic(count) / ours["seconds"] / peak
    name = f"EK-FAC influence, {size}"
    return [row(name, "kronfluence", ours["seconds"], theirs["seconds"], "s in all", share=share, note=note)]


def _peer() -> Path:
    """Its Python; kronfluence asks for torchvision, which it imports nowhere and which keeps transformers from loading."""
    python = environment("kronfluence")
    subprocess.run([python, "-m", "pip", "uninstall", "-q", "-y", "torchvision"], check=True, capture_output=True)
    return python


def _token_file(count: int) -> Path:
    """Windows of the project's own pages: real text that is always there."""
    model = open_model("smollm2")
    assert isinstance(model, LocalModel)
    text = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "docs").rglob("*.md")))
    windows = np.array(model.tokens(text)[: (count + QUERIES) * TOKENS]).reshape(-1, TOKENS).tolist()
    path = WORK / "influence.json"
    path.write_text(json.dumps({"rows": windows[:count], "queries": windows[count:], "layers": LAYERS}))
    return path


def _agreement() -> float:
    ours, theirs = (np.load(WORK / f"influence-{who}.npy") for who in ("own", "kronfluence"))
    return float(min(np.corrcoef(a, b)[0, 1] for a, b in zip(ours, theirs, strict=True)))


def _parts(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g} s" for name, value in seconds.items() if name != "seconds")


def _arithmetic(count: int) -> float:
    """Least arithmetic: forward through all layers, back through those above, each row's gradients, their products."""
    width, mlp, vocabulary, layers, heads = 576, 1536, 49152, 30, 576 * 576 * 2 + 576 * 192 * 2
    layer, matrix = 2 * (3 * width * mlp + heads), width * mlp
    tokens = (count + QUERIES) * TOKENS
    passes = tokens * (layers * layer + (layers - LAYERS[0]) * layer + 4 * width * vocabulary)
    return passes + 3 * len(LAYERS) * count * (4 * TOKENS * matrix + 2 * QUERIES * matrix)


if __name__ == "__main__":
    from benchmarks import page, peak

    made = rows(peak.measured_peak(), int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
    save(made)
    page.write()
    print(made)
