"""Training a TopK autoencoder on activations of smollm2, against the libraries that researchers train with.

The same activations for everyone: the residual stream after the middle layer on the shipped texts, in the same order, 4,096
a step, 8,192 latents, k 32, on the same processor. Each peer as its documentation starts it, and at the best setting that
was found for it on this machine (its own sparse kernels or autocast where it has them, and torch's fp32 products through
oneDNN). The figure is of the median step, its optimizer included, the first step left out. `share` is the arithmetic of the
encoder alone, the one dense product that is left, over the bf16 peak. The held-out error is compared with that of the plain
dense step in float32 from the same start. Last, the whole way from text to a dictionary.
"""

from __future__ import annotations

import random
import shutil
import sys
import time
from pathlib import Path

from benchmarks.rows import WORK, Row, contend, environment, row
from stepladder.models import open_model

WIDTH, LATENTS, BATCH, STEPS = 576, 8192, 4096, 8
PEERS = {"sae-lens": "sae_lens", "sparsify": "sparsify", "dictionary_learning": "dictionary_learning"}
TOKENS = 300_000


def rows(peak: float) -> list[Row]:
    """Ours against each peer at both settings, against the dense step, and text to dictionary."""
    file = _activations()
    ours = contend(sys.executable, "own_dictionaries.py", file, STEPS, "sparse")
    dense = contend(sys.executable, "own_dictionaries.py", file, STEPS, "dense")
    rate, share = _rate(ours), _rate(ours) * 2 * WIDTH * LATENTS / peak
    note = f"held-out FVU after {STEPS} steps from the same start: {ours['fvu']:.4f} sparse, {dense['fvu']:.4f} dense"
    made = [_row("TopK autoencoder", "ourselves with the dense float32 step", rate, _rate(dense), share, note)]
    for peer, script in PEERS.items():
        for setting in ("default", "best"):
            theirs = contend(environment(peer), f"{script}_dictionaries.py", file, STEPS, setting)
            name = "TopK autoencoder" if setting == "default" else "TopK autoencoder, peer's best setting"
            made.append(
                _row(name, peer, rate, _rate(theirs), share, f"held-out FVU of its own training {theirs['fvu']:.4f}")
            )
    return [*made, _whole_way()]


def _row(name: str, peer: str, ours: float, theirs: float, share: float, note: str) -> Row:
    return row(f"{name}, 8,192 latents", peer, ours, theirs, "activations/s", share=share, note=note)


def _rate(result: dict[str, float]) -> float:
    return BATCH / result["seconds"]


def _documents() -> list[list[int]]:
    from stepladder.methods.interpretability.text import shipped_text

    model = open_model("smollm2")
    return [model.tokens(text) for text in shipped_text()]


def _activations() -> Path:
    """Rows of the middle layer, scaled to a mean norm of sqrt(width), as a file that every environment reads."""
    import torch

    from stepladder.methods.interpretability.harvest import harvest

    file = WORK / "dictionary-activations.pt"
    if not file.exists():
        model = open_model("smollm2")
        shards = harvest(model, _documents(), model.layers // 2, "residual", WORK / "dictionary-activations")
        values = torch.cat(list(shards.batches(BATCH, seed=0, skip=1)))
        values *= WIDTH**0.5 / values.norm(dim=1).mean()
        torch.save(values.bfloat16(), file)
    return file


def _whole_way() -> Row:
    """Seconds from text to a trained dictionary, 300,000 tokens read once and trained on four times."""
    from stepladder.methods.interpretability.harvest import harvest
    from stepladder.methods.interpretability.sae_config import TrainingConfig
    from stepladder.methods.interpretability.sae_training import train_dictionary
    from stepladder.methods.interpretability.text import packed

    model, folder = open_model("smollm2"), WORK / "dictionary-whole-way"
    shutil.rmtree(folder, ignore_errors=True)
    documents = _documents()
    again = -(-TOKENS // sum(map(len, documents)))
    mixed = random.Random(0).sample(documents * again, len(documents) * again)
    start = time.perf_counter()
    read = list(packed(mixed, 256, None))[: TOKENS // 256]
    shards = harvest(model, read, model.layers // 2, "residual", folder / "activations")
    harvested = time.perf_counter() - start
    config = TrainingConfig(latents=LATENTS, k=32, steps=4 * shards.count // BATCH)
    train_dictionary(shards.batches(BATCH, seed=0, epochs=4, skip=1), config, folder / "training")
    seconds = time.perf_counter() - start
    note = f"{harvested:.0f} s of it read; the shipped texts {again} times over, in windows of 256 tokens"
    return row("text to dictionary, 300,000 tokens", "machine", seconds, None, "s in all", note=note)
