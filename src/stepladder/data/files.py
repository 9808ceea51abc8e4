"""Files as people write them: text, and YAML that remembers its lines.

Every failure is a `DataError` with the file, the line where there is one, and what is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stepladder.core import DataError

SHIPPED = Path(__file__).parent / "shipped"
FILE_VERSION = 1


def read_text(path: Path) -> str:
    """The file's text, without a byte order mark; `DataError` if missing, unreadable, not UTF-8 or empty."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(path, "no such file") from None
    except IsADirectoryError:
        raise DataError(path, "is a folder; a file is needed") from None
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(path, _not_utf8(data, error), data.count(b"\n", 0, error.start) + 1) from None
    if not text.strip():
        raise DataError(path, "is empty")
    return text


def _not_utf8(data: bytes, error: UnicodeDecodeError) -> str:
    return f"is not UTF-8 (byte 0x{data[error.start]:02x}); save it as UTF-8, for example with iconv -f cp1252 -t utf-8"


@dataclass(frozen=True)
class Node:
    """A YAML value with the line where it stands; asks of it raise a `DataError` that names that line."""

    path: Path
    line: int
    value: Any

    def error(self, problem: str) -> DataError:
        """The error to raise about this value."""
        return DataError(self.path, problem, self.line)

    def mapping(self, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Node]:
        """The value as a mapping that has all `required` keys and no others but `optional`."""
        fields = self.entries()
        allowed = [*required, *optional]
        for name, node in fields.items():
            if name not in allowed:
                raise node.error(f"unknown field {name!r}; allowed: {', '.join(allowed)}")
        for name in required:
            if name not in fields:
                raise self.error(f"field {name!r} is missing; needed: {', '.join(required)}")
        return fields

    def entries(self) -> dict[str, Node]:
        """The value as a non-empty mapping with any keys."""
        if not isinstance(self.value, dict) or not self.value:
            raise self.error("a mapping (name: value) is needed here")
        return self.value

    def items(self) -> list[Node]:
        """The value as a non-empty list."""
        if not isinstance(self.value, list) or not self.value:
            raise self.error("a list with at least one entry is needed here")
        return self.value

    def text(self) -> str:
        """The value as a text that is not blank."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.error(f"a text is needed here, not {_shown(self.value)}")
        return self.value.strip()

    def choice(self, allowed: Sequence[str]) -> str:
        """The value as one of the `allowed` words."""
        if self.value not in allowed:
            raise self.error(f"{_shown(self.value)} is not allowed here; allowed: {', '.join(allowed)}")
        return str(self.value)

    def number(self) -> float:
        """The value as a finite number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not math.isfinite(self.value):
            raise self.error(f"a number is needed here, not {_shown(self.value)}")
        return float(self.value)


def _shown(value: Any) -> str:
    kinds = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return kinds.get(type(value), repr(value))


class _Loader(yaml.SafeLoader):
    """Refuses aliases: a few lines of them can stand for more values than fit in memory."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not read", problem_mark=mark)
        return super().compose_node(parent, index)


def parse_yaml(text: str, path: Path, first_line: int = 1) -> Node:
    """YAML `text` whose first line is line `first_line` of `path`; aliases and repeated keys are refused."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise DataError(path, "is empty", first_line)
        return _located(root, loader, path, first_line)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = first_line + mark.line if mark else None
        raise DataError(path, f"is not YAML: {error.problem or error.context}", line) from None
    except (yaml.YAMLError, ValueError) as error:
        raise DataError(path, f"is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise DataError(path, "is nested too deeply") from None


def _located(node: yaml.Node, loader: yaml.SafeLoader, path: Path, first_line: int) -> Node:
    line = first_line + node.start_mark.line
    if isinstance(node, yaml.SequenceNode):
        return Node(path, line, [_located(child, loader, path, first_line) for child in node.value])
    if not isinstance(node, yaml.MappingNode):
        return Node(path, line, loader.construct_object(node))
    fields: dict[str, Node] = {}
    for key, child in node.value:
        name = str(key.value)
        if name in fields:
            raise DataError(path, f"field {name!r} is given twice", first_line + key.start_mark.line)
        located = _located(child, loader, path, first_line)
        fields[name] = Node(path, first_line + key.start_mark.line, located.value)
    return Node(path, line, fields)


def read_yaml(path: Path) -> Node:
    """The YAML file at `path`."""
    return parse_yaml(read_text(path), path)


HEADER = ("title", "version", "licence")


def check_version(fields: Mapping[str, Node]) -> None:
    """Refuse a file whose `version` this program does not know."""
    if fields["version"].value != FILE_VERSION:
        raise fields["version"].error(f"version {fields['version'].value!r} is not known; allowed: {FILE_VERSION}")
