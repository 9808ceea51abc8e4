"""Generating in batches: one step for all rows, finished rows dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepladder.models.local.edits import Edit, Taps
from stepladder.models.local.history import History
from stepladder.models.local.prefill import Filled, blank, prefill, read_into, spread
from stepladder.models.local.sampling import Job, choose

if TYPE_CHECKING:
    from torch import Tensor

    from stepladder.models.local.decoder import Trunk

COLUMN_BUDGET = 1 << 15
"""Rows times columns of one decoding batch: what bounds the memory of keys and values."""

DROP_SHARE = 8
"""Finished rows are dropped when they are an eighth of the batch: dropping copies the keys and values of the others."""


@dataclass
class Continuation:
    """What was generated: tokens (without the one that ends the turn), their log probabilities, and why it stopped.

    `logprobs` includes the ending token's where there was one, as the last.
    """

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    stop_reason: str = "max_tokens"
    finished: bool = False


def generate(
    trunk: Trunk, jobs: Sequence[Job], ends: frozenset[int], edits: tuple[Edit, ...] = (), history: History | None = None
) -> list[Continuation]:
    """Continue every job's prompt until a token of `ends` or its `max_tokens`.

    The same jobs give the same result to the last bit, whatever `history` holds. It is not used under edits, which change
    what a block of tokens leaves behind.
    """
    results: list[Continuation] = [Continuation() for _ in jobs]
    for rows in groups(jobs):
        chosen = [jobs[row] for row in rows]
        filled = _read(trunk, chosen, edits, None if edits else history)
        _decode(trunk, chosen, filled, [results[row] for row in rows], ends, edits)
    return results


def _read(trunk: Trunk, jobs: Sequence[Job], edits: tuple[Edit, ...], history: History | None) -> Filled:
    """Read the prompts: conversations one by one through the history, the others together."""
    import torch

    room = max(job.max_tokens for job in jobs)
    known = {job.prompt for job in jobs if job.conversation}
    if history is None or not known:
        return prefill(trunk, [job.prompt for job in jobs], room, edits)
    single = sorted({job.prompt for job in jobs} - known, key=lambda p: (-len(p), p))
    distinct = [*single, *sorted(known)]
    filled = blank(trunk, distinct, room)
    if single:
        read_into(trunk, single, filled)
    rows = range(len(single), len(distinct))
    logits = [history.read(trunk, distinct[row], filled.state.part(slice(row, row + 1), 0)) for row in rows]
    filled.logits = torch.cat([filled.logits, *logits] if single else logits)
    return spread(filled, distinct, [job.prompt for job in jobs])


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
        if going.count(False) * DROP_SHARE >= len(going):
            rows = [row for row, goes in enumerate(going) if goes]
            filled, live, tokens = filled.take(rows), [live[row] for row in rows], [tokens[row] for row in rows]
        filled.logits = _step(trunk, filled, tokens, edits)


def _record(result: Continuation, job: Job, token: int, logprob: float, ends: frozenset[int]) -> bool:
    """Add one token to the result, unless it is finished; whether the row goes on."""
    if result.finished:
        return False
    result.logprobs.append(logprob)
    if token in ends:
        result.stop_reason = "stop"
    else:
        result.tokens.append(token)
    result.finished = token in ends or len(result.tokens) == job.max_tokens
    return not result.finished


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
