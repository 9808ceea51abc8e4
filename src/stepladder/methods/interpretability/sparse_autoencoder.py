"""Trains sparse autoencoders on a model's activations and measures what they keep: the frontier of sparsity and fidelity.

Papers: Bricken et al., Towards Monosemanticity (2023): sparse autoencoders on activations; Gao et al., Scaling and
evaluating sparse autoencoders (arXiv:2406.04093): TopK and its frontier; Bussmann et al., BatchTopK (arXiv:2412.06410) and
Matryoshka SAEs (arXiv:2503.17547); Rajamanoharan et al., Gated (arXiv:2404.16014) and JumpReLU SAEs (arXiv:2407.14435);
Karvonen et al., SAEBench (arXiv:2503.09532): the metrics. What differs: dictionaries are small and trained for a minute,
and each is held against as many principal components.

Unit: numbers are of held-out documents, which are the independent unit (latents are that of dead and dense shares). Chance
level: random directions, as many active, scaled by least squares; the line to beat is principal component analysis.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from stepladder.core.errors import StepladderError, UnknownName, require_between
from stepladder.core.method import Context, Method
from stepladder.core.recording import new_record
from stepladder.core.values import Finding, Measurement, Record, Verdict
from stepladder.methods.interpretability.sae_config import TRAINED, TrainingConfig

if TYPE_CHECKING:
    from stepladder.methods.interpretability.dictionary import Dictionary
    from stepladder.models import LocalModel
    from stepladder.store.shards import Shards

HELD_OUT = 0.2
"""Share of the documents that no dictionary is trained on."""
SINK = 1
"""Tokens at the beginning of a document that are left out: their norms are a hundred times those of all others."""
SPLICED = 16
"""Held-out documents on which the model's loss is measured with the reconstruction in place."""
PCA = "pca"


@dataclass(frozen=True)
class Config:
    """What is read, and which dictionaries are trained."""

    text: str = ""
    """A .txt, .jsonl or .parquet file, or a folder of them; by default the shipped texts."""
    documents: int = 600
    """Documents that are read, at most."""
    window: int = 256
    """Tokens of a document that are read, at most."""
    layer: int = -1
    """Layer whose output is taken apart, counted from 0; -1: the middle one."""
    site: str = "residual"
    """residual, attention or mlp."""
    architectures: tuple[str, ...] = ("topk",)
    """topk, batchtopk, jumprelu, matryoshka, gated."""
    k: tuple[int, ...] = (8, 16, 32, 64)
    """Active latents a token; one dictionary each."""
    latents: int = 1024
    """Size of each dictionary."""
    epochs: int = 8
    """How often training sees each token."""
    batch: int = 512
    """Tokens a step."""
    learning_rate: float = 3e-3
    """Adam's, at its height."""

    def __post_init__(self) -> None:
        for name in self.architectures:
            if name not in TRAINED:
                raise UnknownName("architecture to train", name, TRAINED)
        for option, least in (("documents", 20), ("window", 8), ("latents", 2), ("epochs", 1), ("batch", 8)):
            require_between("sparse_autoencoder", option, getattr(self, option), least)
        if not self.k or not self.architectures:
            raise StepladderError("sparse_autoencoder: needs at least one k and one architecture")
        for k in self.k:
            require_between("sparse_autoencoder", "k", k, 1, self.latents)


def record(context: Context, config: Config) -> Record:
    """Harvest, train each dictionary, and measure it on held-out documents; whatever is done already is not done again."""
    from stepladder.methods.interpretability.sae_components import components, principal
    from stepladder.methods.interpretability.sae_metrics import metrics

    subject = cast("LocalModel", context.subject)
    layer = subject.layers // 2 if config.layer < 0 else config.layer
    train, held = _harvested(context, config, subject, layer)
    rows: list[dict[str, Any]] = []
    artifacts = {}
    for architecture in config.architectures:
        for k in config.k:
            name = f"{architecture}-{k}"
            found = _dictionary(context, config, architecture, k, train)
            artifacts[f"dictionary {name}"] = f"dictionaries/{name}/sae_weights.safetensors"
            numbers = metrics(found, held, subject, spliced_documents=SPLICED, task=context.task)
            seen = metrics(found, train, task=context.task)["documents"]
            rows.append({"dictionary": architecture, "k": k, "seen": seen, **numbers})
    mean, directions = components(train)
    for k in sorted({min(k, train.info.width) for k in config.k}):
        numbers = metrics(principal(mean, directions[:k], train), held, task=context.task)
        rows.append({"dictionary": PCA, "k": k, **numbers})
    data = {
        "layer": layer,
        "tokens": [train.count, held.count],
        "documents": [train.documents, held.documents],
        "rows": rows,
    }
    return new_record(METHOD, context, config, data=data, artifacts=artifacts)


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """The metrics of every dictionary, and what each explains beyond as many principal components."""
    from stepladder.methods.interpretability.sae_components import gain_over, overfit
    from stepladder.methods.interpretability.sae_metrics import measurements

    rows = record.data["rows"]
    pca = {row["k"]: row for row in rows if row["dictionary"] == PCA}
    found: list[Measurement] = []
    for row in rows:
        labels = {"dictionary": row["dictionary"], "k": str(row["k"])}
        every = measurements(row, labels)
        if row["dictionary"] == PCA:
            found += [m for m in every if m.name in ("l0", "explained_variance")]
        else:
            found += [*every, gain_over(row, pca.get(row["k"]), labels), overfit(row, labels)]
    return Finding(
        method=METHOD.name, family=METHOD.family, subject=record.subject, record=record.key, measurements=tuple(found),
        limits=_LIMITS,
    )  # fmt: skip


def _harvested(context: Context, config: Config, subject: LocalModel, layer: int) -> tuple[Shards, Shards]:
    """Activations to train on and held out, split by document."""
    from stepladder.methods.interpretability.harvest import harvest
    from stepladder.methods.interpretability.text import read_texts, shipped_text

    texts = read_texts(Path(config.text)) if config.text else iter(shipped_text())
    documents = [tokens for text in islice(texts, config.documents) if len(tokens := subject.tokens(text)) > SINK + 1]
    documents = [tokens[: min(config.window, subject.context)] for tokens in documents]
    random.Random(context.seed).shuffle(documents)
    held = round(HELD_OUT * len(documents))
    if held < 2:
        raise StepladderError(f"sparse_autoencoder: {len(documents)} documents are too few; at least 10 are needed")
    parts = {"held_out": documents[:held], "train": documents[held:]}
    read = {
        name: harvest(subject, part, layer, config.site, context.folder / "activations" / name, context.task)
        for name, part in parts.items()
    }
    return read["train"], read["held_out"]


def _dictionary(context: Context, config: Config, architecture: str, k: int, train: Shards) -> Dictionary:
    """The dictionary on disk, trained where it is not there yet."""
    import dataclasses

    from stepladder.methods.interpretability.sae_training import train_dictionary
    from stepladder.methods.interpretability.saelens import load_dictionary, save_dictionary

    folder = context.folder / "dictionaries" / f"{architecture}-{k}"
    if (folder / "cfg.json").exists():
        return load_dictionary(folder)
    rows = train.count - SINK * train.documents
    training = TrainingConfig(
        architecture=architecture, latents=config.latents, k=k, steps=max(1, rows * config.epochs // config.batch),
        learning_rate=config.learning_rate, seed=context.seed,
    )  # fmt: skip
    batches = train.batches(config.batch, context.seed, config.epochs, skip=SINK)
    unfinished = context.folder / "training" / folder.name
    found = train_dictionary(batches, training, unfinished, context.task)
    found = dataclasses.replace(found, layer=train.info.layer, site=train.info.site, model=train.info.model)
    save_dictionary(found.to("cpu"), folder)
    shutil.rmtree(unfinished)
    return found


_LIMITS = (
    "The shipped texts are of few topics and share their sentences: held-out figures are of the same kind of text, and a "
    "dictionary that knows their sentences can predict them better than the model does.",
    "A dictionary that explains more variance is not thereby easier to read; its latents have to be labelled and checked.",
    "The first token of each document is left out of training and of every figure.",
)

METHOD = Method(
    name="sparse_autoencoder", family="interpretability", access="activations",
    papers=(
        "https://transformer-circuits.pub/2023/monosemantic-features", "arXiv:2406.04093", "arXiv:2412.06410",
        "arXiv:2503.17547", "arXiv:2404.16014", "arXiv:2407.14435", "arXiv:2503.09532",
    ),
    config=Config, record=record, judge=judge,
)  # fmt: skip
