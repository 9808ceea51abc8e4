"""Statements that are true or false, by topic: those shipped with the family, and those of a file.

A shipped topic (`statements/<topic>.yaml`) has two clauses, one the negation of the other, and facts that fill them.
Every fact gives four statements: affirmed and negated, each once true and once false. The false ones take the {b} of
another fact (or turn the two round), so that no word and no form tells true from false. The four are one unit: they
fall into one part of a split, and intervals are clustered by it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stepladder.core.errors import DataError
from stepladder.data.files import HEADER, Node, check_version, read_yaml
from stepladder.data.tables import Row, read_table

FOLDER = Path(__file__).parent / "statements"
FORMS = ("affirmed", "negated")
WORDS_OF_A_UNIT = 4


@dataclass(frozen=True)
class Statement:
    """One statement. `unit` is what is independent; `kind` is what control tasks give random labels to."""

    text: str
    label: bool
    topic: str
    unit: str
    form: str = "affirmed"
    kind: str = ""


@dataclass(frozen=True)
class _Fact:
    """The two clauses of a topic, filled with what is true and with what is false."""

    unit: str
    clauses: dict[tuple[str, bool], str]
    """(form, is it true) -> clause, without capital and full stop."""
    kinds: dict[bool, str]


def shipped_topics() -> tuple[str, ...]:
    """Names of the shipped topics."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def shipped_statements(per_topic: int, seed: int = 0) -> tuple[Statement, ...]:
    """Four statements for each of at most `per_topic` facts of every shipped topic, drawn by the seed."""
    return tuple(
        Statement(
            _sentence(fact.clauses[form, truth]), truth, topic, fact.unit, form, fact.kinds[truth == (form == FORMS[0])]
        )
        for topic in shipped_topics()
        for fact in _facts(topic, per_topic, seed)
        for form in FORMS
        for truth in (True, False)
    )


def conjunctions(per_topic: int, seed: int, units: Iterable[str]) -> tuple[Statement, ...]:
    """`Both A and B`, true only if both are, from disjoint pairs of the facts of a topic that are among `units`.

    The unit of a conjunction is its pair of facts, written "first + second".
    """
    wanted, made = set(units), []
    for topic in shipped_topics():
        facts = [fact for fact in _facts(topic, per_topic, seed) if fact.unit in wanted]
        for first, second in zip(facts[::2], facts[1::2], strict=False):
            for one in (True, False):
                for other in (True, False):
                    clauses = first.clauses["affirmed", one], second.clauses["affirmed", other]
                    text = f"It is the case both that {clauses[0]} and that {clauses[1]}."
                    made.append(Statement(text, one and other, topic, f"{first.unit} + {second.unit}", "conjunction"))
    return tuple(made)


def read_statements(path: Path) -> tuple[Statement, ...]:
    """A csv, json or jsonl file with columns `statement` and `label` (1/0 or true/false), and perhaps `topic` and `unit`.

    Without `topic` the file's name is one (its folder's where it is called dev, test, train or held); without `unit`
    statements that begin with the same four words are one, since rewordings and near repeats mostly do.
    """
    table = read_table(path)
    for column in ("statement", "label"):
        if column not in table.columns:
            raise DataError(path, f"column {column!r} is missing; needed: statement, label; known besides: topic, unit")
    name = path.parent.name if path.stem in {"dev", "test", "train", "held"} else path.stem
    found = {row.text("statement"): _read(row, name) for row in table.rows}
    if len({statement.label for statement in found.values()}) < 2:
        raise DataError(path, "holds statements of one label only; true and false ones are needed")
    return tuple(found.values())


def split(statements: Sequence[Statement], shares: Sequence[float], seed: int) -> list[tuple[int, ...]]:
    """Row numbers of disjoint parts, `shares` of the units of each topic; a unit is never in two."""
    rng = random.Random(f"{seed} split")
    part_of: dict[str, int] = {}
    for topic in dict.fromkeys(s.topic for s in statements):
        units = list(dict.fromkeys(s.unit for s in statements if s.topic == topic))
        rng.shuffle(units)
        edges = [round(sum(shares[: i + 1]) * len(units)) for i in range(len(shares))]
        for place, unit in enumerate(units):
            part_of[unit] = next((i for i, edge in enumerate(edges) if place < edge), len(shares) - 1)
    return [tuple(i for i, s in enumerate(statements) if part_of[s.unit] == part) for part in range(len(shares))]


def control_labels(statements: Sequence[Statement], seed: int) -> tuple[bool, ...]:
    """A fair coin for each kind of statement of each topic: what a probe can only get right by memory (arXiv:1909.03368)."""
    return tuple(random.Random(f"{seed} {s.topic} {s.kind or s.unit}").random() < 0.5 for s in statements)


def _read(row: Row, name: str) -> Statement:
    labels = {"1": True, "0": False, "true": True, "false": False}
    given = str(row.fields.get("label")).strip().lower().removesuffix(".0")
    if given not in labels:
        raise row.error(f"label is {row.fields.get('label')!r}; allowed: {', '.join(labels)}")
    text, topic = row.text("statement").strip(), row.optional("topic") or name
    unit = row.optional("unit") or " ".join(text.lower().split()[:WORDS_OF_A_UNIT])
    return Statement(text, labels[given], topic, f"{topic}/{unit}", kind=unit)


def _facts(topic: str, most: int, seed: int) -> list[_Fact]:
    fields = read_yaml(FOLDER / f"{topic}.yaml").mapping((*HEADER, "affirmed", "negated", "false", "facts"))
    check_version(fields)
    pairs = [_pair(node) for node in fields["facts"].items()]
    rng = random.Random(f"{seed} {topic}")
    pairs = rng.sample(pairs, min(most, len(pairs)))
    swap = fields["false"].choice(("another", "swap")) == "swap"
    wrong = [a for a, _ in pairs] if swap else _others([b for _, b in pairs], fields["facts"])
    clauses = {form: fields[form].text() for form in FORMS}
    return [_fact(topic, clauses, pair, other, swap) for pair, other in zip(pairs, wrong, strict=True)]


def _fact(topic: str, clauses: dict[str, str], pair: tuple[str, str], other: str, swap: bool) -> _Fact:
    a, b = pair
    filled = {True: (a, b), False: (b, a) if swap else (a, other)}
    made = {
        (form, truth): text.format(a=filled[truth == (form == "affirmed")][0], b=filled[truth == (form == "affirmed")][1])
        for form, text in clauses.items()
        for truth in (True, False)
    }
    return _Fact(f"{topic}/{a}", made, {truth: filled[truth][1] for truth in (True, False)})


def _others(values: list[str], node: Node) -> list[str]:
    """For each value another one, so that each is taken as often as it stands there.

    Sorted, equal values stand together; shifting by the size of the largest group leads out of every group.
    """
    shift = max(Counter(values).values())
    if 2 * shift > len(values):
        raise node.error("one {b} fills more than half of the facts; no false statement can be made for each of them")
    order = sorted(range(len(values)), key=lambda i: (values[i], i))
    others = [""] * len(values)
    for place, index in enumerate(order):
        others[index] = values[order[(place + shift) % len(order)]]
    return others


def _pair(node: Node) -> tuple[str, str]:
    items = [child.text() for child in node.items()]
    if len(items) != 2:
        raise node.error("a fact is a list of two texts, a and b")
    return items[0], items[1]


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}."
