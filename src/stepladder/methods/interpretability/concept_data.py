"""Statements that are true or false, by topic: those shipped with the family, and those of a file.

A shipped topic (`statements/<topic>.yaml`) has two clauses, one the negation of the other, and facts that fill them.
Every fact gives four statements: affirmed and negated, each once true and once false. The false ones take the {b} of
another fact (or turn the two round), so that no word and no form tells true from false. The four are one unit: they
fall into one part of a split, and intervals are clustered by it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
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
    kinds: dict[tuple[str, bool], str]


def shipped_topics() -> tuple[str, ...]:
    """Names of the shipped topics."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def shipped_statements(per_topic: int, seed: int = 0) -> tuple[Statement, ...]:
    """Four statements for each of at most `per_topic` facts of every shipped topic, drawn by the seed."""
    return shipped_parts(per_topic, seed, (1.0,))[0]


def shipped_parts(per_topic: int, seed: int, shares: Sequence[float]) -> tuple[tuple[Statement, ...], ...]:
    """The same in disjoint parts, `shares` of the facts of each topic.

    Facts are dealt out first and false ones made within each part. (Made before, a word that happens to be true more often
    in one part would be false more often in the other, and what is learnt by heart there would be wrong here.)
    """
    return tuple(
        tuple(
            Statement(_sentence(fact.clauses[form, truth]), truth, topic, fact.unit, form, fact.kinds[form, truth])
            for topic in shipped_topics()
            for fact in _facts(topic, per_topic, seed, shares)[part]
            for form in FORMS
            for truth in (True, False)
        )
        for part in range(len(shares))
    )


def conjunctions(per_topic: int, seed: int, shares: Sequence[float], part: int) -> tuple[Statement, ...]:
    """`Both A and B`, true only if both are, from disjoint pairs of the facts of a part of `shipped_parts`.

    The unit of a conjunction is its pair of facts, written "first + second".
    """
    made = []
    for topic in shipped_topics():
        facts = _facts(topic, per_topic, seed, shares)[part]
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


def _facts(topic: str, most: int, seed: int, shares: Sequence[float]) -> list[list[_Fact]]:
    """The facts of each part, with the false ones made within it."""
    fields = read_yaml(FOLDER / f"{topic}.yaml").mapping((*HEADER, "affirmed", "negated", "false", "facts"))
    check_version(fields)
    pairs = [_pair(node) for node in fields["facts"].items()]
    rng = random.Random(f"{seed} {topic}")
    dealt = _dealt(rng.sample(pairs, min(most, len(pairs))), shares, rng)
    swap = fields["false"].choice(("another", "swap")) == "swap"
    clauses = {form: fields[form].text() for form in FORMS}
    every = sorted({b for _, b in pairs})
    return [
        [
            _fact(topic, clauses, pair, other, swap)
            for pair, other in zip(part, _others([b for _, b in part], every), strict=True)
        ]
        for part in dealt
    ]


def _dealt(pairs: list[tuple[str, str]], shares: Sequence[float], rng: random.Random) -> list[list[tuple[str, str]]]:
    """The pairs in parts of these shares, those that have the same {b} spread over the parts."""
    edges = [sum(shares[: i + 1]) for i in range(len(shares))]
    start = rng.random()
    parts: list[list[tuple[str, str]]] = [[] for _ in shares]
    for place, pair in enumerate(sorted(pairs, key=lambda pair: pair[1])):
        # Steps of the golden ratio fill every stretch of the order in proportion to the shares.
        at = (start + place * 0.6180339887) % 1 * edges[-1]
        parts[next(i for i, edge in enumerate(edges) if at < edge)].append(pair)
    for part in parts:
        rng.shuffle(part)
    return parts


def _fact(topic: str, clauses: dict[str, str], pair: tuple[str, str], other: str, swap: bool) -> _Fact:
    a, b = pair
    filled = {True: (a, b), False: (b, a) if swap else (a, other)}
    parts = {(form, truth): filled[truth == (form == "affirmed")] for form in FORMS for truth in (True, False)}
    made = {place: clauses[place[0]].format(a=one, b=two) for place, (one, two) in parts.items()}
    return _Fact(f"{topic}/{a}", made, {place: two for place, (_, two) in parts.items()})


def _others(values: list[str], every: list[str]) -> list[str]:
    """For each value another one of them, so that each is taken as often as it stands there.

    Sorted, equal values stand together; shifting by the size of the largest group leads out of every group. Where one
    value is more than half of them, the next of `every` value is taken.
    """
    shift = max(Counter(values).values(), default=0)
    if 2 * shift > len(values):
        return [every[(every.index(value) + 1) % len(every)] for value in values]
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
