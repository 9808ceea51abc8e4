"""Run by sparsify's own Python: `make FOLDER` writes its own coders, `read FOLDER` says what it makes of ours.

Both leave in each coder's folder `seen.safetensors` with activations x, the codes and the output.
"""

import os
import sys
from pathlib import Path

os.environ["SPARSIFY_DISABLE_TRITON"] = "1"

import torch
from safetensors.torch import save_file
from sparsify.config import SparseCoderConfig
from sparsify.sparse_coder import SparseCoder

D, L, K = 12, 30, 4


def make(folder: Path) -> None:
    for name, transcode in (("layers.5", False), ("layers.7.mlp", True)):
        coder = SparseCoder(D, SparseCoderConfig(num_latents=L, k=K, transcode=transcode))
        for tensor in coder.parameters():
            tensor.data = 0.3 * torch.randn(tensor.shape)
        coder.save_to_disk(folder / name)
        look(folder / name)


def look(folder: Path) -> None:
    coder, x = SparseCoder.load_from_disk(folder), torch.randn(200, D)
    with torch.no_grad():
        found = coder(x)
    codes = torch.zeros(200, L).scatter_(1, found.latent_indices, found.latent_acts)
    save_file({"x": x, "codes": codes, "output": found.sae_out}, folder / "seen.safetensors")


if __name__ == "__main__":
    torch.manual_seed(0)
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    for place in sorted(Path(sys.argv[2]).iterdir()) if sys.argv[1] == "read" else ():
        look(place)
