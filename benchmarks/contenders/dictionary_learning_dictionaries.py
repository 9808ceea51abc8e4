"""dictionary_learning: its TopKTrainer. Arguments: activations, steps, default or best (oneDNN)."""

import sys

sys.modules["torchvision"] = None  # a build for GPUs that breaks transformers' imports beside a torch without

from dictionary_learning.trainers.top_k import TopKTrainer  # noqa: E402
from dictionary_steps import LATENTS, RATE, SETTING, K, held, oneDNN, report, timed  # noqa: E402

if SETTING == "best":
    oneDNN()
trainer = TopKTrainer(
    steps=10**5, activation_dim=held.shape[1], dict_size=LATENTS, k=K, layer=15, lm_name="smollm2", lr=RATE, warmup_steps=1,
    device="cpu", seed=0,
)  # fmt: skip
done = 0


def step(x):
    global done
    trainer.update(max(done, 1), x)  # 0 and 1 would start over
    done += 1


report(timed(step), trainer.ae)
