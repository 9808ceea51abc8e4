"""Red-team throughput on smollm2: direct requests of the shipped behaviours, up to 48 new tokens, greedy.

Every contender runs as a process of its own, one after the other, on the same prompts; loading is not counted. `share` is
the arithmetic of the useful tokens (2 x parameters x tokens, prompt and reply) over the measured bf16 peak.
"""

from __future__ import annotations

import json
import sys

from benchmarks.rows import WORK, Row, contend, environment, row
from stepladder.data import load_behaviours, load_ordinary
from stepladder.models.local.embedded import embedded_folder

PARAMETERS = 134.5e6
NEW_TOKENS = 48
# Slow contenders get fewer prompts: enough for two digits, and the whole bench still ends within half an hour.
PROMPTS_FOR = {1: 12, 8: 64, 32: 192, 64: 256}


def prompts(n: int) -> str:
    """File with the first `n` prompts: behaviours, then ordinary requests."""
    texts = [b.request for b in load_behaviours()] + [o.text for o in load_ordinary()]
    path = WORK / f"prompts-{n}.json"
    path.write_text(json.dumps(texts[:n]))
    return str(path)


def rows(peak: float) -> list[Row]:
    """Ours at every concurrency against each peer."""
    folder = str(embedded_folder())
    ours = {c: _rate(contend(sys.executable, "inspect_provider.py", "stepladder", "smollm2", prompts(n), NEW_TOKENS, c, 1))
            for c, n in PROMPTS_FOR.items()}  # fmt: skip
    share = {c: rate[1] * 2 * PARAMETERS / peak for c, rate in ours.items()}
    found = [_garak(folder, ours, share), *_inspect(folder, ours, share), *_transformers(folder, ours, share)]
    return [*found, _turns(folder)]


def _rate(result: dict[str, float]) -> tuple[float, float]:
    return result["samples"] / result["seconds"], result["tokens"] / result["seconds"]


def _garak(folder: str, ours: dict[int, tuple[float, float]], share: dict[int, float]) -> Row:
    theirs, _ = _rate(contend(environment("garak"), "garak_model.py", folder, prompts(12), NEW_TOKENS))
    return row("red-team throughput", "garak", ours[64][0], theirs, "samples/s", share=share[64],
               note="garak asks one at a time; ours through the Inspect provider at concurrency 64")  # fmt: skip


def _inspect(folder: str, ours: dict[int, tuple[float, float]], share: dict[int, float]) -> list[Row]:
    made = []
    for c, n in PROMPTS_FOR.items():
        result = contend(environment("inspect-hf"), "inspect_provider.py", "hf", folder, prompts(n), NEW_TOKENS, c, 1)
        made.append(
            row(f"throughput at concurrency {c}", "inspect-hf", ours[c][0], _rate(result)[0], "samples/s", share=share[c])
        )
    return made


def _transformers(folder: str, ours: dict[int, tuple[float, float]], share: dict[int, float]) -> list[Row]:
    made = []
    for batch in (1, 64):
        file = prompts(PROMPTS_FOR[batch])
        result = contend(environment("transformers"), "transformers_generate.py", folder, file, NEW_TOKENS, batch)
        made.append(row(f"throughput at batch {batch}", "transformers", ours[batch][0], _rate(result)[0], "samples/s",
                        share=share[batch]))  # fmt: skip
    return made


def _turns(folder: str) -> Row:
    arguments = (prompts(1), 16, 32, 6)  # 32 connections: the default of the hf provider, which then waits for more
    ours = contend(sys.executable, "inspect_provider.py", "stepladder", "smollm2", *arguments)
    theirs = contend(environment("inspect-hf"), "inspect_provider.py", "hf", folder, *arguments)
    return row("six-turn conversation of one sample", "inspect-hf", ours["seconds"] / 6, theirs["seconds"] / 6, "s a turn",
               note="16 new tokens a turn; every turn continues the one before")  # fmt: skip
