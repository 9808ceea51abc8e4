"""Activations on disk: shards of rows in safetensors with an index, larger than memory, mixed or in order on reading.

A folder holds `index.json` and `shard-00000.safetensors` and so on. A shard holds whole documents: `values` (rows, width),
`tokens` (rows), and for each document its number, its length and a checksum of its tokens. A shard appears by a rename and
counts only once the index names it with its checksum, so a killed writer loses at most one shard and never leaves half of
one. Whoever writes on skips the documents that are there.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stepladder.core import StoreError
from stepladder.store.files import load_tensors, remove_leftovers, save_text, store_errors, write_atomic

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1
INDEX = "index.json"
ROWS_PER_SHARD = 65536
BLOCK = 256
"""Rows that stay together when shards are mixed: the smallest piece that is read from the disk."""


@dataclass(frozen=True)
class ShardInfo:
    """What the rows are: of which model (its fingerprint), after which layer, at which site, how wide, in what precision."""

    model: str
    layer: int
    site: str
    width: int
    dtype: str = "bfloat16"

    def __str__(self) -> str:
        return f"{self.site} of layer {self.layer} of {self.model}, {self.width} wide, in {self.dtype}"


@dataclass(frozen=True)
class _Shard:
    file: str
    rows: int
    checksum: int


class ShardWriter:
    """Writes documents' activations to `folder`, a shard at a time; goes on where an earlier writer was stopped.

    `documents_done` maps the number of each document that is on disk to the checksum of its tokens. Raises `StoreError`
    where the folder holds something else than `info`.
    """

    def __init__(self, folder: Path, info: ShardInfo, rows_per_shard: int = ROWS_PER_SHARD) -> None:
        self.folder, self.info, self.rows_per_shard = folder, info, rows_per_shard
        self.documents_done: dict[int, int] = {}
        self._shards: list[_Shard] = []
        self._waiting: list[tuple[int, np.ndarray, Tensor]] = []
        self._rows = 0
        if (folder / INDEX).exists():
            self._go_on()

    def done(self, document: int, tokens: Sequence[int] | np.ndarray) -> bool:
        """Whether the document is on disk; a `StoreError` if another one is there under its number."""
        if document not in self.documents_done:
            return False
        if self.documents_done[document] != checksum(tokens):
            raise StoreError(f"{self.folder}: document {document} there has other tokens; choose another folder")
        return True

    def add(self, document: int, tokens: Sequence[int] | np.ndarray, values: Tensor) -> None:
        """Keep one document's `tokens` (n) and `values` (n, width); they are on disk once their shard is full."""
        if values.shape != (len(tokens), self.info.width):
            raise ValueError(f"values of shape {tuple(values.shape)} for {len(tokens)} tokens of width {self.info.width}")
        if self._rows and self._rows + len(tokens) > self.rows_per_shard:
            self._flush()
        self._waiting.append((document, np.asarray(tokens, np.int32), values))
        self._rows += len(tokens)

    def close(self) -> None:
        """Write what is left and mark the folder as complete."""
        if self._waiting:
            self._flush()
        self._save_index(complete=True)

    def _go_on(self) -> None:
        info, self._shards, _ = _read_index(self.folder)
        if info != self.info:
            raise StoreError(f"{self.folder} holds the {info}; wanted: the {self.info}; choose another folder")
        remove_leftovers(self.folder)
        for shard in self._shards:
            held = _held(self.folder / shard.file)
            self.documents_done |= dict(zip(held["documents"].tolist(), held["checksums"].tolist(), strict=True))

    def _flush(self) -> None:
        import torch
        from safetensors.torch import save_file

        path = self.folder / f"shard-{len(self._shards):05}.safetensors"
        numbers, tokens, values = zip(*self._waiting, strict=True)
        sums = [checksum(document) for document in tokens]
        tensors = {
            "values": torch.cat([v.to(getattr(torch, self.info.dtype)) for v in values]),
            "tokens": torch.from_numpy(np.concatenate(tokens)),
            "documents": torch.tensor(numbers, dtype=torch.int64),
            "lengths": torch.tensor([len(document) for document in tokens], dtype=torch.int64),
            "checksums": torch.tensor(sums, dtype=torch.int64),
        }
        write_atomic(path, lambda temporary: save_file(tensors, temporary))
        self._shards.append(_Shard(path.name, self._rows, _file_checksum(path)))
        self._save_index(complete=False)
        self.documents_done |= dict(zip(numbers, sums, strict=True))
        self._waiting, self._rows = [], 0

    def _save_index(self, complete: bool) -> None:
        shards = [asdict(shard) for shard in self._shards]
        index = {"version": VERSION, "info": asdict(self.info), "complete": complete, "shards": shards}
        save_text(self.folder / INDEX, json.dumps(index, indent=1))


class Shards:
    """The rows of a folder; made by `open_shards`. Memory stays near that of one shard, however many there are."""

    def __init__(self, folder: Path, info: ShardInfo, shards: Sequence[_Shard]) -> None:
        self.folder, self.info = folder, info
        self._shards = tuple(shards)
        self._lengths = [_held(folder / shard.file)["lengths"] for shard in shards]
        self._trusted: set[str] = set()
        for shard, lengths in zip(shards, self._lengths, strict=True):
            if lengths.sum() != shard.rows:
                raise _damaged(folder / shard.file)

    @property
    def count(self) -> int:
        """Number of rows."""
        return sum(shard.rows for shard in self._shards)

    @property
    def documents(self) -> int:
        """Number of documents."""
        return sum(len(lengths) for lengths in self._lengths)

    def batches(self, size: int, seed: int, epochs: int = 1, skip: int = 0) -> Iterator[Tensor]:
        """Rows in random order as (size, width) float32, the last batch shorter; every row once an epoch.

        Blocks of neighbouring rows are drawn from everywhere until as many rows as a shard holds are together, and these
        are shuffled. The first `skip` tokens of each document are left out: their norms are those of attention sinks.
        """
        import torch

        rest = torch.empty(0, self.info.width)
        for pool in self._pools(np.random.default_rng(seed), epochs, skip):
            start = size - len(rest) if len(rest) else 0
            if start:
                rest = torch.cat((rest, pool[:start].float()))
                if len(rest) < size:
                    continue
                yield rest
            whole = start + (len(pool) - start) // size * size
            for at in range(start, whole, size):
                yield pool[at : at + size].float()
            rest = pool[whole:].float()
        if len(rest):
            yield rest

    def in_order(self) -> Iterator[tuple[int, np.ndarray, Tensor]]:
        """Each document's number, its tokens (n) and its rows (n, width) as stored, in the order they were written."""
        for place, shard in enumerate(self._shards):
            held = self._arrays(shard)
            start = 0
            for document, length in zip(held["documents"].tolist(), self._lengths[place].tolist(), strict=True):
                tokens = held["tokens"][start : start + length]
                yield document, tokens, self._read(shard, [(start, start + length)])
                start += length

    def _pools(self, random: np.random.Generator, epochs: int, skip: int) -> Iterator[Tensor]:
        """Shuffled (rows, width) tensors in the stored precision, of about as many rows as the largest shard has."""
        import torch

        blocks = [(i, at) for i, shard in enumerate(self._shards) for at in range(0, shard.rows, BLOCK)]
        together = max(1, max(shard.rows for shard in self._shards) // BLOCK)
        for _ in range(epochs):
            order = random.permutation(len(blocks))
            for start in range(0, len(order), together):
                chosen = sorted(blocks[i] for i in order[start : start + together])
                pool = self._gather(chosen, skip)
                yield pool[torch.from_numpy(random.permutation(len(pool)))]

    def _gather(self, blocks: Sequence[tuple[int, int]], skip: int) -> Tensor:
        import torch

        pieces = []
        for place in dict.fromkeys(place for place, _ in blocks):
            shard = self._shards[place]
            spans = [(at, min(at + BLOCK, shard.rows)) for i, at in blocks if i == place]
            rows = self._read(shard, spans)
            if skip:
                kept = _positions(self._lengths[place]) >= skip
                rows = rows[torch.from_numpy(np.concatenate([kept[a:b] for a, b in spans]))]
            pieces.append(rows)
        return torch.cat(pieces)

    def _read(self, shard: _Shard, spans: Sequence[tuple[int, int]]) -> Tensor:
        """Those spans of rows, read without mapping the file: mapped pages would count as memory until it is closed."""
        import torch

        path = self.folder / shard.file
        self._check(shard, path)
        found = torch.empty(sum(b - a for a, b in spans), self.info.width, dtype=getattr(torch, self.info.dtype))
        into = memoryview(found.view(torch.uint8).numpy().data).cast("B")
        row = found.element_size() * self.info.width
        with store_errors(path), path.open("rb") as file:
            begin, at = _values_offset(file), 0
            for a, b in spans:
                file.seek(begin + a * row)
                file.readinto(into[at : at + (b - a) * row])
                at += (b - a) * row
        return found

    def _arrays(self, shard: _Shard) -> Mapping[str, np.ndarray[Any, Any]]:
        path = self.folder / shard.file
        self._check(shard, path)
        return _held(path, "tokens", "documents")

    def _check(self, shard: _Shard, path: Path) -> None:
        """Compare the file with its checksum, the first time that it is read."""
        if shard.file not in self._trusted:
            if _file_checksum(path) != shard.checksum:
                raise _damaged(path)
            self._trusted.add(shard.file)


def open_shards(folder: Path) -> Shards:
    """The shards in `folder`. Raises `StoreError` where there are none, where they are damaged or not yet complete."""
    info, shards, complete = _read_index(folder)
    if not complete:
        raise StoreError(f"{folder}: the harvest was stopped before its end; run it again and it goes on")
    if not shards:
        raise StoreError(f"{folder}: the harvest has no rows")
    return Shards(folder, info, shards)


def checksum(tokens: Sequence[int] | np.ndarray) -> int:
    """CRC-32 of token ids."""
    return zlib.crc32(np.asarray(tokens, np.int32).tobytes())


def _read_index(folder: Path) -> tuple[ShardInfo, list[_Shard], bool]:
    path = folder / INDEX
    try:
        index = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{folder}: no harvest there (it has no {INDEX})") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: not an index of activations ({error})") from None
    try:
        if index["version"] != VERSION:
            raise StoreError(f"{path}: version {index['version']}; this program reads {VERSION}")
        info = ShardInfo(**{field.name: index["info"][field.name] for field in fields(ShardInfo)})
        return info, [_Shard(**shard) for shard in index["shards"]], bool(index["complete"])
    except (KeyError, TypeError):
        raise StoreError(f"{path}: not an index of activations (a field is missing)") from None


def _held(path: Path, *names: str) -> Mapping[str, np.ndarray[Any, Any]]:
    return load_tensors(path, *(names or ("documents", "lengths", "checksums")))


def _positions(lengths: np.ndarray) -> np.ndarray:
    """Each row's position in its document."""
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    positions: np.ndarray = np.arange(len(starts)) - starts
    return positions


def _values_offset(file: Any) -> int:
    """Where the rows begin in an open safetensors file: 8 bytes of length, a header in JSON, then the data."""
    length = int.from_bytes(file.read(8), "little")
    return int(8 + length + json.loads(file.read(length))["values"]["data_offsets"][0])


def _file_checksum(path: Path) -> int:
    found = 0
    try:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                found = zlib.crc32(part, found)
    except OSError:
        raise _damaged(path) from None
    return found


def _damaged(path: Path) -> StoreError:
    return StoreError(f"{path}: missing or damaged; remove the folder and harvest again")
