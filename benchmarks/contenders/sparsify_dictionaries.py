"""sparsify: the body of its Trainer's step with its SparseCoder. Arguments: activations, steps, default or best (oneDNN)."""

import os

os.environ["SPARSIFY_DISABLE_TRITON"] = "1"

import torch
from dictionary_steps import LATENTS, RATE, SETTING, K, batches, held, oneDNN, report, timed
from sparsify.config import SparseCoderConfig
from sparsify.sparse_coder import SparseCoder

if SETTING == "best":
    oneDNN()
sae = SparseCoder(held.shape[1], SparseCoderConfig(num_latents=LATENTS, k=K))
sae.b_dec.data = next(batches()).mean(0)
optimizer = torch.optim.Adam(sae.parameters(), lr=RATE)


def step(x):
    sae.set_decoder_norm_to_unit_norm()
    sae(x).fvu.backward()
    sae.remove_gradient_parallel_to_decoder_directions()
    optimizer.step()
    optimizer.zero_grad()


report(timed(step), lambda x: sae(x).sae_out)
