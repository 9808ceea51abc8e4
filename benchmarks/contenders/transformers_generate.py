"""Plain `transformers.generate`, greedy, left-padded batches. Arguments: model folder, prompts file, new tokens, batch."""

import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, prompts_file, new_tokens, batch = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with open(prompts_file, encoding="utf-8") as file:
    prompts = json.load(file)
tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def generate(texts: list[str]) -> int:
    turns = [[{"role": "user", "content": text}] for text in texts]
    chats = [tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True) for turn in turns]
    inputs = tokenizer(chats, return_tensors="pt", padding=True, add_special_tokens=False)
    with torch.inference_mode():
        out = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id)
    return int((out[:, inputs["input_ids"].shape[1] :] != tokenizer.pad_token_id).sum())


generate(prompts[:2])
start = time.perf_counter()
tokens = sum(generate(prompts[i : i + batch]) for i in range(0, len(prompts), batch))
print(json.dumps({"samples": len(prompts), "seconds": time.perf_counter() - start, "tokens": tokens}))
