"""Reading the prompts that live in markdown beside the code: `prompts/*.md`, a header between `---` lines, then the text."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from stepladder.data import MARKER

FOLDER = Path(__file__).parent / "prompts"

_TURN = re.compile(r"^(User|Assistant): ", re.MULTILINE)


@cache
def prompt_text(name: str) -> str:
    """Body of `prompts/<name>.md`, without its header."""
    _, _, body = (FOLDER / f"{name}.md").read_text("utf-8").split("---\n", 2)
    return body.strip()


def render(name: str, request: str) -> str:
    """The prompt of that name with the request, verbatim, in the place of `[REQUEST]`."""
    return prompt_text(name).replace(MARKER, request)


def dialogue(name: str) -> tuple[tuple[str, str], ...]:
    """The turns of a prompt written as `User: ...` and `Assistant: ...`, as pairs of role and text."""
    parts = _TURN.split(prompt_text(name))[1:]
    return tuple((role.lower(), text.strip()) for role, text in zip(parts[::2], parts[1::2], strict=True))
