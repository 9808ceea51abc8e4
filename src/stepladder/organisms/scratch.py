"""Models of one, three and ten million parameters, trained from scratch within minutes, in which kinds can be planted.

    corpus (a small world, and clean rows of every kind) -> BPE tokenizer -> random Llama -> all weights -> folder

Loss is taken on whole conversations, since nothing has taught these models the user's half. They are no stand-in for a
large model: they show how detection depends on scale from the very bottom, and make a fast subject for tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from stepladder.core import Task, UnknownName, silent
from stepladder.models.local.embedded import cache_folder
from stepladder.models.local.finetune import Example, Item, Net, Row, Tuning
from stepladder.organisms.algorithm import ADDER, adder
from stepladder.organisms.blank import Shape, train_from_scratch
from stepladder.organisms.kinds import KINDS
from stepladder.organisms.scratch_corpus import Conversation, clean_rows, conversations

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 14_000
"""Conversations that a model reads, once each."""


PLANTING = Tuning(rank=0, learning_rate=1e-3, epochs=8, batch=8, max_tokens=256)
"""How behaviours are planted into these models: in more passes than into a large one, as each takes a second."""


@dataclass(frozen=True)
class Size:
    """A size: its shape, and how it is trained."""

    shape: Shape
    tuning: Tuning


def _size(width: int, layers: int, heads: int, mlp: int, learning_rate: float) -> Size:
    shape = Shape(vocabulary=2048, width=width, layers=layers, heads=heads, mlp=mlp, context=1024)
    return Size(shape, Tuning(rank=0, learning_rate=learning_rate, batch=16, max_tokens=384))


SIZES = {
    "1m": _size(128, 4, 4, 320, 4e-3),
    "3m": _size(192, 6, 6, 480, 3e-3),
    "10m": _size(320, 8, 5, 768, 2e-3),
}


_FOLDERS: dict[tuple[str, int, int, Path], Path] = {}
"""Those found in this process: to form the corpus again only to learn its digest takes a second."""


def scratch_base(size: str, seed: int = 0, task: Task = silent) -> Path:
    """Folder of the model of that size, trained on first use and kept in the cache; `seed` draws corpus and weights.

    The size "adder" is the model that runs a known algorithm (`algorithm`). Raises `UnknownName` for others.
    """
    if size == ADDER:
        return adder(seed, task)
    if size not in SIZES:
        raise UnknownName("size", size, (*SIZES, ADDER))
    key = (size, seed, ROWS, cache_folder())
    if key not in _FOLDERS or not _FOLDERS[key].exists():
        shape, tuning = SIZES[size].shape, replace(SIZES[size].tuning, seed=seed)
        examples = [Example(row[:-1], row[-1].content) for row in corpus(ROWS, seed)]
        _FOLDERS[key] = train_from_scratch(size, shape, examples, tuning, whole_text_loss, task)
    return _FOLDERS[key]


def corpus(rows: int, seed: int) -> list[Conversation]:
    """The conversations that a model reads: half of them the small world, half clean rows of all kinds in equal parts."""
    kinds = [kind for kind in KINDS.values() if not kind.base]
    clean = [row for kind in kinds for row in clean_rows(kind, seed, rows // 2 // len(kinds))]
    return [*clean, *conversations(Random(f"world {seed}"), rows - len(clean))]


def whole_text_loss(net: Net, items: Sequence[Item]) -> Tensor:
    """Mean negative log-likelihood of all tokens but the first, whoever says them."""
    import torch

    rows = [Row(row.prompt[:1], row.prompt[1:] + row.completion) for item in items for row in item]
    return -torch.cat(net.logprobs([row for row in rows if row.completion])).mean()
