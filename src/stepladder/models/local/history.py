"""Keys and values of conversations, kept in blocks so that a further turn reads only what is new.

A conversation is read alone, in blocks of `BLOCK` tokens and a remainder. A block's keys and values depend on the tokens
up to its end and on nothing else: whether it was kept or is read again changes no bit of what follows. So replies do not
depend on what was asked before. Blocks are known by the chain of their tokens; the least recently used go when the memory
is full.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stepladder.models.local.prefill import padded

if TYPE_CHECKING:
    from torch import Tensor

    from stepladder.models.local.cache import Columns, KeyValues
    from stepladder.models.local.decoder import Trunk

BLOCK = 64
MEMORY = 1 << 29


class History:
    """The blocks kept for one trunk, at most `memory` bytes of them. `hits` and `misses` count blocks."""

    def __init__(self, memory: int = MEMORY) -> None:
        self.memory, self.used, self.hits, self.misses = memory, 0, 0, 0
        self._blocks: OrderedDict[bytes, Columns] = OrderedDict()

    def read(self, trunk: Trunk, prompt: Sequence[int], state: KeyValues) -> Tensor:
        """Read a conversation into the one row of `state`; returns the logits (1, vocabulary) after its last token."""
        chain = b""
        for start in range(0, len(prompt) - BLOCK, BLOCK):
            block = prompt[start : start + BLOCK]
            chain = hashlib.sha256(chain + repr(tuple(block)).encode()).digest()
            self._read_block(trunk, chain, block, state)
        tokens, positions = padded([prompt[state.filled :]], state.filled, trunk)
        return trunk.logits(trunk.forward(tokens, positions, state, None, None)[:, -1])

    def _read_block(self, trunk: Trunk, key: bytes, block: Sequence[int], state: KeyValues) -> None:
        if key in self._blocks:
            self.hits += 1
            self._blocks.move_to_end(key)
            state.write(self._blocks[key])
            return
        self.misses += 1
        tokens, positions = padded([block], state.filled, trunk)
        trunk.forward(tokens, positions, state, None, None)
        self._keep(key, state.columns_before(BLOCK))

    def _keep(self, key: bytes, columns: Columns) -> None:
        self._blocks[key] = columns
        self.used += _size(columns)
        while self.used > self.memory:
            self.used -= _size(self._blocks.popitem(last=False)[1])


def _size(columns: Columns) -> int:
    return sum(t.numel() * t.element_size() for pair in columns.values() for t in pair)
