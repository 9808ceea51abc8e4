"""What is asked of a subject: harmful behaviours with their harmless twins, ordinary requests, jailbreak templates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stepladder.core import DataError
from stepladder.data.behaviour_formats import Behaviour, read_behaviours
from stepladder.data.files import HEADER, SHIPPED, Node, check_version, read_yaml
from stepladder.data.tables import Format, Row, read_table, recognise

MARKER = "[REQUEST]"
GPTFUZZ_MARKER = "[INSERT PROMPT HERE]"
_YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class Ordinary:
    """A harmless everyday request."""

    id: str
    text: str


@dataclass(frozen=True)
class Template:
    """A jailbreak text with one or more places, marked [REQUEST], for the request."""

    id: str
    text: str

    def fill(self, request: str) -> str:
        """The template with the request, word for word, in every marked place."""
        return self.text.replace(MARKER, request)


def load_behaviours(path: Path | None = None) -> tuple[Behaviour, ...]:
    """The shipped behaviours, or those of a file: our YAML, or any format that `read_behaviours` knows."""
    path = path or SHIPPED / "behaviours.yaml"
    if path.suffix.lower() not in _YAML:
        return _harmful(path)
    fields = read_yaml(path).mapping([*HEADER, "behaviours"])
    check_version(fields)
    found: dict[str, Behaviour] = {}
    for category, entries in fields["behaviours"].entries().items():
        for node in entries.items():
            _add(found, node, _behaviour(category, node))
    return tuple(found.values())


def _harmful(path: Path) -> tuple[Behaviour, ...]:
    behaviours = read_behaviours(path).behaviours
    if not behaviours:
        raise DataError(path, "holds only harmless requests; harmful ones are needed")
    return behaviours


def _behaviour(category: str, node: Node) -> Behaviour:
    fields = node.mapping(["id", "request"], ["twin"])
    request = fields["request"].text()
    twin = fields["twin"].text() if "twin" in fields else None
    if twin == request:
        raise node.error("the twin is the same as the request; it has to be the harmless neighbour")
    return Behaviour(fields["id"].text(), category, request, twin)


def _add(found: dict[str, Behaviour], node: Node, behaviour: Behaviour) -> None:
    if behaviour.id in found:
        raise node.error(f"id {behaviour.id!r} is given twice")
    if any(other.request == behaviour.request for other in found.values()):
        raise node.error("this request is given twice")
    found[behaviour.id] = behaviour


def load_ordinary(path: Path | None = None) -> tuple[Ordinary, ...]:
    """The shipped 200 everyday requests, or those of a YAML file: lists of texts by topic."""
    fields = read_yaml(path or SHIPPED / "ordinary.yaml").mapping([*HEADER, "ordinary"])
    check_version(fields)
    found: dict[str, Ordinary] = {}
    for topic, entries in fields["ordinary"].entries().items():
        for number, node in enumerate(entries.items(), start=1):
            text = node.text()
            if text in found:
                raise node.error("this request is given twice")
            found[text] = Ordinary(f"{topic}-{number:02d}", text)
    return tuple(found.values())


def load_templates(path: Path | None = None) -> tuple[Template, ...]:
    """The shipped templates, those of a YAML file, or a table with `id` and `text` (GPTFuzz's marker is read too)."""
    path = path or SHIPPED / "templates.yaml"
    entries = _yaml_templates(path) if path.suffix.lower() in _YAML else _table_templates(path)
    found: dict[str, Template] = {}
    for source, name, text in entries:
        marked = text.replace(GPTFUZZ_MARKER, MARKER)
        if MARKER not in marked:
            raise source.error(f"the template has no place for the request; allowed markers: {MARKER}, {GPTFUZZ_MARKER}")
        if name in found:
            raise source.error(f"id {name!r} is given twice")
        found[name] = Template(name, marked)
    return tuple(found.values())


def _yaml_templates(path: Path) -> Iterator[tuple[Node | Row, str, str]]:
    fields = read_yaml(path).mapping([*HEADER, "templates"])
    check_version(fields)
    for node in fields["templates"].items():
        entry = node.mapping(["id", "text"])
        yield node, entry["id"].text(), entry["text"].text()


def _table_templates(path: Path) -> Iterator[tuple[Node | Row, str, str]]:
    table = read_table(path)
    recognise(table, (Format("gptfuzz_templates", ("id", "text"), str),))
    for row in table.rows:
        yield row, row.text("id"), row.text("text")
