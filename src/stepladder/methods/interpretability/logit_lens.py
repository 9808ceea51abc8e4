"""What would the model say if it stopped here? The logit lens and the tuned lens at every layer, on held-out text.

Paper: Belrose et al., Eliciting Latent Predictions from Transformers with the Tuned Lens (arXiv:2303.08112), which also
describes nostalgebraist's logit lens. What differs: translators begin at a closed-form regression and see few tokens, both
lenses stand beside the best constant prediction, and intervals are over topics (or documents) that no translator saw.

Unit: the topic of the shipped texts, the document of other ones. Trivial baseline: the mean of the model's predictions,
which of all constant distributions has the least divergence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
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
    Verdict,
    new_record,
    require_access,
)
from stepladder.core.errors import StepladderError, require_between
from stepladder.methods.interpretability.text import read_texts, shipped_documents
from stepladder.stats import clustered_mean

if TYPE_CHECKING:
    from stepladder.models import LocalModel

GIVERS = ["smollm2", "hf/<id or folder>"]
ARTIFACT = "tuned_lens.safetensors"
FEWEST_TOKENS = 6


@dataclass(frozen=True)
class Config:
    """Which texts, how many, and at how many layers."""

    texts: str = ""
    """Texts of your own (.txt, .jsonl, .parquet, a saved data set). Empty: the shipped ones."""
    documents: int = 120
    """Documents to read; every third topic (or document) is held out."""
    length: int = 96
    """Longest document, in tokens; the rest is cut off."""
    layers: int = 6
    """At how many layers, evenly spread below the last, predictions are read."""

    def __post_init__(self) -> None:
        require_between("logit_lens", "documents", self.documents, 9)
        require_between("logit_lens", "length", self.length, FEWEST_TOKENS)
        require_between("logit_lens", "layers", self.layers, 1)


def record(context: Context, config: Config) -> Record:
    """Fit the translators on two thirds of the texts and read both lenses on the rest."""
    require_access(context.subject, Access.weights, METHOD.name, GIVERS)
    subject = cast("LocalModel", context.subject)
    texts = _texts(config)
    tokens = [(unit, subject.tokens(text)[: config.length]) for unit, text in texts]
    used = [(unit, ids) for unit, ids in tokens if len(ids) >= FEWEST_TOKENS]
    units = list(dict.fromkeys(unit for unit, _ in used))
    held_out = set(units[::3])
    if len(held_out) < 2 or len(held_out) == len(units):
        raise StepladderError(f"logit_lens needs texts of 4 or more topics (or documents); there are {len(units)}")
    fitted = [ids for unit, ids in used if unit not in held_out]
    held = [(unit, ids) for unit, ids in used if unit in held_out]
    data = {"units": [unit for unit, _ in held], "short": len(tokens) - len(used)}
    data |= _read(context, subject, fitted, [ids for _, ids in held], config)
    return new_record(METHOD, context, config, data=data, artifacts={"tuned_lens": ARTIFACT})


def _texts(config: Config) -> list[tuple[str, str]]:
    """Unit and text of each document."""
    if not config.texts:
        return shipped_documents()[: config.documents]
    return [(f"document {i}", text) for i, text in enumerate(islice(read_texts(Path(config.texts)), config.documents))]


def _read(
    context: Context, subject: LocalModel, fitted: Sequence[Sequence[int]], held: Sequence[Sequence[int]], config: Config
) -> dict[str, Any]:
    """KL and loss by layer, lens and held-out document."""
    from stepladder.methods.interpretability import lenses
    from stepladder.methods.interpretability.circuits_model import CircuitModel

    model = CircuitModel(subject.weights())
    layers = sorted({i * (model.layers - 1) // config.layers for i in range(config.layers)})
    with context.task("reading streams", len(fitted) + len(held)) as advance:
        seen = lenses.read_streams(model, fitted, layers, advance)
        new = lenses.read_streams(model, held, layers, advance)
    kept = context.folder / ARTIFACT
    if not kept.exists():
        with context.task("fitting translators", lenses.STEPS) as advance:
            lenses.save_translators(lenses.fit_translators(model, seen, context.seed, advance), kept)
    translators = lenses.load_translators(kept)
    reading = {"constant": lenses.constant_lens(lenses.mean_distribution(model, seen.last))}
    reading["final"] = lenses.stream_lens(model, new.last)
    for layer in layers:
        reading[f"logit {layer}"] = lenses.stream_lens(model, new.at[layer])
        reading[f"tuned {layer}"] = lenses.stream_lens(model, new.at[layer], translators[layer])
    with context.task("reading lenses", len(new.last)) as advance:
        readings = lenses.read_lenses(model, new, reading, advance)
    by_document = {name: _by_document(reading, new) for name, reading in readings.items()}
    return {"layers": layers, "readings": by_document, "fitted_tokens": len(seen.last)}


def _by_document(reading: Any, streams: Any) -> dict[str, list[float]]:
    """Means over the tokens of each document."""
    count = int(streams.document.max()) + 1
    return {
        name: [round(float(getattr(reading, name)[streams.document == i].mean()), 6) for i in range(count)]
        for name in ("kl", "loss")
    }


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """KL from the final distribution and next-token loss by layer and lens, and what tuning gains."""
    return Finding(
        method=METHOD.name, family=METHOD.family, subject=record.subject, record=record.key,
        measurements=tuple(_measurements(record.data)), limits=_LIMITS,
    )  # fmt: skip


def _measurements(data: Mapping[str, Any]) -> Iterator[Measurement]:
    readings, units = data["readings"], data["units"]
    names = {"kl": "divergence_from_final", "loss": "next_token_loss"}
    final = _measure("next_token_loss", readings["final"]["loss"], units, {"lens": "final"})
    yield final.model_copy(update={"baseline": _constant(readings, "loss", units)})
    for kind, name in names.items():
        baseline = _constant(readings, kind, units)
        for lens in ("logit", "tuned"):
            for layer in data["layers"]:
                labels = {"lens": lens, "layer": str(layer)}
                found = _measure(name, readings[f"{lens} {layer}"][kind], units, labels)
                yield found.model_copy(update={"baseline": baseline})
    for layer in data["layers"]:
        gain = np.subtract(readings[f"logit {layer}"]["kl"], readings[f"tuned {layer}"]["kl"])
        found = _measure("tuning_gain", gain.tolist(), units, {"layer": str(layer)})
        yield found.model_copy(update={"baseline": Baseline(name="no translator", value=0.0)})


def _constant(readings: Mapping[str, Any], kind: str, units: Sequence[str]) -> Baseline:
    found = clustered_mean(readings["constant"][kind], units)
    return Baseline(name="the model's mean prediction at every token", value=found.value, interval=found.interval)


def _measure(name: str, values: Sequence[float], units: Sequence[str], labels: Mapping[str, str]) -> Measurement:
    found = clustered_mean(values, units)
    return Measurement(
        name=name, value=found.value, unit="nats a token", interval=found.interval, n=found.n, labels=dict(labels)
    )


_LIMITS = (
    "A lens says what can be read off a layer, not what the model uses there.",
    "Translators fitted on few texts of one kind know little of others; more documents narrow the gap.",
    "The first token of each document is left out: its stream is unlike all others.",
)

METHOD = Method(
    name="logit_lens", family="interpretability", access="weights", papers=("arXiv:2303.08112",),
    config=Config, record=record, judge=judge,
)  # fmt: skip
