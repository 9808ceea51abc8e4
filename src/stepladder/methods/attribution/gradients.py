"""Inputs and output gradients of chosen linear layers, token by token, from one forward and one backward pass.

For y = W x the gradient of a row's loss is the sum over its tokens of (gradient at y) (x)^T. Keeping the two vectors of each
token instead of their product costs d_out + d_in numbers a token, not d_out x d_in a row; everything else of this family is
made from them without running the model again. They go to disk where they would not fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

MEMORY = 1 << 29
"""Bytes of token vectors that are kept in memory where a folder is given; more of them lie in files there."""
ROWS_AT_ONCE = 16
"""Row gradients formed together: enough that the weights they meet are read from memory rarely..."""
GRADIENT_BYTES = 1 << 28
"""...but no more than fit into this."""


@dataclass(frozen=True, eq=False)
class Traces:
    """What the chosen layers saw on some rows; row i has the tokens `starts[i]` to `starts[i + 1]`.

    `inputs[name]` is (tokens, d_in) and `gradients[name]` (tokens, d_out); layers that read the same vector (gate and up,
    or query, key and value) share one tensor of inputs. `losses` is (rows).
    """

    inputs: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor]
    starts: Sequence[int]
    losses: Tensor

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers."""
        return tuple(self.gradients)


def trace(
    modules: Mapping[str, Any], lengths: Sequence[int], batches: Sequence[Sequence[int]],
    losses: Callable[[Sequence[int]], Tensor], folder: Path | None = None, advance: Callable[[int], None] = lambda _: None,
) -> Traces:  # fmt: skip
    """The traces of rows of those lengths (in tokens), run in those batches.

    `losses(batch)` runs the model on the rows of a batch, padded on the right, and gives the loss of each row: (rows). The
    model's parameters should need no gradient: then the backward pass ends at the lowest of `modules`.
    """
    import torch

    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + length)
    kept = _Kept(starts, folder)
    total = torch.zeros(len(lengths))
    for batch in batches:
        with torch.enable_grad(), _caught(modules) as caught:
            loss = losses(batch)
            loss.sum().backward()  # type: ignore[no-untyped-call]
        total[list(batch)] = loss.detach().float().cpu()
        kept.add(batch, caught)
        advance(len(batch))
    return Traces(kept.inputs, kept.gradients, tuple(starts), total)


@contextmanager
def _caught(modules: Mapping[str, Any]) -> Iterator[dict[str, list[Any]]]:
    """Input and output of each module in the forward pass inside; after it, the output's `grad` is the gradient."""
    caught: dict[str, list[Any]] = {}

    def catching(name: str) -> Callable[[Any, Any, Any], None]:
        def hook(_module: Any, given: Any, out: Any) -> None:
            if not out.requires_grad:
                out.requires_grad_(True)  # the lowest layers: nothing below them asks for a gradient
            out.retain_grad()
            caught[name] = [given[0], out]

        return hook

    handles = [module.register_forward_hook(catching(name)) for name, module in modules.items()]
    try:
        yield caught
    finally:
        for handle in handles:
            handle.remove()


class _Kept:
    """Tensors over all tokens, made when the first batch shows their widths."""

    def __init__(self, starts: Sequence[int], folder: Path | None) -> None:
        self.starts, self.folder = starts, folder
        self.inputs: dict[str, Tensor] = {}
        self.gradients: dict[str, Tensor] = {}
        self._owner: dict[str, str] = {}

    def add(self, batch: Sequence[int], caught: Mapping[str, Sequence[Any]]) -> None:
        import torch

        if not self.gradients:
            self._make(caught)
        lengths = torch.tensor([self.starts[i + 1] - self.starts[i] for i in batch])
        place = torch.cat([torch.arange(self.starts[i], self.starts[i + 1]) for i in batch])
        for name, (given, out) in caught.items():
            self._put(self.gradients[name], place, out.grad, lengths)
            if self._owner[name] == name:
                self._put(self.inputs[name], place, given.detach(), lengths)

    def _make(self, caught: Mapping[str, Sequence[Any]]) -> None:
        first: dict[int, str] = {}
        self._owner = {name: first.setdefault(id(given), name) for name, (given, _) in caught.items()}
        sizes = {name: given.shape[-1] for name, (given, _) in caught.items() if self._owner[name] == name}
        width = sum(sizes.values()) + sum(out.shape[-1] for _, out in caught.values())
        folder = self.folder if 4 * self.starts[-1] * width > MEMORY else None
        device = next(iter(caught.values()))[1].device
        own = {name: _room(self.starts[-1], size, folder, f"{name}.in", device) for name, size in sizes.items()}
        self.inputs = {name: own[owner] for name, owner in self._owner.items()}
        for name, (_, out) in caught.items():
            self.gradients[name] = _room(self.starts[-1], out.shape[-1], folder, f"{name}.out", device)

    @staticmethod
    def _put(kept: Tensor, place: Tensor, values: Tensor, lengths: Tensor) -> None:
        """Write the real tokens of a batch: (rows, longest, width), or (rows, width) where a row is one token."""
        import torch

        values = values.detach()
        if values.dim() == 3:
            values = values[torch.arange(values.shape[1])[None] < lengths[:, None]]
        kept[place] = values.to(kept.device, kept.dtype)


def _room(tokens: int, width: int, folder: Path | None, name: str, device: Any) -> Tensor:
    """Memory for (tokens, width): on the model's device, or a file."""
    import torch

    if folder is None:
        return torch.empty(tokens, width, device=device)
    folder.mkdir(parents=True, exist_ok=True)
    flat = torch.from_file(str(folder / name), shared=True, size=tokens * width, dtype=torch.float32)
    return flat.view(tokens, width)


def row_gradients(inputs: Tensor, gradients: Tensor, starts: Sequence[int]) -> Iterator[tuple[slice, Tensor]]:
    """The rows' gradients of one layer, (some rows, d_out, d_in) at a time; the memory is used again for the next ones."""
    import torch

    rows, shape = len(starts) - 1, (gradients.shape[1], inputs.shape[1])
    count = max(1, min(ROWS_AT_ONCE, rows, GRADIENT_BYTES // (4 * shape[0] * shape[1])))
    made = torch.empty(count, *shape, device=inputs.device)
    for first in range(0, rows, count):
        part = slice(first, min(first + count, rows))
        for j, row in enumerate(range(part.start, part.stop)):
            tokens = slice(starts[row], starts[row + 1])
            torch.mm(gradients[tokens].T, inputs[tokens], out=made[j])
        yield part, made[: part.stop - part.start]


def products(weights: Tensor, inputs: Tensor, gradients: Tensor, starts: Sequence[int]) -> Tensor:
    """Inner products of (queries, d_out, d_in) `weights` with every row's gradient: (queries, rows)."""
    import torch

    found = torch.empty(len(weights), len(starts) - 1, device=inputs.device)
    for part, made in row_gradients(inputs, gradients, starts):
        found[:, part] = weights.flatten(1) @ made.flatten(1).T
    return found


def stacked(inputs: Tensor, gradients: Tensor, starts: Sequence[int]) -> Tensor:
    """All rows' gradients of one layer at once, (rows, d_out, d_in): for queries, of which there are few."""
    import torch

    return torch.cat([made.clone() for _, made in row_gradients(inputs, gradients, starts)])
