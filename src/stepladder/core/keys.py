"""Keys made of all that determines a thing, so that what is stored is found again and nothing stale ever is."""

from __future__ import annotations

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


def request_key(fingerprint: str, request: Request) -> str:
    """Key of an exchange: the model's fingerprint and what is asked, not what the request is for."""
    return digest([fingerprint, request.model_dump(exclude={"id", "metadata"})])


@cache
def code_version(function: Callable[..., Any]) -> str:
    """Digest of the source of every module in the folder where `function` lives: edit a family, redo its records."""
    folder = Path(inspect.getfile(function)).parent
    sources = [(str(path.relative_to(folder)), path.read_text("utf-8")) for path in sorted(folder.rglob("*.py"))]
    return digest(sources, 12)
