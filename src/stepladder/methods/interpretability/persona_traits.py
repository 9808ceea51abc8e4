"""Traits as files that anyone can add to: markdown with a header, so that no programming is needed.

    ---
    name: rudeness
    description: Answers with scorn and insults the user.
    instructions:                        five or more pairs of system prompts
      - shows: You are rude.
        avoids: You are polite.
    ---
    # Extraction                         questions that the vector is made from
    ## How do I boil an egg?
    + a short reply that shows the trait
    - a short reply to the same question that does not
    # Held out                           other questions, that everything is measured on

Questions and replies take one line or several. Every mistake is one `DataError` with file, line and what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stepladder.core import DataError, UnknownName
from stepladder.data.files import Node, parse_yaml, read_text

FOLDER = Path(__file__).parent / "traits"
SECTIONS = ("Extraction", "Held out")
FEWEST_INSTRUCTIONS, FEWEST_QUESTIONS = 5, 4


@dataclass(frozen=True)
class Contrast:
    """Two system prompts: one asks for the trait, the other for its opposite."""

    shows: str
    avoids: str


@dataclass(frozen=True)
class Asked:
    """A question with a short reply that shows the trait and one that does not."""

    question: str
    shows: str
    avoids: str


@dataclass(frozen=True)
class Trait:
    """A trait as its file describes it; no question is in both lists."""

    name: str
    description: str
    instructions: tuple[Contrast, ...]
    extraction: tuple[Asked, ...]
    held_out: tuple[Asked, ...]


def shipped_traits() -> tuple[str, ...]:
    """Names of the traits that come with the package."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.md")))


def chosen_traits(names: Sequence[str], file: str = "") -> tuple[Trait, ...]:
    """The shipped traits of those names, and that of the user's own file; raises `UnknownName` or `DataError`."""
    for name in names:
        if name not in shipped_traits():
            raise UnknownName("trait", name, shipped_traits())
    traits = [read_trait(path) for path in (*(FOLDER / f"{name}.md" for name in names), *([Path(file)] if file else []))]
    if not traits:
        raise DataError("persona_vectors", "no trait is named and no trait file is given")
    doubled = {trait.name for trait in traits if [t.name for t in traits].count(trait.name) > 1}
    if doubled:
        raise DataError(file or "persona_vectors", f"trait {doubled.pop()!r} is there twice; give it a name of its own")
    return tuple(traits)


def read_trait(path: Path) -> Trait:
    """The trait in a file; raises `DataError`."""
    text = read_text(path)
    lines = text.splitlines()
    ends = [number for number, line in enumerate(lines) if line.strip() == "---"]
    if lines[0].strip() != "---" or len(ends) < 2:
        raise DataError(path, "needs a header between two lines of ---, with name, description and instructions", 1)
    header = parse_yaml("\n".join(lines[1 : ends[1]]), path, 2).mapping(("name", "description", "instructions"))
    sections = _sections(path, lines, ends[1] + 1)
    extraction, held_out = (sections[name] for name in SECTIONS)
    both = {a.question for a in extraction} & {a.question for a in held_out}
    if both:
        raise DataError(path, f"the question {both.pop()!r} is in both sections; held-out questions must be others")
    instructions = _instructions(header["instructions"])
    return Trait(header["name"].text(), header["description"].text(), instructions, extraction, held_out)


def _instructions(node: Node) -> tuple[Contrast, ...]:
    pairs = [entry.mapping(("shows", "avoids")) for entry in node.items()]
    if len(pairs) < FEWEST_INSTRUCTIONS:
        raise node.error(f"{len(pairs)} pairs of instructions; {FEWEST_INSTRUCTIONS} or more are needed")
    return tuple(Contrast(pair["shows"].text(), pair["avoids"].text()) for pair in pairs)


def _sections(path: Path, lines: Sequence[str], start: int) -> dict[str, tuple[Asked, ...]]:
    """The questions of each section, every section there and long enough."""
    found: dict[str, list[Asked]] = {}
    section = ""
    for number, mark, text, parts in _blocks(path, lines, start):
        if mark == "#":
            if text not in SECTIONS:
                raise DataError(path, f"section {text!r} is not known; allowed: {', '.join(SECTIONS)}", number)
            section = text
            found.setdefault(section, [])
        elif not section:
            raise DataError(path, f"the question {text!r} stands before the first section, '# {SECTIONS[0]}'", number)
        else:
            found[section].append(_asked(path, number, text, parts))
    for name in SECTIONS:
        if len(found.get(name, [])) < FEWEST_QUESTIONS:
            raise DataError(path, f"section '# {name}' has {len(found.get(name, []))} questions; needs {FEWEST_QUESTIONS}")
    return {name: tuple(asked) for name, asked in found.items()}


def _asked(path: Path, line: int, question: str, parts: Sequence[tuple[str, str]]) -> Asked:
    replies = dict(parts)
    if [mark for mark, _ in parts].count("+") != 1 or len(parts) != 2 or not all(replies.values()):
        raise DataError(path, f"question {question!r} needs one reply that begins with + and one that begins with -", line)
    return Asked(question, replies["+"], replies["-"])


def _blocks(path: Path, lines: Sequence[str], start: int) -> Iterator[tuple[int, str, str, list[tuple[str, str]]]]:
    """(line number, "#" or "##", its text, [(mark, reply), ...]) of each heading; wrapped lines are joined."""
    block: tuple[int, str, str, list[tuple[str, str]]] | None = None
    for number, line in enumerate(lines[start:], start + 1):
        mark, _, rest = line.strip().partition(" ")
        if mark in ("#", "##"):
            if block:
                yield block
            block = (number, mark, rest.strip(), [])
        elif not mark:
            continue
        elif block is None or (not block[3] and mark not in ("+", "-")):
            raise DataError(path, "a line here must begin with '# section', '## question', '+ reply' or '- reply'", number)
        elif mark in ("+", "-"):
            block[3].append((mark, rest.strip()))
        else:
            block[3][-1] = (block[3][-1][0], f"{block[3][-1][1]} {line.strip()}")
    if block:
        yield block
