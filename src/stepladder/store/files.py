"""Files that are whole or not there, tensors without pickle, and one clear line where the disk says no."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from stepladder.core import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EISDIR}


@contextmanager
def store_errors(place: Path) -> Iterator[None]:
    """Turn what the system or SQLite says about `place` into a `StoreError`; anything that is a bug of ours passes."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        problem = _problem(error)
        if problem is None:
            raise
        raise StoreError(f"{place}: {problem}") from error


def _problem(error: OSError | sqlite3.Error) -> str | None:
    name = getattr(error, "sqlite_errorname", "")
    number = getattr(error, "errno", None)
    if number in _FULL or name == "SQLITE_FULL":
        return "the disk is full; free some space and give the same command again: it goes on from what is stored"
    if number in _FORBIDDEN or name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return "cannot be written (read-only, or not yours); choose another folder"
    if number in _NO_FOLDER:
        return f"cannot be a folder of the store ({error.strerror}); choose another"  # type: ignore[union-attr]
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "another process holds the ledger; wait for it, or choose another folder"
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return "not a ledger of Stepladder, or damaged; move it away or choose another folder"
    if name.startswith("SQLITE_IOERR"):
        return f"the disk failed or is full ({error}); free some space and give the same command again"
    return f"{error.strerror or error}" if isinstance(error, OSError) else None


def write_atomic(path: Path, write: Callable[[Path], Any]) -> None:
    """Have `write` fill a temporary file beside `path`, bring it to the disk, and only then give it its name."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with store_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            _sync(temporary)
            os.replace(temporary, path)
            _sync(path.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def _sync(path: Path) -> None:
    """`fsync` of a file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed, in `folder` and below."""
    for path in folder.rglob(".*.tmp"):
        process = path.name.split(".")[-2]
        if process.isdigit() and not _alive(int(process)):
            path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def save_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    write_atomic(path, lambda temporary: temporary.write_text(text, "utf-8"))


def save_tensors(path: Path, tensors: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays as safetensors, whole or not at all; `metadata` are strings for the file's header."""
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    data = save(contiguous, dict(metadata or {}))
    write_atomic(path, lambda temporary: temporary.write_bytes(data))


def load_tensors(path: Path, *names: str) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a safetensors file, or those named; raises `StoreError` where it is missing or not one."""
    with _tensors(path) as file:
        return {name: file.get_tensor(name) for name in names or file.keys()}


def load_metadata(path: Path) -> dict[str, str]:
    """The strings in a safetensors file's header."""
    with _tensors(path) as file:
        return file.metadata() or {}


@contextmanager
def _tensors(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file of tensors") from None
    except (SafetensorError, OSError) as error:
        raise StoreError(f"{path}: not a readable safetensors file ({error})") from None
