"""Where does a model hold whether a statement is true? Linear probes by layer, their transfer, and what they only memorise.

Papers: Marks and Tegmark, The Geometry of Truth (arXiv:2310.06824): mass-mean probes, transfer between topics and to
negations and conjunctions; Burns et al., Discovering Latent Knowledge (arXiv:2212.03827): CCS; Belrose et al., LEACE
(arXiv:2306.03819); Hewitt and Liang, Designing and Interpreting Probes with Control Tasks (arXiv:1909.03368):
selectivity. What differs: statements are balanced so that neither words nor form tell true from false, and the layer is
chosen on facts that no figure is taken from.

Unit: AUROC and accuracy on held-out statements; the independent unit is the fact, whose statement and negation, true
and false, stay together in the split and in the intervals. Chance level: 0.5, and measured: bag of words, a random
direction, shuffled labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from stepladder.core.errors import require_between
from stepladder.core.method import Context, Method
from stepladder.core.recording import new_record
from stepladder.core.values import Finding, Record, Verdict
from stepladder.methods.interpretability.concept_data import (
    Statement,
    conjunctions,
    control_labels,
    read_statements,
    shipped_parts,
    split,
)

if TYPE_CHECKING:
    from stepladder.models import LocalModel

PARTS = ("train", "choose", "test")
SHARES = (0.5, 0.2, 0.3)
ARTIFACT = "probes.safetensors"


@dataclass(frozen=True)
class Config:
    """What is read, and how probes are fitted."""

    per_topic: int = 32
    """Facts of each shipped topic; each gives four statements."""
    statements: str = ""
    """A csv, json or jsonl file of further statements (columns statement, label; perhaps topic, unit)."""
    layers: int = 10
    """How many layers are read, evenly spaced up to the last."""
    strength: float = 0.01
    """Inverse of the penalty of the logistic probes (scikit-learn's C), on standardised activations."""

    def __post_init__(self) -> None:
        require_between("concept_probes", "per_topic", self.per_topic, 10)
        require_between("concept_probes", "layers", self.layers, 1)
        require_between("concept_probes", "strength", self.strength, 1e-9)


def record(context: Context, config: Config) -> Record:
    """Read every statement once at all layers, fit all probes, and keep their scores of statements that they did not see."""
    from stepladder.methods.interpretability.probe_reading import last_tokens, spread_layers

    subject = cast("LocalModel", context.subject)
    statements, part = _statements(config, context.seed)
    layers = spread_layers(subject.layers, config.layers)
    x = last_tokens(subject, [s.text for s in statements], layers, context.task)
    rows = [
        {"text": s.text, "label": s.label, "topic": s.topic, "unit": s.unit, "form": s.form}
        for s, name in zip(statements, part, strict=True)
        if name == "test"
    ]
    data = {"statements": rows, "layers": layers, "controls": _controls(statements, part, context.seed)}
    data |= _swept(context, config, dict(zip(layers, x.swapaxes(0, 1), strict=True)), statements, part)
    return new_record(METHOD, context, config, data=data, artifacts={"probes": ARTIFACT})


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """AUROC by layer and test, transfer between topics, selectivity, and what LEACE leaves."""
    from stepladder.methods.interpretability.probe_measures import measurements

    return Finding(
        method=METHOD.name, family=METHOD.family, subject=record.subject, record=record.key,
        measurements=measurements(record.data), limits=_LIMITS,
    )  # fmt: skip


def _statements(config: Config, seed: int) -> tuple[tuple[Statement, ...], tuple[str, ...]]:
    """All statements and the part that each belongs to; conjunctions are made of held-out facts."""
    own = read_statements(Path(config.statements)) if config.statements else ()
    found: list[tuple[Statement, str]] = []
    shipped = shipped_parts(config.per_topic, seed, SHARES)
    for name, part, rows in zip(PARTS, shipped, split(own, SHARES, seed), strict=True):
        found += [(statement, name) for statement in (*part, *(own[row] for row in rows))]
    joined = conjunctions(config.per_topic, seed, SHARES, PARTS.index("test"))
    found += [(statement, "test") for statement in joined]
    return tuple(statement for statement, _ in found), tuple(name for _, name in found)


def _swept(
    context: Context, config: Config, x: Mapping[int, Any], statements: Sequence[Statement], part: Sequence[str]
) -> dict[str, Any]:
    """The chosen layer, and all scores of the held-out rows; those of single topics at the chosen layer only."""
    from stepladder.methods.interpretability.probe_sweep import bag_of_words, read_layer, training_sets

    parts = {name: np.array([own == name for own in part]) for name in PARTS}
    sets = training_sets(statements, parts["train"], context.seed)
    found = {}
    with context.task("fitting probes", len(x)) as advance:
        for layer, values in x.items():
            found[layer] = read_layer(values, statements, parts, sets, config.strength, context.seed)
            advance(1)
    chosen = max(found, key=lambda layer: (found[layer].quality, -layer))
    _save(context.folder / ARTIFACT, chosen, found[chosen].probes)
    test = parts["test"]
    scores = [
        {"probe": probe, "set": name, "layer": layer, "scores": _rounded(values[test])}
        for layer, seen in ((None, bag_of_words(statements, sets)), *((layer, one.scores) for layer, one in found.items()))
        for (probe, name), values in seen.items()
        if layer in (None, chosen) or not name.startswith("only ")
    ]
    erased = [
        {"layer": layer, "rows": rows, "when": when, "scores": _rounded(values[test])}
        for layer, one in found.items()
        for (rows, when), values in one.erased.items()
    ]
    return {"layer": chosen, "scores": scores, "erased": erased}


def _rounded(values: Any) -> list[float | None]:
    """Five digits; what was not scored is `None`."""
    return [None if np.isnan(value) else float(f"{value:.5g}") for value in values]


def _controls(statements: Sequence[Statement], part: Sequence[str], seed: int) -> list[list[int | None]]:
    """The control tasks' labels of held-out rows, `None` where the kind was not among the training rows."""
    from stepladder.methods.interpretability.probe_sweep import CONTROLS

    seen = {(s.topic, s.kind) for s, name in zip(statements, part, strict=True) if name == "train"}
    held = [i for i, name in enumerate(part) if name == "test"]
    known = [i if (statements[i].topic, statements[i].kind) in seen else None for i in held]
    tasks = [control_labels(statements, 100 * seed + i) for i in range(CONTROLS)]
    return [[None if i is None else int(labels[i]) for i in known] for labels in tasks]


def _save(path: Path, layer: int, probes: Mapping[str, Any]) -> None:
    """The probes of the chosen layer, trained on all topics: `<probe>.weights` (width) and `<probe>.bias`."""
    from stepladder.store.files import save_tensors

    tensors = {f"{name}.weights": np.asarray(probe.weights, np.float32) for name, probe in probes.items()}
    tensors |= {f"{name}.bias": np.asarray(probe.bias, np.float32).reshape(1) for name, probe in probes.items()}
    save_tensors(path, tensors, {"layer": str(layer), "site": "residual"})


_LIMITS = (
    "A probe that reads a concept does not show that the model uses it; concept_steering changes it.",
    "Facts of a few forms: what transfers between these topics may not transfer to free text.",
    "Truth here is what people take for true; a small model does not know all of these facts.",
)

METHOD = Method(
    name="concept_probes", family="interpretability", access="activations",
    papers=("arXiv:2310.06824", "arXiv:2212.03827", "arXiv:2306.03819", "arXiv:1909.03368"),
    config=Config, record=record, judge=judge,
)  # fmt: skip
