"""The machine's measured peak (bf16 matrix product) and the share of it that prefill and decode reach."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from benchmarks.generation import PARAMETERS
from benchmarks.rows import Row, row
from stepladder.core import Message
from stepladder.data import load_behaviours
from stepladder.models import open_model


def measured_peak() -> float:
    """Best of several shapes of a bf16 matrix product, in floating-point operations a second."""
    import torch

    best = 0.0
    for m, k, n in ((4096, 576, 8192), (2048, 1024, 2048), (2048, 2048, 2048)):
        x, w = torch.randn(m, k).bfloat16(), torch.randn(n, k).bfloat16()
        best = max(best, 2 * m * k * n / _median(lambda x=x, w=w: torch.nn.functional.linear(x, w)))
    return best


def rows(peak: float) -> list[Row]:
    """Prefill over long prompts and decode at batch 64, as shares of the peak."""
    prefill, decode = _prefill_rate(), _decode_rate()
    return [
        row("bf16 matrix product", "machine", peak / 1e9, None, "GFLOP/s", share=1.0),
        row("prefill, 192-token prompts", "machine", prefill, None, "tokens/s", share=prefill * 2 * PARAMETERS / peak),
        row("decode, batch 64", "machine", decode, None, "tokens/s", share=decode * 2 * PARAMETERS / peak),
    ]


def _median(work: Callable[[], object], times: int = 9) -> float:
    work()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _conversation(words: int, seed: int) -> tuple[Message, ...]:
    return (Message(role="user", content=" ".join(f"word{(seed * 31 + i) % 97}" for i in range(words))),)


def _prefill_rate() -> float:
    model = open_model("smollm2")
    pairs = [(_conversation(60, seed), "ok") for seed in range(32)]
    tokens = sum(model.count_tokens(pair[0][0].content) for pair in pairs)
    return tokens / _median(lambda: model.logprobs(pairs), times=3)


def _decode_rate() -> float:
    import asyncio

    from stepladder.core import Request

    model = open_model("smollm2")

    texts = [behaviour.request for behaviour in load_behaviours()[:64]]  # answered at length: few rows end early

    def seconds(new_tokens: int) -> tuple[float, int]:
        turns = [(Message(role="user", content=text),) for text in texts]
        asked = [Request(id=str(i), messages=turn, max_tokens=new_tokens) for i, turn in enumerate(turns)]
        start = time.perf_counter()
        replies = asyncio.run(model.reply_many(asked))
        return time.perf_counter() - start, sum(reply.tokens_out for reply in replies)

    seconds(2)
    short, long = seconds(2), seconds(50)
    return (long[1] - short[1]) / (long[0] - short[0])
