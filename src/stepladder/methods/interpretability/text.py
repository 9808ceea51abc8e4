"""Plain text to read activations from: shipped, from files, or from data sets; and its cutting into windows of tokens."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from stepladder.core import DataError, MissingExtra
from stepladder.data.files import Node, read_text, read_yaml

TOPICS = Path(__file__).with_name("topics.yaml")
DOCUMENTS = 600
SENTENCES = (5, 8)
EXTRA = "reading Parquet and Hugging Face sets needs the extra: pip install 'stepladder[corpora]'"
COLUMN = "text"


def shipped_text() -> list[str]:
    """The texts of `shipped_documents`, about 200 kB."""
    return [text for _, text in shipped_documents()]


def shipped_documents() -> list[tuple[str, str]]:
    """Topic and text of generated plain documents, the same every time.

    Each fills sentences of one topic of `topics.yaml` at random: what a text is about, and which words can stand in a
    place, is known for each.
    """
    topics, rng = list(_topics().items()), random.Random(0)
    chosen = [topics[i % len(topics)] for i in range(DOCUMENTS)]
    rng.shuffle(chosen)
    return [(name, _document(sentences, fill, rng)) for name, (sentences, fill) in chosen]


def read_texts(path: Path) -> Iterator[str]:
    """One document after the other: rows of .parquet or lines of .jsonl (field `text`), or whole .txt files.

    `path` is such a file, a folder of them (of its first kind in that order), or a data set that Hugging Face's
    `datasets` saved to disk, with all of its splits. Only a few documents are in memory at a time. Raises `DataError`
    where there is none of this, `MissingExtra` where a package is missing.
    """
    if path.is_dir():
        yield from _folder(path)
    elif not path.exists():
        raise DataError(path, "no such file")
    elif path.suffix.lower() in _READERS:
        yield from _READERS[path.suffix.lower()](path)
    else:
        raise DataError(path, f"unknown kind of text {path.suffix!r}; allowed: {', '.join(_READERS)}, or a folder")


def windows(documents: Iterable[Sequence[int]], length: int) -> Iterator[tuple[int, list[int]]]:
    """Each document's number and its tokens, cut into pieces of at most `length`; empty documents give none."""
    for number, tokens in enumerate(documents):
        for start in range(0, len(tokens), length):
            yield number, list(tokens[start : start + length])


def packed(documents: Iterable[Sequence[int]], length: int, separator: int | None) -> Iterator[list[int]]:
    """Windows of exactly `length` tokens from documents laid end to end, `separator` after each; the last rest is lost."""
    waiting: list[int] = []
    for tokens in documents:
        waiting += [*tokens, *(() if separator is None else (separator,))]
        whole = len(waiting) // length * length
        yield from (waiting[start : start + length] for start in range(0, whole, length))
        waiting = waiting[whole:]


def _topics() -> dict[str, tuple[list[str], dict[str, list[str]]]]:
    fields = read_yaml(TOPICS).mapping(("title", "version", "licence", "topics"))
    return {name: _topic(node) for name, node in fields["topics"].entries().items()}


def _topic(node: Node) -> tuple[list[str], dict[str, list[str]]]:
    parts = node.mapping(("sentences", "fill"))
    fill = {gap: [word.text() for word in words.items()] for gap, words in parts["fill"].entries().items()}
    return [sentence.text() for sentence in parts["sentences"].items()], fill


def _document(sentences: Sequence[str], fill: dict[str, list[str]], rng: random.Random) -> str:
    picked = rng.sample(sentences, rng.randint(*SENTENCES))
    return " ".join(re.sub(r"\{(\w+)\}", lambda gap: rng.choice(fill[gap[1]]), sentence) for sentence in picked)


def _folder(path: Path) -> Iterator[str]:
    if (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists():
        yield from _saved_set(path)
        return
    for kind, reader in _READERS.items():
        files = sorted(path.rglob(f"*{kind}"))
        for file in files:
            yield from reader(file)
        if files:
            return
    raise DataError(path, f"holds no texts; allowed: {', '.join(_READERS)}, or a saved Hugging Face data set")


def _plain(path: Path) -> Iterator[str]:
    yield read_text(path)


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(path, f"is not json: {error}", number) from None
            yield _text(row if isinstance(row, dict) else {}, path, number)


def _parquet(path: Path) -> Iterator[str]:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise MissingExtra(EXTRA) from None
    try:
        with ParquetFile(path) as file:
            _need_column(file.schema_arrow.names, path)
            for batch in file.iter_batches(batch_size=256, columns=[COLUMN]):
                yield from _texts(batch[COLUMN].to_pylist(), path)
    except (ArrowInvalid, OSError) as error:
        raise DataError(path, f"is not Parquet: {str(error).splitlines()[0]}") from None


def _saved_set(path: Path) -> Iterator[str]:
    try:
        from datasets import Dataset, load_from_disk
    except ImportError:
        raise MissingExtra(EXTRA) from None
    try:
        found = load_from_disk(str(path))
    except Exception as error:
        raise DataError(path, f"is not a saved data set: {str(error).splitlines()[0]}") from None
    for split in [found] if isinstance(found, Dataset) else found.values():
        _need_column(split.column_names, path)
        for batch in split.select_columns([COLUMN]).iter(256):
            yield from _texts(batch[COLUMN], path)


def _texts(values: Iterable[Any], path: Path) -> Iterator[str]:
    return (_text({COLUMN: value}, path) for value in values)


def _text(row: dict[str, Any], path: Path, line: int | None = None) -> str:
    if not isinstance(row.get(COLUMN), str):
        raise DataError(path, f"each row needs a text in {COLUMN!r}; this one has {', '.join(row) or 'no fields'}", line)
    return str(row[COLUMN])


def _need_column(columns: Sequence[str], path: Path) -> None:
    if COLUMN not in columns:
        raise DataError(path, f"needs a column {COLUMN!r}; it has {', '.join(columns)}")


_READERS: dict[str, Callable[[Path], Iterator[str]]] = {".parquet": _parquet, ".jsonl": _lines, ".txt": _plain}
