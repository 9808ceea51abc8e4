"""Keys and values of a batch in preallocated columns.

A row's tokens need not lie in adjacent columns: prompts are padded on the right, and what is generated is written in the
same column for all rows. Each token's true position travels with it, and a mask says which columns a row may see. So a step
writes one slice, and nothing is ever concatenated. Columns never written are zero, because a masked NaN is still NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    Columns = dict[int, tuple[Tensor, Tensor]]
    """Keys and values of some columns of one row, by layer: (heads, columns, head width)."""


class KeyValues:
    """`rows` sequences of at most `columns` tokens; each layer holds two (rows, heads, columns, head width) tensors."""

    def __init__(self, rows: int, columns: int, filled: int = 0) -> None:
        self.rows, self.columns, self.filled = rows, columns, filled
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}
        self.window = slice(0, rows)

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write the new tokens' (rows, heads, n, head width) after the `filled` columns; returns all keys and values so far.

        `filled` moves only with `advance`, once every layer has been written.
        """
        end = self.filled + keys.shape[2]
        stored_keys, stored_values = self._storage(layer, keys)
        stored_keys, stored_values = stored_keys[self.window], stored_values[self.window]
        stored_keys[:, :, self.filled : end] = keys
        stored_values[:, :, self.filled : end] = values
        return stored_keys[:, :, :end], stored_values[:, :, :end]

    def advance(self, tokens: int) -> None:
        """Count `tokens` more columns as written."""
        self.filled += tokens

    def part(self, rows: slice, filled: int) -> KeyValues:
        """Those rows, in the same memory, from column `filled` on."""
        view = KeyValues(self.rows, self.columns, filled)
        view.layers, view.window = self.layers, rows
        return view

    def spread(self, prefix: KeyValues, count: int) -> None:
        """Copy the first `count` columns of a one-row state into every row; `filled` stays."""
        for layer, (keys, values) in prefix.layers.items():
            stored_keys, stored_values = self._storage(layer, keys)
            stored_keys[:, :, :count] = keys[:, :, :count]
            stored_values[:, :, :count] = values[:, :, :count]

    def write(self, columns: Columns) -> None:
        """Append copied columns to a one-row window."""
        row, count = self.window.start, 0
        for layer, (keys, values) in columns.items():
            count = keys.shape[1]
            stored_keys, stored_values = self._storage(layer, keys[None])
            stored_keys[row, :, self.filled : self.filled + count] = keys
            stored_values[row, :, self.filled : self.filled + count] = values
        self.advance(count)

    def columns_before(self, count: int) -> Columns:
        """A copy of the last `count` columns of a one-row window."""
        row, place = self.window.start, slice(self.filled - count, self.filled)
        return {
            layer: (keys[row, :, place].clone(), values[row, :, place].clone())
            for layer, (keys, values) in self.layers.items()
        }

    def take(self, rows: Sequence[int]) -> KeyValues:
        """A new state of those rows, in that order; rows may repeat. This one is emptied, to hold no layer twice."""
        import torch

        chosen = KeyValues(len(rows), self.columns, self.filled)
        while self.layers:
            layer, (keys, values) = self.layers.popitem()
            index = torch.tensor(rows, device=keys.device)
            chosen.layers[layer] = (keys.index_select(0, index), values.index_select(0, index))
        return chosen

    def _storage(self, layer: int, like: Tensor) -> tuple[Tensor, Tensor]:
        if layer not in self.layers:
            shape = (self.rows, like.shape[1], self.columns, like.shape[3])
            self.layers[layer] = (like.new_zeros(shape), like.new_zeros(shape))
        return self.layers[layer]
