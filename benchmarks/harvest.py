"""Reading activations of smollm2 after layer 15 of 30: the same 256-token windows for everyone, loading not counted.

`tokens/s` counts the tokens of the text, without padding. `share` is the arithmetic of half the layers (2 x half of the
parameters besides the embedding x tokens) over the bf16 peak. The relative error is against `hidden_states` in float32.
"""

from __future__ import annotations

import json
import random
import sys

from benchmarks.rows import WORK, Row, contend, environment, row
from stepladder.methods.interpretability.text import packed, shipped_text
from stepladder.models import LocalModel
from stepladder.models.local.embedded import embedded_folder

LAYER = 14
WINDOW, WINDOWS, PEER_WINDOWS = 256, 64, 16
PARAMETERS = 15 * 3_540_096
"""Of fifteen layers; the embedding is looked up and costs nothing."""
PEERS = {
    "transformer-lens": "TransformerBridge, run_with_cache with stop_at_layer",
    "sae-lens": "ActivationsStore.get_activations",
    "transformers": "output_hidden_states",
    "nnsight": "trace with stop",
}


def rows(peak: float) -> list[Row]:
    """Ours, packed, against each peer; then ragged text and shards on disk against packed."""
    folder, tokens = str(embedded_folder()), _tokens_file()
    ours = contend(sys.executable, "own_harvest.py", folder, tokens, LAYER, "windows")
    rate, share = _rate(ours), _rate(ours) * 2 * PARAMETERS / peak
    made = []
    for peer, how in PEERS.items():
        theirs = contend(environment(peer), "peer_harvest.py", folder, tokens + ".few", LAYER, peer)
        note = f"{how}; relative error {ours['error']:.2g} (ours, bf16) and {theirs['error']:.2g}"
        made.append(row("activations after layer 15 of 30", peer, rate, _rate(theirs), "tokens/s", share=share, note=note))
    ragged = _rate(contend(sys.executable, "own_harvest.py", folder, tokens, LAYER, "documents"))
    note = "documents of 16 to 256 tokens, sorted by length within a chunk; ratio to packed windows"
    made.append(row("activations, ragged text", "ourselves, packed", ragged, rate, "tokens/s", note=note))
    shards = _rate(contend(sys.executable, "own_harvest.py", folder, tokens, LAYER, "shards"))
    note = "written to shards, synced, and read back mixed, once; ratio to reading into memory"
    made.append(row("activations to disk and back", "ourselves, in memory", shards, rate, "tokens/s", note=note))
    return made


def _rate(result: dict[str, float]) -> float:
    return result["tokens"] / result["seconds"]


def _tokens_file() -> str:
    """Windows of one length and ragged documents of the shipped text; fewer windows for the slow, beside it."""
    model = LocalModel("bench", embedded_folder())
    texts = [model.tokens(text) for text in shipped_text()]
    rng, documents = random.Random(0), []
    laid = [token for tokens in texts for token in tokens]
    while sum(map(len, documents)) < WINDOW * WINDOWS:
        start, length = rng.randrange(len(laid) - WINDOW), rng.randint(16, WINDOW)
        documents.append(laid[start : start + length])
    windows = list(packed(texts, WINDOW, None))[:WINDOWS]
    path = WORK / "harvest.json"
    path.write_text(json.dumps({"windows": windows, "documents": documents}))
    path.with_name("harvest.json.few").write_text(json.dumps({"windows": windows[:PEER_WINDOWS]}))
    return str(path)
