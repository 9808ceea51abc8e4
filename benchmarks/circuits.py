"""Which heads of smollm2 carry the answer: patching every head by brute force, and estimating all by one gradient.

The same 24 pairs of prompts (indirect objects) for everyone, their clean runs and loading not counted. `parts/s` counts
the heads (and MLPs) whose effect on all 24 pairs is known. Peers patch one head at a time, all prompts in a batch, as their
guides do; they are timed on every ninth head, and `agree` is the largest difference of their logit differences from ours.
"""

from __future__ import annotations

import json
import sys

from benchmarks.rows import WORK, Row, contend, environment, row
from stepladder.methods.interpretability.circuit_tasks import make_pairs
from stepladder.models import LocalModel
from stepladder.models.local.embedded import embedded_folder

PAIRS = 24
PEERS = {"nnsight": "trace", "transformer-lens": "TransformerBridge, run_with_hooks at hook_z"}


def rows(peak: float) -> list[Row]:
    """Brute force against the peers', and attribution against our own brute force with its rank correlation."""
    folder, pairs = str(embedded_folder()), _pairs_file()
    brute = contend(sys.executable, "own_circuits.py", folder, pairs, "brute")
    quick = contend(sys.executable, "own_circuits.py", folder, pairs, "attribution")
    rate = brute["parts"] / brute["seconds"]
    made = []
    for peer, how in PEERS.items():
        theirs = contend(environment(peer), "peer_patching.py", folder, pairs, peer)
        note = f"{how}, one head at a time; agree to {theirs['error']:.2g} logits"
        made.append(row("activation patching", peer, rate, theirs["parts"] / theirs["seconds"], "parts/s", note=note))
    note = f"Spearman correlation {quick['heads']:.3f} over heads, {quick['all']:.3f} over heads and MLPs"
    ours = quick["parts"] / quick["seconds"]
    made.append(row("attribution patching", "ourselves, brute force", ours, rate, "parts/s", note=note))
    return made


def _pairs_file() -> str:
    model = LocalModel("bench", embedded_folder())
    pairs = [pair for pair in make_pairs("indirect_object", PAIRS, 0, model.tokens, ()) if pair]
    columns = {name: [getattr(pair, name) for pair in pairs] for name in ("clean", "corrupted", "answer", "foil")}
    path = WORK / "circuits.json"
    path.write_text(json.dumps(columns))
    return str(path)
