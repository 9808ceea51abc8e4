"""A peer's activations after one layer. Arguments: model folder, tokens file, layer, and which peer."""

import json
import sys
import time
import warnings
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

warnings.filterwarnings("ignore")
folder, file, layer, peer = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
windows = torch.tensor(json.loads(Path(file).read_text())["windows"])
hf = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
with torch.inference_mode():
    exact = hf(windows[:4], output_hidden_states=True, use_cache=False).hidden_states[layer + 1].clone()


def hidden_states():
    return lambda ids: hf(ids, output_hidden_states=True, use_cache=False).hidden_states[layer + 1]


def transformer_lens():
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(folder, device="cpu", dtype=torch.float32, hf_model=hf, tokenizer=tokenizer)
    name = f"blocks.{layer}.hook_resid_post"

    def read(ids):
        cache = bridge.run_with_cache(ids, names_filter=[name], stop_at_layer=layer + 1)[1]
        return cache[next(iter(cache.keys()))]

    return read


def nnsight():
    from nnsight import LanguageModel

    model = LanguageModel(hf, tokenizer=tokenizer)

    def read(ids):
        with torch.no_grad(), model.trace(ids) as tracer:
            found = model.model.layers[layer].output.save()
            tracer.stop()
        return found[0] if isinstance(found, tuple) else found

    return read


def sae_lens():
    """The store as its training reads it: activations of one batch of prompts (its mixing buffer comes on top)."""
    from datasets import Dataset
    from sae_lens.load_model import HookedProxyLM
    from sae_lens.training.activations_store import ActivationsStore

    name = f"model.layers.{layer}"
    store = ActivationsStore(
        model=HookedProxyLM(hf, tokenizer, hook_names=[name]),
        dataset=Dataset.from_dict({"tokens": windows.tolist()}).with_format("torch"), streaming=False, hook_name=name,
        hook_head_index=None, context_size=windows.shape[1], d_in=hf.config.hidden_size, n_batches_in_buffer=8,
        total_training_tokens=10**6, store_batch_size_prompts=8, train_batch_size_tokens=4096, prepend_bos=False,
        normalize_activations="none", device=torch.device("cpu"), dtype="float32",
    )  # fmt: skip
    return store.get_activations


read = {"transformers": hidden_states, "transformer-lens": transformer_lens, "nnsight": nnsight, "sae-lens": sae_lens}[
    peer
]()
with torch.inference_mode(peer != "nnsight"):
    found = read(windows[:4]).float().reshape(exact.shape)
    start = time.perf_counter()
    for i in range(0, len(windows), 8):
        read(windows[i : i + 8])
    seconds = time.perf_counter() - start
error = ((found - exact).norm() / exact.norm()).item()
print(json.dumps({"tokens": windows.numel(), "seconds": seconds, "error": error}))
