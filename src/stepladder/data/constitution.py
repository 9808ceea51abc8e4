"""A constitution: for each category of harm what is harmful, what is harmless though near it, and how both sound.

It is a markdown file with a YAML header, so that people who do not program can read and change it. Templates with slots
make synthetic prompts from it without any model; the prose is for a helper model that writes them, and for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stepladder.core import DataError
from stepladder.data.files import HEADER, SHIPPED, check_version, parse_yaml, read_text

FORMS = "Forms"
PROSE = ("Harmful", "Harmless and near")
SLOTS = "Slots"
LISTS = ("Harmful templates", "Harmless templates", "Harmful examples", "Harmless examples")
PARTS = (*PROSE, SLOTS, *LISTS)
SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Category:
    """One category of harm. A template's `{name}` is filled with each of the category's `slots[name]`."""

    id: str
    title: str
    harmful: str
    harmless: str
    slots: Mapping[str, tuple[str, ...]]
    harmful_templates: tuple[str, ...]
    harmless_templates: tuple[str, ...]
    harmful_examples: tuple[str, ...]
    harmless_examples: tuple[str, ...]


@dataclass(frozen=True)
class Constitution:
    """All categories, and the `forms` ("Please {request}.") in which a prompt of any category may be put."""

    path: Path
    title: str
    licence: str
    forms: tuple[str, ...]
    categories: tuple[Category, ...]


@dataclass
class _Part:
    """A `###` part of a section, or a section without parts: its lines with their numbers in the file."""

    path: Path
    title: str
    line: int
    lines: list[tuple[int, str]] = field(default_factory=list)
    parts: dict[str, _Part] = field(default_factory=dict)

    def error(self, problem: str, line: int | None = None) -> DataError:
        return DataError(self.path, problem, line or self.line)

    def prose(self) -> str:
        text = " ".join(content.strip() for _, content in self.lines if content.strip())
        if not text:
            raise self.error(f"{self.title!r} has no text")
        return text

    def entries(self) -> list[tuple[int, str]]:
        """The list entries (`- ...`) with their lines."""
        filled = [(line, content.strip()) for line, content in self.lines if content.strip()]
        for line, content in filled:
            if not content.startswith("- ") or not content[2:].strip():
                raise self.error(f"{self.title!r} is a list; each line begins with '- '", line)
        if not filled:
            raise self.error(f"{self.title!r} has no entries")
        return [(line, content[2:].strip()) for line, content in filled]


def load_constitution(path: Path | None = None) -> Constitution:
    """The constitution in the markdown file `path`, or the shipped one; raises `DataError`."""
    path = path or SHIPPED / "constitution.md"
    header, body = _split(path, read_text(path))
    fields = parse_yaml(header, path, 2).mapping(HEADER)
    check_version(fields)
    sections = _sections(path, body)
    if FORMS not in sections:
        raise DataError(path, f"section '## {FORMS}' is missing")
    forms = _forms(sections.pop(FORMS))
    if not sections:
        raise DataError(path, "has no categories; a category begins with '## id: Title'")
    categories = tuple(_category(section) for section in sections.values())
    return Constitution(path, fields["title"].text(), fields["licence"].text(), forms, categories)


def _split(path: Path, text: str) -> tuple[str, list[tuple[int, str]]]:
    """The YAML header between two `---` lines, and the numbered lines that follow it."""
    lines = text.splitlines()
    if lines[0].strip() != "---" or "---" not in (line.strip() for line in lines[1:]):
        raise DataError(path, f"begins with a header between two lines '---'; its fields: {', '.join(HEADER)}", 1)
    end = next(number for number, line in enumerate(lines) if number and line.strip() == "---")
    return "\n".join(lines[1:end]), [(number, line) for number, line in enumerate(lines, start=1) if number > end + 1]


def _sections(path: Path, lines: list[tuple[int, str]]) -> dict[str, _Part]:
    """Sections by their `##` heading, each with its `###` parts. What comes before the first is for the reader."""
    sections: dict[str, _Part] = {}
    current: _Part | None = None
    section: _Part | None = None
    for number, line in lines:
        if line.startswith("### ") and section:
            current = _open(section.parts, _Part(path, line[4:].strip(), number))
        elif line.startswith("## "):
            current = section = _open(sections, _Part(path, line[3:].strip(), number))
        elif current:
            current.lines.append((number, line))
    return sections


def _open(places: dict[str, _Part], part: _Part) -> _Part:
    if part.title in places:
        raise part.error(f"{part.title!r} is given twice")
    places[part.title] = part
    return part


def _forms(part: _Part) -> tuple[str, ...]:
    for line, form in part.entries():
        if SLOT.findall(form) != ["request"]:
            raise part.error("a form has exactly one slot, {request}", line)
    return tuple(form for _, form in part.entries())


def _category(section: _Part) -> Category:
    name, colon, title = section.title.partition(":")
    if not colon or not re.fullmatch(r"[a-z][a-z_]*", name) or not title.strip():
        raise section.error(f"a category begins with '## id: Title' (id in small letters and _), not {section.title!r}")
    for part in section.parts.values():
        if part.title not in PARTS:
            raise part.error(f"unknown part {part.title!r}; allowed: {', '.join(PARTS)}")
    for needed in PARTS:
        if needed not in section.parts:
            raise section.error(f"category {name!r} lacks the part '### {needed}'; needed: {', '.join(PARTS)}")
    parts = section.parts
    slots = dict(_slots(parts[SLOTS]))
    _check_slots(parts, slots)
    prose = [parts[title].prose() for title in PROSE]
    lists = [tuple(text for _, text in parts[title].entries()) for title in LISTS]
    return Category(name, title.strip(), prose[0], prose[1], slots, *lists)


def _slots(part: _Part) -> Iterator[tuple[str, tuple[str, ...]]]:
    seen: set[str] = set()
    for line, entry in part.entries():
        name, colon, values = entry.partition(":")
        options = tuple(value.strip() for value in values.split("|"))
        if not colon or not name.isidentifier() or not all(options):
            raise part.error("a slot is written '- name: one | another | a third'", line)
        if name in seen or len(set(options)) < len(options):
            raise part.error(f"slot {name!r} is given twice, or one of its values is", line)
        seen.add(name)
        yield name, options


def _check_slots(parts: Mapping[str, _Part], slots: Mapping[str, tuple[str, ...]]) -> None:
    used: set[str] = set()
    for title in LISTS[:2]:
        for line, template in parts[title].entries():
            for name in SLOT.findall(template):
                if name not in slots:
                    raise parts[title].error(f"unknown slot {{{name}}}; allowed: {', '.join(slots)}", line)
                used.add(name)
    unused = [name for name in slots if name not in used]
    if unused:
        raise parts[SLOTS].error(f"slot {unused[0]!r} is used by no template")
