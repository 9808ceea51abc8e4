"""Generating in batches: one step for all rows, finished rows dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepladder.models.local.edits import Edit, Taps
from stepladder.models.local.prefill import Filled, prefill
from stepladder.models.local.sampling import Job, choose

if TYPE_CHECKING:
    from torch import Tensor

    from stepladder.models.local.decoder import Trunk

COLUMN_BUDGET = 1 << 16
"""Rows times columns of one decoding batch: what bounds the memory of keys and values."""


@dataclass
class Continuation:
    """What was generated: tokens (without the one that ends the turn), their log probabilities, and why it stopped.

    `logprobs` includes the ending token's where there was one, as the last.
    """

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    stop_reason: str = "max_tokens"


def generate(trunk: Trunk, jobs: Sequence[Job], ends: frozenset[int], edits: tuple[Edit, ...] = ()) -> list[Continuation]:
    """Continue every job's prompt until a token of `ends` or its `max_tokens`."""
    results: list[Continuation] = [Continuation() for _ in jobs]
    for rows in groups(jobs):
        filled = prefill(trunk, [jobs[row].prompt for row in rows], max(jobs[row].max_tokens for row in rows), edits)
        _decode(trunk, [jobs[row] for row in rows], filled, [results[row] for row in rows], ends, edits)
    return results


def groups(jobs: Sequence[Job]) -> list[list[int]]:
    """Cut the jobs, sorted from long to short, into batches within `COLUMN_BUDGET`."""
    order = sorted(range(len(jobs)), key=lambda row: (-len(jobs[row].prompt), row))
    made: list[list[int]] = []
    columns = 0
    for row in order:
        if not made or (len(made[-1]) + 1) * columns > COLUMN_BUDGET:
            made.append([])
            columns = len(jobs[row].prompt) + max(job.max_tokens for job in jobs)
        made[-1].append(row)
    return made


def _decode(
    trunk: Trunk, jobs: list[Job], filled: Filled, results: list[Continuation], ends: frozenset[int], edits: tuple[Edit, ...]
) -> None:
    uniforms = [job.uniforms() for job in jobs]
    live = list(range(len(jobs)))  # the job of each row of `filled`
    while True:
        at = [min(len(results[job].tokens), jobs[job].max_tokens - 1) for job in live]
        numbers = [uniforms[job][i] for job, i in zip(live, at, strict=True)]
        tokens, logprobs = choose(filled.logits, [jobs[job] for job in live], numbers)
        going = [_record(results[j], jobs[j], t, p, ends) for j, t, p in zip(live, tokens, logprobs, strict=True)]
        if not any(going):
            return
        if not all(going):
            rows = [row for row, goes in enumerate(going) if goes]
            filled, live, tokens = filled.select(rows), [live[row] for row in rows], [tokens[row] for row in rows]
        filled.logits = _step(trunk, filled, tokens, edits)


def _record(result: Continuation, job: Job, token: int, logprob: float, ends: frozenset[int]) -> bool:
    """Add one token to the result; whether the row goes on."""
    result.logprobs.append(logprob)
    if token in ends:
        result.stop_reason = "stop"
        return False
    result.tokens.append(token)
    return len(result.tokens) < job.max_tokens


def _step(trunk: Trunk, filled: Filled, tokens: list[int], edits: tuple[Edit, ...]) -> Tensor:
    import torch

    ids = torch.tensor(tokens, device=trunk.device)[:, None]
    positions = torch.tensor(filled.lengths, device=trunk.device)[:, None]
    # Rows of one length have no padding between prompt and continuation, so there is nothing to hide.
    even = min(filled.lengths) == max(filled.lengths) and bool(filled.visible[:, : filled.state.filled].all())
    visible = None if even else filled.visible[:, : filled.state.filled + 1]
    hidden = trunk.forward(ids, positions, filled.state, visible, Taps(edits) if edits else None)
    filled.lengths = [length + 1 for length in filled.lengths]
    return trunk.logits(hidden[:, -1])
