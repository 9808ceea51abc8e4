"""Our trainer and reader. Arguments: model folder, rows file, sft, dpo or read, and the part to leave out ("all parts")."""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from stepladder.core import Message
from stepladder.methods.training.dpo import dpo
from stepladder.models.local import finetune as trainer
from stepladder.models.local import lora
from stepladder.models.local.finetune import Example, Tuning, finetune, next_token_loss
from stepladder.models.local.model import LocalModel

folder, file, what, part = sys.argv[1:5]
given = json.loads(Path(file).read_text())
model = LocalModel("bench", Path(folder), "float32" if part == "without bf16" else None)
objective = next_token_loss


def messages(turns):
    return tuple(Message(role=t["role"], content=t["content"]) for t in turns)


def all_logits(net, items):
    """The same loss with the head over every token."""
    rows = [row for item in items for row in item]
    tokens, wanted = net._padded(rows)
    logits = net.model(input_ids=tokens, use_cache=False).logits.float()[:, :-1]
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
    return losses[wanted[:, 1:]].mean()


def unsorted(rows, tuning):
    order = np.random.default_rng(tuning.seed).permutation(len(rows)).tolist()
    yield from (order[i : i + tuning.batch] for i in range(0, len(order), tuning.batch))


def three_products(self, x):
    if not self.enabled:
        return self.linear(x)
    down = torch.nn.functional.linear(x.float(), self.a)
    return self.linear(x) + (self.scale * torch.nn.functional.linear(down, self.b)).to(x.dtype)


weights = LocalModel.weights
if part == "without completion-only logits":
    objective = all_logits
elif part == "without sorting by length":
    trainer._schedule = unsorted
elif part == "without the merged product":
    lora.LoraLinear.forward = three_products
elif part == "without plain attention":
    LocalModel.weights = lambda self, attention="sdpa": weights(self)

with tempfile.TemporaryDirectory() as out:
    if what == "read":
        pairs = [(messages(item["prompt"]), answer) for item in given["read"] for answer in item["answers"]]
        model.logprobs(pairs[:2])
        start = time.perf_counter()
        model.logprobs(pairs)
        seconds = time.perf_counter() - start
        chat = model.chat_format
        tokens = sum(len(chat.prompt(p)) + len(chat.tokens(a)) for p, a in pairs)
    else:
        if what == "sft":
            items = [Example(messages(r["prompt"]), r["completion"]) for r in given["rows"]]
            tuning = Tuning(first_layer=15 if part == "upper half" else 0)
        else:
            items = [
                (Example(messages(r["prompt"]), r["chosen"]), Example(messages(r["prompt"]), r["rejected"]))
                for r in given["pairs"]
            ]
            objective, tuning = dpo(0.1), Tuning(learning_rate=1e-4, batch=4)
        done = finetune(model, items, Path(out) / "adapter", tuning, objective)
        tokens, seconds = done.tokens, done.seconds
print(json.dumps({"tokens": tokens, "seconds": seconds}))
