"""Keys made of all that determines a thing, so that what is stored is found again and nothing stale ever is."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from stepladder.core.values import Request


def digest(value: Any, length: int = 24) -> str:
    """SHA-256 of the value's canonical JSON, shortened to `length` hex digits."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def request_key(fingerprint: str, request: Request, reads: tuple[str, ...] = ()) -> str:
    """Key of an exchange: the model's fingerprint and what is asked, not what the request is for.

    `reads` names the metadata that the model's answer depends on all the same (see `reply_key`).
    """
    asked = request.model_dump(exclude={"id", "metadata"})
    return digest([fingerprint, asked, *([name, request.metadata.get(name)] for name in reads)])


SHARED_ROOMS = ("core", "stats", "data")
"""Rooms that every technique computes with: their code and the sets they ship determine records too."""


@cache
def code_version(function: Callable[..., Any]) -> str:
    """Digest of all files in the folder where `function` lives and in the rooms it builds on: edit one, redo the record."""
    root = Path(__file__).parents[1]
    folders = [Path(inspect.getfile(function)).parent, *(root / room for room in SHARED_ROOMS)]
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    return digest([(path.name, _content(path)) for path in files], 12)


def config_digest(config: Any) -> str:
    """Digest of a configuration and of every file that it names, so that an edited file is not mistaken for the old one."""
    values = dataclasses.asdict(config)
    files = {name: _content(Path(value)) for name, value in values.items() if _is_file(value)}
    return digest([values, files])


def _is_file(value: Any) -> bool:
    return isinstance(value, str | Path) and value != "" and len(str(value)) < 4096 and Path(value).is_file()


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
