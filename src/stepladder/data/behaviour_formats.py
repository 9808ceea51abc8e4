"""Sets of harmful requests as their authors publish them.

HarmBench, JailbreakBench, AdvBench, XSTest, StrongREJECT and SimpleSafetyTests, as csv, json or jsonl.

The format is recognised by its columns, so a renamed or shortened file is read too. Requests that say the same (case and
spacing apart) are kept once and counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from stepladder.data.tables import Format, Row, normalised, read_table, recognise, row_number


@dataclass(frozen=True)
class Behaviour:
    """A request that is harmful in kind, and its harmless near-twin where the set has one."""

    id: str
    category: str
    request: str
    twin: str | None = None


@dataclass(frozen=True)
class BehaviourSet:
    """What a file holds: harmful `behaviours`, `harmless` requests, and how many `rows` there were.

    `duplicates` rows repeated an earlier one and were left out: behaviours + harmless + duplicates = rows.
    """

    format: str
    behaviours: tuple[Behaviour, ...]
    harmless: tuple[Behaviour, ...]
    duplicates: int
    rows: int


def read_behaviours(path: Path) -> BehaviourSet:
    """Read a csv, json or jsonl file in one of the formats above; any other raises a `DataError` that lists them."""
    table = read_table(path)
    known = recognise(table, FORMATS)
    kept = _without_repeats([(row, known.read(row)) for row in table.rows])
    harmless = tuple(b for b in kept if _is_harmless(known.name, path, b))
    twins = _twins(known.name, path, harmless)
    harmful = tuple(replace(b, twin=twins.get(_pair(known.name, b))) for b in kept if b not in harmless)
    return BehaviourSet(known.name, harmful, harmless, len(table.rows) - len(kept), len(table.rows))


def _without_repeats(rows: list[tuple[Row, Behaviour]]) -> tuple[Behaviour, ...]:
    kept: dict[str, Behaviour] = {}
    ids: set[str] = set()
    for row, behaviour in rows:
        if kept.setdefault(normalised(behaviour.request), behaviour) is not behaviour:
            continue
        if behaviour.id in ids:
            raise row.error(f"id {behaviour.id!r} is given to two requests")
        ids.add(behaviour.id)
    return tuple(kept.values())


def _is_harmless(name: str, path: Path, behaviour: Behaviour) -> bool:
    if name == "xstest":
        return not behaviour.category.startswith("contrast_")
    return name == "jailbreakbench" and "benign" in path.stem


def _twins(name: str, path: Path, harmless: tuple[Behaviour, ...]) -> dict[str, str]:
    """Harmless twins by the key that `_pair` gives.

    JailbreakBench keeps them in a file of its own in the same order, `benign-behaviors.csv`, read where it lies beside.
    """
    beside = path.with_name("benign-behaviors.csv")
    if name == "jailbreakbench" and "benign" not in path.stem and beside.is_file():
        harmless = read_behaviours(beside).harmless
    return {_pair(name, b): b.request for b in harmless}


def _pair(name: str, behaviour: Behaviour) -> str:
    """What a request and its twin share.

    XSTest's type `contrast_X` answers type `X` prompt for prompt, 25 each, in order of id. The contrasts of its
    discrimination and privacy types have no such partner; their twin is `None`.
    """
    if name != "xstest":
        return behaviour.id
    digits = re.findall(r"[0-9]+", behaviour.id)
    place = (int(digits[-1]) - 1) % 25 if digits else behaviour.id
    return f"{behaviour.category.removeprefix('contrast_')} {place}"


def _harmbench(row: Row) -> Behaviour:
    context, request = row.optional("ContextString"), row.text("Behavior")
    # HarmBench's own way of joining a contextual behaviour and what it refers to.
    full = f"{context}\n\n---\n\n{request}" if context else request
    return Behaviour(row.text("BehaviorID"), row.text("SemanticCategory"), full)


def _jailbreakbench(row: Row) -> Behaviour:
    number = row.optional("Index") or row.optional("") or row_number(row)
    return Behaviour(f"jbb-{number}", row.text("Category"), row.text("Goal"))


def _strongreject(row: Row) -> Behaviour:
    return Behaviour(f"strongreject-{row_number(row)}", row.text("category"), row.text("forbidden_prompt"))


def _simple_safety_tests(row: Row) -> Behaviour:
    return Behaviour(row.text("id"), row.text("harm_area"), row.text("prompts_final"))


def _xstest(row: Row) -> Behaviour:
    return Behaviour(row.optional("id") or row.text("id_v2"), row.text("type"), row.text("prompt"))


def _advbench(row: Row) -> Behaviour:
    return Behaviour(f"advbench-{row_number(row)}", "advbench", row.text("goal"))


FORMATS = (
    Format("harmbench", ("Behavior", "BehaviorID", "SemanticCategory"), _harmbench),
    Format("jailbreakbench", ("Goal", "Behavior", "Category"), _jailbreakbench),
    Format("strongreject", ("forbidden_prompt", "category"), _strongreject),
    Format("simple_safety_tests", ("id", "harm_area", "prompts_final"), _simple_safety_tests),
    Format("xstest", ("prompt", "type", "focus"), _xstest),
    Format("advbench", ("goal", "target"), _advbench),
)
