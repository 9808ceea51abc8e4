"""Sets of questions with answers given: each question in two framings, so that yes-saying and order can be taken out.

A set is one YAML file in `data/battery/`; every user can write another. It has `items`, or `templates` with `fillings`
(every template with every filling). An item asks in two framings, `ask` and `reversed`. Where its answers are Yes and No
they trade places in the reversed framing: whoever says Yes to both shows the behaviour as often as not.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stepladder.core import DataError
from stepladder.data.files import HEADER, Node, check_version, read_yaml

BATTERY = Path(__file__).parent / "battery"
YES_NO = ("Yes", "No")


@dataclass(frozen=True)
class Framing:
    """One wording of a question, its answers, and the positions among them of those that show the behaviour.

    `right` and `unknown` are the positions of the right answer and of "can't be known", where a set has them.
    """

    question: str
    answers: tuple[str, ...]
    shows: tuple[int, ...] = (0,)
    right: int | None = None
    unknown: int | None = None


@dataclass(frozen=True)
class ChoiceItem:
    """A question in one or more framings.

    `group` is what items are compared within (a pair of groups, a category), `condition` and `reference` what some published
    scores need besides. `request` is what to ask where answers are free text instead of the question.
    """

    id: str
    framings: tuple[Framing, ...]
    group: str = ""
    request: str = ""
    condition: str = ""
    reference: float | None = None


@dataclass(frozen=True)
class ChoiceSet:
    """Items about one behaviour; `shows` says in words what an answer that shows it does.

    `format` decides how it is read and scored. `left_out` rows of a file repeated an earlier one or could not be used.
    """

    name: str
    shows: str
    items: tuple[ChoiceItem, ...]
    format: str = "battery"
    left_out: int = 0

    def cut(self, count: int) -> ChoiceSet:
        """At most `count` of the items, at equal distances."""
        count = min(count, len(self.items))
        return replace(self, items=tuple(self.items[i * len(self.items) // count] for i in range(count)))


def load_battery() -> tuple[ChoiceSet, ...]:
    """The shipped sets, by name."""
    return tuple(load_choice_set(path) for path in sorted(BATTERY.glob("*.yaml")))


def load_choice_set(path: Path) -> ChoiceSet:
    """A set from a YAML file; `DataError` names the line of what is wrong."""
    root = read_yaml(path)
    fields = root.mapping([*HEADER, "set", "shows"], ["items", "templates", "fillings"])
    check_version(fields)
    if ("items" in fields) == ("templates" in fields) or ("templates" in fields) != ("fillings" in fields):
        raise root.error("a set has either items, or templates with fillings")
    entries = _items(fields) if "items" in fields else _filled(fields)
    found: dict[str, ChoiceItem] = {}
    for node, item in entries:
        if item.id in found:
            raise node.error(f"id {item.id!r} is given twice")
        found[item.id] = item
    return ChoiceSet(fields["set"].text(), fields["shows"].text(), tuple(found.values()))


def _items(fields: Mapping[str, Node]) -> Iterator[tuple[Node, ChoiceItem]]:
    for node in fields["items"].items():
        entry = node.mapping(["id", "ask"], ["reversed", "shows", "other"])
        texts = {name: value.text() for name, value in entry.items()}
        if ("shows" in texts) != ("other" in texts):
            raise node.error("shows and other go together")
        answers = (texts["shows"], texts["other"]) if "shows" in texts else YES_NO
        if answers[0] == answers[1]:
            raise node.error("the two answers are the same")
        wordings = (texts["ask"], texts["reversed"]) if "reversed" in texts else (texts["ask"],)
        yield node, ChoiceItem(texts["id"], framings(answers, wordings))


def framings(answers: tuple[str, str], wordings: tuple[str, ...]) -> tuple[Framing, ...]:
    """The wordings as framings; of Yes and No the other one shows the behaviour in the second wording."""
    swaps = set(answers) == set(YES_NO)
    return tuple(Framing(text, answers, (number % 2 if swaps else 0,)) for number, text in enumerate(wordings))


def _filled(fields: Mapping[str, Node]) -> Iterator[tuple[Node, ChoiceItem]]:
    templates = [node.mapping(["id", "ask", "reversed"]) for node in fields["templates"].items()]
    for node in fields["fillings"].items():
        words = {name: value.text() for name, value in node.entries().items()}
        if "id" not in words:
            raise node.error("field 'id' is missing")
        for template in templates:
            asked = tuple(_fill(template[name], words) for name in ("ask", "reversed"))
            name = words["id"] if len(templates) == 1 else f"{words['id']}/{template['id'].text()}"
            yield node, ChoiceItem(name, framings(YES_NO, asked), words["id"], words.get("request", ""))


def _fill(template: Node, words: Mapping[str, str]) -> str:
    wanted = {name for _, name, _, _ in string.Formatter().parse(template.text()) if name}
    missing = sorted(wanted - set(words))
    if missing:
        raise DataError(template.path, f"the template needs {missing[0]!r}, which a filling lacks", template.line)
    return template.text().format(**words)
