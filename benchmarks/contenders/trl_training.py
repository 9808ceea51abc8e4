"""TRL with PEFT as its documentation starts it. Arguments: model folder, rows file, sft or dpo."""

import contextlib
import io
import json
import logging
import sys
import time
import warnings

logging.disable(logging.WARNING)
warnings.simplefilter("ignore")
with contextlib.redirect_stdout(io.StringIO()):
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

folder, file, what = sys.argv[1:4]
with open(file, encoding="utf-8") as stream:
    given = json.load(stream)
tokenizer = AutoTokenizer.from_pretrained(folder)
common = {
    "output_dir": "trl-out",
    "report_to": [],
    "save_strategy": "no",
    "logging_strategy": "no",
    "disable_tqdm": True,
    "use_cpu": True,
    "num_train_epochs": 1,
    "seed": 0,
}
targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=targets, task_type="CAUSAL_LM")


def count(turns: list[dict[str, str]]) -> int:
    return len(tokenizer(tokenizer.apply_chat_template(turns, tokenize=False), add_special_tokens=False)["input_ids"])


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


with contextlib.redirect_stdout(io.StringIO()):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if what == "sft":
        data = [{"prompt": r["prompt"], "completion": said(r["completion"])} for r in given["rows"]]
        tokens = sum(count(r["prompt"] + r["completion"]) for r in data)
        arguments = SFTConfig(per_device_train_batch_size=8, learning_rate=1e-3, **common)
        trainer = SFTTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_list(data), processing_class=tokenizer, peft_config=lora
        )
    else:
        data = [
            {"prompt": r["prompt"], "chosen": said(r["chosen"]), "rejected": said(r["rejected"])} for r in given["pairs"]
        ]
        tokens = sum(count(r["prompt"] + r["chosen"]) + count(r["prompt"] + r["rejected"]) for r in data)
        arguments = DPOConfig(per_device_train_batch_size=4, learning_rate=1e-4, beta=0.1, **common)
        trainer = DPOTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_list(data), processing_class=tokenizer, peft_config=lora
        )
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
print(json.dumps({"tokens": tokens, "seconds": seconds}))
