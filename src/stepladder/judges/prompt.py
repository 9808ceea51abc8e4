"""Prompts of the judges as files: a header between lines of `---`, then turns under `## system`, `## user`, `## assistant`.

What is quoted is fenced with a code that the quoted text cannot know: it is made from that very text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from stepladder.core import DataError, Message, digest

_ROLES = ("system", "user", "assistant")
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Prompt:
    """A prompt file: its header, and its turns with places such as `{reply}` still open."""

    header: Mapping[str, Any]
    turns: tuple[Message, ...]

    def fill(self, **values: str) -> tuple[Message, ...]:
        """The turns with every `{name}` that is in `values` filled in once: what is filled in is never filled again."""
        return tuple(Message(role=turn.role, content=_filled(turn.content, values)) for turn in self.turns)


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda place: values.get(place[1], place[0]), text)


@cache
def load_prompt(name: str) -> Prompt:
    """The shipped prompt of that name."""
    return read_prompt(Path(__file__).parent / "prompts" / f"{name}.md")


def read_prompt(path: Path) -> Prompt:
    """Read a prompt file; a `DataError` names the file and the line that is wrong."""
    import yaml

    parts = path.read_text("utf-8").split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise DataError(path, "a prompt begins with a header between two lines of ---", 1)
    try:
        header = yaml.safe_load(parts[1])
    except yaml.YAMLError as error:
        raise DataError(path, f"the header is not YAML: {error}".splitlines()[0], 2) from None
    if not isinstance(header, dict):
        raise DataError(path, "the header must be a list of names and values", 2)
    return Prompt(header, _turns(path, parts[2], first=parts[1].count("\n") + 3))


def _turns(path: Path, body: str, first: int) -> tuple[Message, ...]:
    turns: list[tuple[str, list[str]]] = []
    for number, line in enumerate(body.splitlines(), first):
        if line.startswith("## "):
            role = line[3:].strip()
            if role not in _ROLES:
                raise DataError(path, f"unknown turn {role!r}; allowed: {', '.join(_ROLES)}", number)
            turns.append((role, []))
        elif turns:
            turns[-1][1].append(line)
        elif line.strip():
            raise DataError(path, "text before the first turn; begin with ## system or ## user", number)
    roles = (cast(Literal["system", "user", "assistant"], role) for role, _ in turns)
    return tuple(Message(role=role, content="\n".join(lines).strip()) for role, (_, lines) in zip(roles, turns, strict=True))


def nonce_for(*quoted: str) -> str:
    """A code of 12 characters that is in none of the quoted texts, and the same each time for the same texts."""
    count = 0
    while True:
        nonce = digest([*quoted, count], 12)
        if not any(nonce in text for text in quoted):
            return nonce
        count += 1
