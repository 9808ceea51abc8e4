"""What the dictionary contenders share: the batches, and the timing of steps. Arguments: file, steps, setting."""

import json
import statistics
import sys
import time

import torch

BATCH, LATENTS, K, RATE = 4096, 8192, 32, 3e-3
STEPS, SETTING = int(sys.argv[2]), sys.argv[3]
rows = torch.load(sys.argv[1], weights_only=True).float()
held, rows = rows[:BATCH], rows[BATCH:]


def batches():
    while True:
        yield from (rows[at : at + BATCH] for at in range(0, len(rows) - BATCH + 1, BATCH))


def oneDNN():
    """On AMD processors torch's fp32 products are twice as fast through oneDNN, with errors of fp32."""
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"


def timed(step):
    """Seconds of the median step."""
    seconds = []
    for _, x in zip(range(STEPS), batches(), strict=False):
        start = time.perf_counter()
        step(x)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def report(seconds, reconstruct):
    with torch.no_grad():
        error = (held - reconstruct(held)).square().sum() / (held - held.mean(0)).square().sum()
    print(json.dumps({"seconds": seconds, "fvu": float(error)}))
