"""Whether training has damaged what a model knew: plain questions, each with a right and a wrong answer.

The two answers differ in one word, so that a change of style (refusing more, writing shorter) moves both alike. The model is
right where the right answer is likelier a token; chance is one half. Read before and after, the pairs are the units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stepladder.core import Baseline, Measurement, Message
from stepladder.data.files import HEADER, Node, check_version, read_yaml
from stepladder.stats import difference_measurement, rate_measurement

if TYPE_CHECKING:
    from stepladder.models import LocalModel

CHANCE = Baseline(name="guessing", value=0.5)


@dataclass(frozen=True)
class Pair:
    """A question with a right and a wrong answer."""

    id: str
    question: str
    right: str
    wrong: str


def load_pairs() -> tuple[Pair, ...]:
    """The shipped pairs."""
    fields = read_yaml(Path(__file__).with_suffix(".yaml")).mapping([*HEADER, "pairs"])
    check_version(fields)
    return tuple(
        Pair(f"{topic}-{number:02d}", *_parts(node))
        for topic, nodes in fields["pairs"].entries().items()
        for number, node in enumerate(nodes.items(), start=1)
    )


def _parts(node: Node) -> tuple[str, str, str]:
    parts = [part.strip() for part in node.text().split("|")]
    if len(parts) != 3:
        raise node.error("three texts are needed here: question | right | wrong")
    return parts[0], parts[1], parts[2]


def read_capability(model: LocalModel) -> dict[str, float]:
    """1.0 for each pair whose right answer is the likelier by the mean log probability of a token, 0.5 for a tie."""
    pairs = load_pairs()
    asked = [((Message(role="user", content=pair.question),), text) for pair in pairs for text in (pair.right, pair.wrong)]
    scores = [float(logprobs.mean()) for logprobs in model.logprobs(asked)]
    return {pair.id: _right(*scores[2 * i : 2 * i + 2]) for i, pair in enumerate(pairs)}


def _right(right: float, wrong: float) -> float:
    return 0.5 if right == wrong else float(right > wrong)


def measurements(right: Mapping[str, Mapping[str, float]], plain: str, plain_name: str) -> Iterator[Measurement]:
    """Share of pairs right under each condition, and each paired change since "before"; `plain` is the baseline."""
    before = right["before"]
    changes = {name: _change(before, after, name) for name, after in right.items() if name != "before"}
    for condition, pairs in right.items():
        yield rate_measurement(
            "capability", list(pairs.values()), list(pairs), baseline=CHANCE, labels={"condition": condition},
            unit="share of pairs right",
        )  # fmt: skip
    for condition, measured in changes.items():
        base = changes.get(plain) if condition != plain else None
        beside = Baseline(name=plain_name, value=base.value, interval=base.interval) if base else None
        yield measured.model_copy(update={"baseline": beside})


def _change(before: Mapping[str, float], after: Mapping[str, float], condition: str) -> Measurement:
    values = [after[name] for name in before]
    return difference_measurement(
        "capability_change", list(before.values()), values, list(before), labels={"condition": condition}
    )
