"""Log probabilities of answers by plain transformers in bf16, batch 16, padded. Arguments: model folder, rows file."""

import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, file = sys.argv[1:3]
with open(file, encoding="utf-8") as stream:
    given = json.load(stream)["read"]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
sequences = []
for item in given:
    text = tokenizer.apply_chat_template(item["prompt"], tokenize=False, add_generation_prompt=True)
    prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
    sequences += [(prompt, tokenizer(a, add_special_tokens=False)["input_ids"]) for a in item["answers"]]


def read(batch: list[tuple[list[int], list[int]]]) -> None:
    longest = max(len(p) + len(a) for p, a in batch)
    ids = torch.tensor([p + a + [0] * (longest - len(p) - len(a)) for p, a in batch])
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[:, :-1].float().log_softmax(-1)
    logits.gather(-1, ids[:, 1:, None])


read(sequences[:2])
start = time.perf_counter()
for i in range(0, len(sequences), 16):
    read(sequences[i : i + 16])
seconds = time.perf_counter() - start
print(json.dumps({"tokens": sum(len(p) + len(a) for p, a in sequences), "seconds": seconds}))
