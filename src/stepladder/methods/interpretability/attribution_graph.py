"""Why this word? A graph from the prompt's tokens through MLP features to a difference of logits, pruned, drawn and checked.

Papers: Ameisen et al., Circuit Tracing: Revealing Computational Graphs in Language Models (2025); Dunefsky et al.,
Transcoders Find Interpretable LLM Feature Circuits (arXiv:2406.11944). What differs: without transcoders the MLP's own
neurons are the features, with their gates held fixed, so that nothing is left over; features are taken in until there are as
many as asked for; and each graph stands beside one of other active features of the same layers and tokens, and is checked by
ablation.

Unit: the prompt. Trivial baseline: as many random features among the most active of the same layers and tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from stepladder.core import (
    Access,
    Baseline,
    Context,
    Finding,
    Measurement,
    Method,
    Record,
    UnknownName,
    Verdict,
    new_record,
    require_access,
)
from stepladder.core.errors import require_between
from stepladder.methods.interpretability.circuit_tasks import TASKS
from stepladder.stats import clustered_mean
from stepladder.stats.measurement import unmeasured_reason

if TYPE_CHECKING:
    from stepladder.models import LocalModel

GIVERS = ["smollm2", "hf/<id or folder>"]


@dataclass(frozen=True)
class Config:
    """Which prompts, how large a graph, and what its features are."""

    task: str = "indirect_object"
    """What the prompts ask for: indirect_object, agreement or repeats."""
    prompts: int = 8
    """How many prompts get a graph each."""
    features: int = 32
    """Features in each graph."""
    dictionaries: str = ""
    """A folder of transcoders of MLPs, each in a folder of its own. Empty, and for layers without one: the neurons."""

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise UnknownName("circuit task", self.task, TASKS)
        require_between("attribution_graph", "prompts", self.prompts, 2)
        require_between("attribution_graph", "features", self.features, 1)


def record(context: Context, config: Config) -> Record:
    """One graph a prompt, one of random features beside it, and the logit difference with either ablated."""
    require_access(context.subject, Access.weights, METHOD.name, GIVERS)
    from stepladder.methods.interpretability.graph_study import study

    return new_record(METHOD, context, config, data=study(context, cast("LocalModel", context.subject), config))


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """How much of the answer the graphs hold, beside random features, and what ablating their features does."""
    return Finding(
        method=METHOD.name, family=METHOD.family, subject=record.subject, record=record.key,
        measurements=tuple(_measurements(record.data)), limits=_LIMITS,
    )  # fmt: skip


def _measurements(data: Mapping[str, Any]) -> Iterator[Measurement]:
    unusable = data["asked"] - len(data["graphs"])
    reason = unmeasured_reason(unusable, data["asked"], 0.2, "prompts")
    if reason:
        why = f"{reason}: not aligned, or an answer of several tokens"
        yield Measurement(
            name="replacement_score", value=None, unit="share of influence", n=0, unmeasured=unusable, reason=why
        )
        return
    table = {name: np.array([graph[name] for graph in data["graphs"]]) for name in data["graphs"][0] if name != "picture"}
    for name in ("replacement_score", "completeness"):
        yield _measured(name, table[name], table[f"random_{name}"], "share of influence", unusable)
    scale = np.abs(table["difference"]).mean()
    lost, random = (table[name] / scale for name in ("ablated", "random_ablated"))
    yield _measured("ablation_effect", lost, random, "share of the logit difference", unusable)


def _measured(name: str, values: Any, random: Any, unit: str, unusable: int) -> Measurement:
    found, drawn = (clustered_mean(each, range(len(each))) for each in (values, random))
    baseline = Baseline(name="random features of the same layers and tokens", value=drawn.value, interval=drawn.interval)
    return Measurement(
        name=name, value=found.value, unit=unit, interval=found.interval, n=found.n, unmeasured=unusable, baseline=baseline
    )


_LIMITS = (
    "Attention patterns are taken as given: why a head looks where it looks is not in the graph.",
    "Gates, norms and patterns are held fixed: where they are what changes the answer, the graph does not show it.",
    "A neuron is rarely one concept: names for the nodes need transcoders with labelled latents.",
)

METHOD = Method(
    name="attribution_graph", family="interpretability", access="weights",
    papers=("https://transformer-circuits.pub/2025/attribution-graphs/methods.html", "arXiv:2406.11944"),
    config=Config, record=record, judge=judge,
)  # fmt: skip
