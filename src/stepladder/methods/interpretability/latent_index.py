"""Which latent fires where, on disk: sorted by latent, so that any one of them is read without the others.

The activations of a corpus go through a dictionary once, document by document; what is active is written out in chunks and
then put in order by a counting sort that holds one chunk at a time. Memory is bounded by a chunk, not by the corpus.

    tokens.npy     (rows) int32        the corpus, one document after the other
    documents.npy  (documents + 1)     where each document begins
    sources.npy    (documents)         which text each is a piece of: texts are independent, their pieces are not
    starts.npy     (latents + 1)       where each latent's entries begin in the next two
    rows.npy       (entries) uint32    row of the corpus, ascending for each latent
    values.npy     (entries) float32

A document's first token is left out: nothing precedes it, and in most transformers its activation is far larger than
any other for reasons of attention, not of meaning (Sun et al., arXiv:2402.17762).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stepladder.core.errors import StoreError

if TYPE_CHECKING:
    from torch import Tensor

Active = Callable[["Tensor"], "tuple[Tensor, Tensor]"]
"""Activations (n, width) to the latents (n, k) that are active and their values (n, k), 0 where there are fewer than k."""

CHUNK = 4096
"""Rows that are encoded at a time."""
_ARRAYS = ("tokens", "documents", "sources", "starts", "rows", "values")


@dataclass(frozen=True, eq=False)
class LatentIndex:
    """The stored activations of all latents; arrays are mapped, not loaded."""

    folder: Path
    tokens: NDArray[np.int32]
    documents: NDArray[np.int64]
    sources: NDArray[np.int64]
    starts: NDArray[np.int64]
    rows: NDArray[np.uint32]
    values: NDArray[np.float32]

    @property
    def latents(self) -> int:
        """Number of latents, dead ones counted."""
        return len(self.starts) - 1

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(latents,): at how many tokens each is active."""
        return np.diff(self.starts)

    def latent(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows at which one latent is active, ascending, and its values there."""
        if not 0 <= number < self.latents:
            raise StoreError(f"{self.folder}: no latent {number}; allowed: 0 to {self.latents - 1}")
        part = slice(int(self.starts[number]), int(self.starts[number + 1]))
        return np.asarray(self.rows[part], np.int64), np.asarray(self.values[part])

    def document_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The document that each row belongs to."""
        return np.searchsorted(self.documents, rows, side="right").astype(np.int64) - 1


def open_index(folder: Path) -> LatentIndex:
    """The index that `index_latents` has finished in that folder; `StoreError` where there is none or it is damaged."""
    if not (folder / "index.json").is_file():
        raise StoreError(f"{folder}: no index of latents (index.json is missing)")
    try:
        return LatentIndex(folder, *(np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS))
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder}: the index of latents is damaged or of another version: {error}") from None


def index_latents(
    documents: Iterable[tuple[NDArray[np.integer[Any]], Tensor]], active: Active, latents: int, folder: Path,
    advance: Callable[[int], None] = lambda _: None, sources: Sequence[int] | None = None,
) -> LatentIndex:  # fmt: skip
    """Write the index of a corpus given as token ids (n,) and activations (n, width) of each document.

    `sources` says which text each document is a piece of; by default each is its own. `advance` is told the rows done. An
    index appears whole or not at all; one that is there already is opened.
    """
    if (folder / "index.json").is_file():
        return open_index(folder)
    folder.mkdir(parents=True, exist_ok=True)
    chunks = folder / "chunks"
    shutil.rmtree(chunks, ignore_errors=True)
    chunks.mkdir()
    tokens, lengths, counts = _write_chunks(documents, active, latents, chunks, advance)
    _save(folder, "tokens", tokens)
    _save(folder, "documents", np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    _save(folder, "sources", np.arange(len(lengths)) if sources is None else np.asarray(sources, np.int64))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    _save(folder, "starts", starts)
    _sort_chunks(chunks, folder, starts)
    shutil.rmtree(chunks)
    (folder / "index.tmp").write_text(json.dumps({"latents": latents, "rows": len(tokens), "entries": int(starts[-1])}))
    (folder / "index.tmp").rename(folder / "index.json")
    return open_index(folder)


def _write_chunks(
    documents: Iterable[tuple[NDArray[np.integer[Any]], Tensor]], active: Active, latents: int, folder: Path,
    advance: Callable[[int], None],
) -> tuple[NDArray[np.int32], list[int], NDArray[np.int64]]:  # fmt: skip
    """Entries of every chunk, sorted by latent; the corpus, the documents' lengths, and each latent's number of entries."""
    corpus: list[NDArray[np.int32]] = []
    counts, done = np.zeros(latents, np.int64), 0
    for number, group in enumerate(_groups(documents)):
        firsts = np.cumsum([0, *(len(tokens) for tokens, _ in group)])[:-1]
        rows, which, values = _entries(group, active)
        keep = ~np.isin(rows, firsts)
        rows, which, values = rows[keep] + done, which[keep], values[keep]
        order = np.argsort(which, kind="stable")
        np.savez(folder / f"{number:06d}.npz", rows=rows[order], latents=which[order], values=values[order])
        counts += np.bincount(which, minlength=latents)
        corpus += [tokens.astype(np.int32) for tokens, _ in group]
        size = sum(len(tokens) for tokens, _ in group)
        done += size
        advance(size)
    if not corpus:
        raise StoreError(f"{folder.parent}: no documents to index")
    return np.concatenate(corpus), [len(tokens) for tokens in corpus], counts


def _groups(documents: Iterable[tuple[Any, Tensor]]) -> Iterator[list[tuple[Any, Tensor]]]:
    """Documents together until they fill a chunk."""
    group: list[tuple[Any, Tensor]] = []
    for document in documents:
        group.append(document)
        if sum(len(tokens) for tokens, _ in group) >= CHUNK:
            yield group
            group = []
    if group:
        yield group


def _entries(
    group: list[tuple[Any, Tensor]], active: Active
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    import torch

    values = torch.cat([activations for _, activations in group]).float()
    found = [tuple(part.cpu().numpy() for part in active(values[i : i + CHUNK])) for i in range(0, len(values), CHUNK)]
    rows, which, sizes = [], [], []
    for number, (latents, strengths) in enumerate(found):
        row, column = np.nonzero(strengths > 0)
        rows.append(row + number * CHUNK)
        which.append(latents[row, column].astype(np.int64))
        sizes.append(strengths[row, column].astype(np.float32))
    return np.concatenate(rows), np.concatenate(which), np.concatenate(sizes)


def _sort_chunks(chunks: Path, folder: Path, starts: NDArray[np.int64]) -> None:
    """Scatter the chunks, in order, to where their latents' entries belong."""
    size = int(starts[-1])
    outputs = {
        "rows": np.lib.format.open_memmap(folder / "rows.npy", "w+", np.uint32, (size,)),
        "values": np.lib.format.open_memmap(folder / "values.npy", "w+", np.float32, (size,)),
    }
    cursor = starts[:-1].copy()
    for path in sorted(chunks.glob("*.npz")):
        with np.load(path) as chunk:
            which = chunk["latents"]
            counts = np.bincount(which, minlength=len(cursor))
            before = np.repeat(np.cumsum(counts) - counts, counts)
            places = cursor[which] + np.arange(len(which)) - before
            for name, output in outputs.items():
                output[places] = chunk[name]
            cursor += counts
    for output in outputs.values():
        output.flush()


def _save(folder: Path, name: str, array: NDArray[Any]) -> None:
    np.save(folder / f"{name}.npy", array)
