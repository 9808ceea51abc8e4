"""Our training loop as it is, or with the plain dense step. Arguments: activations, steps, sparse or dense."""

import itertools
import statistics
import tempfile
import time
from pathlib import Path

import torch
from dictionary_steps import LATENTS, RATE, SETTING, STEPS, K, batches, report

from stepladder.methods.interpretability import sae_training
from stepladder.methods.interpretability.sae_config import TrainingConfig


def dense(state, config, x, wanted):
    """The loss over all latents in float32, by autograd."""
    w = state.weights
    state.clear()
    pre = (x - w["b_dec"]) @ w["encoder"].t() + w["b_enc"]
    values, latents = pre.topk(config.k, dim=1)
    codes = torch.zeros_like(pre).scatter(1, latents, values.relu())
    error = codes @ w["decoder"] + w["b_dec"] - wanted
    error.square().sum(1).mean().backward()
    return error.detach(), latents[values > 0]


if SETTING == "dense":
    sae_training._sparse = dense
marks = []


def marked():
    for x in batches():
        marks.append(time.perf_counter())
        yield x


config = TrainingConfig(latents=LATENTS, k=K, steps=STEPS + 1, learning_rate=RATE, checkpoint_every=10**6)
with tempfile.TemporaryDirectory() as folder:
    found = sae_training.train_dictionary(marked(), config, Path(folder))
report(statistics.median([b - a for a, b in itertools.pairwise(marks[1:])]), found.reconstruct)
