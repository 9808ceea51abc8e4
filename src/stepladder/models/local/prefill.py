"""Reading prompts: what they have in common once, the rest in batches of similar length.

The plan depends on the prompts given and on nothing else, so the same list gives the same arithmetic. Prompts are padded on
the right, where causal attention needs no mask to ignore the padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepladder.models.local.cache import KeyValues
from stepladder.models.local.edits import Edit, Taps

if TYPE_CHECKING:
    from torch import Tensor

    from stepladder.models.local.decoder import Trunk

Tokens = Sequence[int]

TOKEN_BUDGET = 2048
"""Padded tokens of one forward pass: enough to fill the matrix products, small enough for the caches."""

WORTHWHILE = 8
"""Tokens that prompts must share before their prefix is read by itself."""


@dataclass
class Filled:
    """Prompts read into `state`: `logits` (rows, vocabulary) after each, and which columns hold a row's tokens."""

    state: KeyValues
    logits: Tensor
    visible: Tensor
    lengths: list[int]

    def take(self, rows: Sequence[int]) -> Filled:
        """Those rows, in that order; rows may repeat. This one is not to be used again."""
        logits, visible = self.logits[list(rows)], self.visible[list(rows)]
        return Filled(self.state.take(rows), logits, visible, [self.lengths[row] for row in rows])


def prefill(trunk: Trunk, prompts: Sequence[Tokens], room: int, edits: tuple[Edit, ...] = ()) -> Filled:
    """Read the prompts, equal ones once, and leave `room` columns for what follows."""
    distinct = sorted({tuple(p) for p in prompts}, key=lambda p: (-len(p), p))
    filled = blank(trunk, distinct, room)
    read_into(trunk, distinct, filled, edits)
    return spread(filled, distinct, prompts)


def blank(trunk: Trunk, prompts: Sequence[Tokens], room: int) -> Filled:
    """Room for the prompts and for `room` columns after them; nothing is read yet."""
    import torch

    lengths = [len(p) for p in prompts]
    longest = max(lengths)
    visible = torch.arange(longest + room, device=trunk.device)[None] < torch.tensor(lengths, device=trunk.device)[:, None]
    visible[:, longest:] = True
    return Filled(KeyValues(len(prompts), longest + room, longest), torch.zeros(0), visible, lengths)


def read_into(trunk: Trunk, prompts: Sequence[Tokens], filled: Filled, edits: tuple[Edit, ...] = ()) -> None:
    """Read `prompts`, sorted from long to short, into the first rows of `filled` and add their logits."""
    import torch

    taps = Taps(edits) if edits else None
    shared = shared_prefix(prompts)
    if shared:
        filled.state.spread(read_prefix(trunk, prompts[0][:shared], taps), shared)
    logits = []
    for rows in batches([len(p) - shared for p in prompts]):
        tokens, positions = padded([p[shared:] for p in prompts[rows]], shared, trunk)
        hidden = trunk.forward(tokens, positions, filled.state.part(rows, shared), None, taps)
        ends = torch.tensor([len(p) - shared - 1 for p in prompts[rows]], device=trunk.device)
        logits.append(trunk.logits(hidden[torch.arange(len(ends), device=trunk.device), ends]))
    filled.logits = torch.cat(logits)


def spread(filled: Filled, distinct: Sequence[Tokens], prompts: Sequence[Tokens]) -> Filled:
    """From a row for each distinct prompt to a row for each prompt."""
    if [tuple(p) for p in prompts] == [tuple(p) for p in distinct]:
        return filled
    row = {tuple(prompt): index for index, prompt in enumerate(distinct)}
    return filled.take([row[tuple(p)] for p in prompts])


def shared_prefix(prompts: Sequence[Tokens]) -> int:
    """How many leading tokens to read once: common to all prompts, leaving at least one; 0 where it isn't worth it."""
    first, last = min(prompts, key=tuple), max(prompts, key=tuple)
    limit = min(len(p) for p in prompts) - 1
    common = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), limit)
    common = min(common, limit)
    return common if common >= WORTHWHILE and len(prompts) > 1 else 0


def read_prefix(trunk: Trunk, tokens: Tokens, taps: Taps | None) -> KeyValues:
    """Keys and values of one row."""
    state = KeyValues(1, len(tokens))
    ids, positions = padded([tokens], 0, trunk)
    trunk.forward(ids, positions, state, None, taps)
    return state


def batches(lengths: Sequence[int], budget: int = TOKEN_BUDGET) -> list[slice]:
    """Cut rows, sorted from long to short, into runs of at most `budget` padded tokens."""
    cuts, start = [], 0
    for row in range(1, len(lengths) + 1):
        if row == len(lengths) or (row + 1 - start) * lengths[start] > budget:
            cuts.append(slice(start, row))
            start = row
    return cuts


def padded(sequences: Sequence[Tokens], start: int, trunk: Trunk) -> tuple[Tensor, Tensor]:
    """Token ids (rows, longest), padded on the right with 0, and their positions from `start` on."""
    import torch

    longest = max(len(s) for s in sequences)
    tokens = torch.tensor([[*s, *(0,) * (longest - len(s))] for s in sequences], device=trunk.device)
    positions = torch.arange(start, start + longest, device=trunk.device).expand(len(sequences), -1)
    return tokens, positions
