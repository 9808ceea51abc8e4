"""A peer's patching of every ninth head. Arguments: model folder, pairs file, and which peer."""

import json
import sys
import time
import warnings
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

warnings.filterwarnings("ignore")
folder, file, peer = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
every = int(sys.argv[4]) if len(sys.argv) > 4 else 9
pairs = {name: torch.tensor(values) for name, values in json.loads(file.read_text()).items()}
clean, corrupted = pairs["clean"], pairs["corrupted"]
hf = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
layers, heads = hf.config.num_hidden_layers, hf.config.num_attention_heads
width = hf.config.hidden_size // heads


outputs = {}
hooks = [
    block.self_attn.o_proj.register_forward_pre_hook(lambda module, inputs, layer=layer: outputs.update({layer: inputs[0]}))
    for layer, block in enumerate(hf.model.layers)
]
with torch.no_grad():
    hf(clean, use_cache=False)
for hook in hooks:
    hook.remove()


def nnsight():
    from nnsight import LanguageModel

    model = LanguageModel(hf, tokenizer=tokenizer)

    def patched(layer, head):
        columns = slice(head * width, (head + 1) * width)
        new = outputs[layer][:, :, columns]
        with torch.no_grad(), model.trace(corrupted):
            model.model.layers[layer].self_attn.o_proj.input[:, :, columns] = new
            logits = model.lm_head.output[:, -1].save()
        return logits

    return patched


def transformer_lens():
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(folder, device="cpu", dtype=torch.float32, hf_model=hf, tokenizer=tokenizer)

    def patched(layer, head):
        new = outputs[layer].unflatten(-1, (heads, width))[:, :, head]

        def write(value, hook):
            changed = value.reshape(*value.shape[:2], heads, width).clone()
            changed[:, :, head] = new
            return changed.reshape(value.shape)

        with torch.inference_mode():
            return bridge.run_with_hooks(corrupted, fwd_hooks=[(f"blocks.{layer}.attn.hook_z", write)])[:, -1]

    return patched


def difference(logits):
    rows = torch.arange(len(logits))
    return logits[rows, pairs["answer"]] - logits[rows, pairs["foil"]]


patched = {"nnsight": nnsight, "transformer-lens": transformer_lens}[peer]()
with torch.no_grad():
    plain = difference(hf(corrupted, use_cache=False).logits[:, -1])
wanted = range(0, layers * heads, every)
patched(0, 0)
start = time.perf_counter()
effects = [difference(patched(index // heads, index % heads)) - plain for index in wanted]
seconds = time.perf_counter() - start
left = file.with_name("circuits_brute.pt")
error = (torch.stack(effects) - torch.load(left)[list(wanted)]).abs().max().item() if left.exists() else float("nan")
print(json.dumps({"parts": len(effects), "seconds": seconds, "error": error}))
