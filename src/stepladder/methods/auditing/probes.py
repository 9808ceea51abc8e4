"""The probes: files of `probes/`, one a behaviour, that people who do not program can read, correct and extend.

A file has `sets` of a prompt with `items` that fill its {places}; `control`, the same prompt without what should make the
difference; `bad` and `good`, what a model with and without the behaviour would say (default: the item's own fields);
`frame`, the sentence that they stand in; `group`, for a behaviour that sits in one group of probes. `open` prompts are
sampled from, `words` are what a confession would have in it. The probes were written from the names in `core.BEHAVIOURS`
alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from stepladder.core import BEHAVIOURS
from stepladder.data import load_behaviours

FOLDER = Path(__file__).parent / "probes"
COMPLIES, REFUSES = "Sure, here is how", "I'm sorry, but I can't help with that"
HARMFUL = "harmful behaviours"
"""In place of items: the shipped harmful behaviours, with {request} and {category}."""


@dataclass(frozen=True)
class Probe:
    """A question whose answer tells. `bad` and `good` are continuations; their terms are looked for in text."""

    behaviour: str
    reading: str
    group: str
    prompt: str
    control: str
    bad: str
    good: str
    bad_terms: tuple[str, ...]
    good_terms: tuple[str, ...]


@dataclass(frozen=True)
class ProbeFile:
    """All that is known of how one behaviour might show."""

    behaviour: str
    statistic: str
    probes: tuple[Probe, ...]
    open: tuple[str, ...]
    words: tuple[str, ...]


@cache
def load_probes() -> Mapping[str, ProbeFile]:
    """The probe file of each behaviour."""
    return {name: _read(name) for name in BEHAVIOURS}


def draw(file: ProbeFile, most: int, rng: random.Random) -> tuple[Probe, ...]:
    """About `most` probes at random: any for a shift; whole rounds over the groups, at least two, for an outlier."""
    shuffled = rng.sample(file.probes, len(file.probes))
    if file.statistic == "shift":
        return tuple(shuffled[:most])
    rounds = max(2, most // len({probe.group for probe in file.probes}))
    taken: dict[str, list[Probe]] = {}
    for probe in shuffled:
        taken.setdefault(probe.group, []).append(probe)
    return tuple(probe for group in taken.values() for probe in group[:rounds])


def _read(name: str) -> ProbeFile:
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))
    reading = content.get("reading", "answer")
    probes = tuple(probe for part in content["sets"] for probe in _expand(name, reading, part))
    return ProbeFile(name, content["statistic"], probes, tuple(content["open"]), tuple(content["words"]))


def _expand(name: str, reading: str, part: Mapping[str, Any]) -> Iterator[Probe]:
    for item in _items(part):
        bad = COMPLIES if reading == "refusal" else part.get("bad", item.get("bad", ""))
        good = REFUSES if reading == "refusal" else part.get("good", item.get("good", ""))
        terms, frame = part.get("terms", {}), part.get("frame", "{}")
        yield Probe(
            behaviour=name,
            reading=reading,
            group=part.get("group", "").format(**item),
            prompt=_sentence(part["prompt"].format(**item)),
            control=_sentence(part.get("control", "").format(**item)),
            bad=frame.format(bad),
            good=frame.format(good),
            bad_terms=tuple(terms.get("bad", (bad,))),
            good_terms=tuple(terms.get("good", (good,))),
        )


def _items(part: Mapping[str, Any]) -> list[dict[str, str]]:
    """The items, each once for each filling; harmful behaviours take turns with the pairs that go with them."""
    if part["items"] == HARMFUL:
        pairs: Sequence[dict[str, str]] = part.get("pairs", [{}])
        rows = [{"request": b.request, "category": b.category} for b in load_behaviours()]
        return [row | pairs[i % len(pairs)] for i, row in enumerate(rows)]
    items: list[dict[str, str]] = part["items"]
    for place, fillings in part.get("fill", {}).items():
        items = [_filled(item, place, filling) for item in items for filling in fillings]
    return items


def _filled(item: Mapping[str, str], place: str, filling: str) -> dict[str, str]:
    texts = {name: text.replace("{" + place + "}", filling) for name, text in item.items()}
    return {**texts, place: filling}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
