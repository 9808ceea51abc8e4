"""Labels from text to scores, then pages of its latents. Arguments: folder, model folder, and label or page.

`label` reads 300,000 tokens (sentences of the shipped text, mixed anew), trains a dictionary, labels and scores;
`page` makes pages of latents drawn at random, each from a folder opened anew.
"""

import json
import random
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np

from stepladder.methods.interpretability.feature_page import feature_page

TOKENS, LATENTS, PAGES = 300_000, 8192, 50
folder, model, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]


def mixed_text():
    """Documents of eight shipped sentences each, more than enough."""
    from stepladder.methods.interpretability.text import shipped_text

    rng = random.Random(0)
    sentences = [s for text in shipped_text() for s in re.split(r"(?<=[.!?]) ", text)]
    return [{"text": " ".join(rng.choices(sentences, k=8))} for _ in range(4500)]


def label():
    from stepladder.core import Context
    from stepladder.methods.interpretability.feature_labels import METHOD, Config
    from stepladder.models.local.model import LocalModel

    texts = folder.with_suffix(".jsonl")
    texts.write_text("\n".join(map(json.dumps, mixed_text())))
    config = Config(texts=str(texts), tokens=TOKENS, latents=LATENTS, k=32, steps=300)
    folder.mkdir()
    start = time.perf_counter()
    METHOD.record(Context(subject=LocalModel("bench", model), ask=None, folder=folder), config)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "tokens": TOKENS, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def page():
    latents = np.random.default_rng(0).choice(LATENTS, PAGES, replace=False).tolist()
    spent = []
    for latent in latents:
        start = time.perf_counter()
        feature_page(folder, latent)
        spent.append(time.perf_counter() - start)
    return {"slowest": max(spent), "median": float(np.median(spent))}


print(json.dumps({"label": label, "page": page}[what]()))
