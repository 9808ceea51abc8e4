"""Does one latent stand for one concept? Sparse probing, absorption and splitting of a model's dictionaries.

Papers: Gurnee et al., Finding Neurons in a Haystack (arXiv:2305.01610): k-sparse probing; Chanin et al., A is for
Absorption (arXiv:2409.14507): the first-letter task, absorption and feature splitting; Karvonen et al., SAEBench
(arXiv:2503.09532): the share absorbed. What differs: concepts are first letters only, all measured on words that neither
probe nor latents were chosen on; splitting is between two dictionaries of one text, the parts of a latent being those that
are active only where it is.

Unit: a letter, for splitting a latent. Trivial baselines: random latents, random directions, shuffled tokens; the dense
probe on the activations is the ceiling.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from stepladder.core import Context, Finding, Method, Record, StepladderError, Verdict, new_record
from stepladder.core.errors import require_between
from stepladder.methods.interpretability.sae_concepts import split_counts, split_measurement
from stepladder.methods.interpretability.sae_config import TrainingConfig
from stepladder.methods.interpretability.sae_letters import letter_measurements, letter_rows, read_letters

if TYPE_CHECKING:
    from stepladder.methods.interpretability.dictionary import Dictionary
    from stepladder.models import LocalModel
    from stepladder.store.shards import Shards

HELD_OUT = 0.2
SINK = 1
ROWS = 512


@dataclass(frozen=True)
class Config:
    """Which dictionaries, and what they are trained on where none are given."""

    dictionaries: tuple[str, ...] = ()
    """Folders of SAELens or sparsify, of one place in the model; by default dictionaries are trained."""
    text: str = ""
    """A .txt, .jsonl or .parquet file, or a folder of them; by default the shipped texts."""
    documents: int = 300
    """Documents that are read, at most."""
    window: int = 64
    """Tokens of a document that are read, at most."""
    layer: int = -1
    """Layer whose output is taken apart, counted from 0; -1: the middle one."""
    latents: tuple[int, ...] = (256, 1024)
    """Sizes of the dictionaries that are trained."""
    k: int = 16
    """Their active latents a token."""
    steps: int = 400
    """Their training steps, of 512 tokens each."""

    def __post_init__(self) -> None:
        for option, least in (("documents", 20), ("window", 8), ("k", 1), ("steps", 1)):
            require_between("latent_concepts", option, getattr(self, option), least)
        for size in self.latents or (0,):
            require_between("latent_concepts", "latents", size, self.k)


def record(context: Context, config: Config) -> Record:
    """Train or load the dictionaries, ask them for first letters, and hold each against the next larger one."""
    subject = cast("LocalModel", context.subject)
    found = _dictionaries(context, config, subject)
    layer, site = found[0].layer, found[0].site
    words = read_letters(subject, layer, site, context.seed)
    rows = [{"latents": d.d_sae, "letters": letter_rows(d, words, context.seed, context.task)} for d in found]
    held = _harvested(context, config, subject, layer, site)[1]
    splits = [_split(small, large, held, context.seed) for small, large in pairwise(found)]
    data = {"layer": layer, "site": site, "dictionaries": rows, "splits": splits}
    return new_record(METHOD, context, config, data=data)


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """Sparse probing and absorption of each dictionary, and how the latents of each split in the next."""
    measurements = [
        m
        for row in record.data["dictionaries"]
        for m in letter_measurements(row["letters"], {"latents": str(row["latents"])})
    ]
    measurements += [
        split_measurement(split["counts"], split["shuffled"], {"from": str(split["from"]), "to": str(split["to"])})
        for split in record.data["splits"]
    ]
    return Finding(
        method=METHOD.name, family=METHOD.family, subject=record.subject, record=record.key,
        measurements=tuple(measurements), limits=_LIMITS,
    )  # fmt: skip


def _dictionaries(context: Context, config: Config, subject: LocalModel) -> list[Dictionary]:
    """From the smallest to the largest."""
    from stepladder.methods.interpretability.saelens import load_dictionary

    if not config.dictionaries:
        layer = subject.layers // 2 if config.layer < 0 else config.layer
        train = _harvested(context, config, subject, layer, "residual")[0]
        return [_trained(context, config, train, size) for size in sorted(config.latents)]
    found = sorted((load_dictionary(folder) for folder in config.dictionaries), key=lambda d: d.d_sae)
    places = {(d.layer, d.site, d.d_in) for d in found}
    if len(places) > 1 or found[0].d_in != subject.site_width(found[0].site):
        widths = ", ".join(f"{site} of layer {layer} ({width})" for layer, site, width in sorted(places))
        raise StepladderError(f"latent_concepts: dictionaries must be of one place of {subject.name}; these are of {widths}")
    return found


def _trained(context: Context, config: Config, train: Shards, size: int) -> Dictionary:
    from stepladder.methods.interpretability.sae_training import train_dictionary

    rows = train.count - SINK * train.documents
    wanted = TrainingConfig(latents=size, k=config.k, steps=config.steps, seed=context.seed)
    batches = train.batches(ROWS, context.seed, epochs=1 + config.steps * ROWS // max(rows, 1), skip=SINK)
    found = train_dictionary(batches, wanted, context.folder / f"dictionary-{size}", context.task).to("cpu")
    return dataclasses.replace(found, layer=train.info.layer, site=train.info.site, model=train.info.model)


def _harvested(context: Context, config: Config, subject: LocalModel, layer: int, site: str) -> tuple[Shards, Shards]:
    """Activations to train on and held out, split by document; what is on disk is not read again."""
    from stepladder.methods.interpretability.harvest import harvest
    from stepladder.methods.interpretability.text import read_texts, shipped_text

    texts = read_texts(Path(config.text)) if config.text else iter(shipped_text())
    documents = [tokens for text in islice(texts, config.documents) if len(tokens := subject.tokens(text)) > SINK + 1]
    documents = [tokens[: min(config.window, subject.context)] for tokens in documents]
    random.Random(context.seed).shuffle(documents)
    held = round(HELD_OUT * len(documents))
    if held < 2:
        raise StepladderError(f"latent_concepts: {len(documents)} documents are too few; at least 10 are needed")
    folder = context.folder / "activations"
    train = harvest(subject, documents[held:], layer, site, folder / "train", context.task)
    return train, harvest(subject, documents[:held], layer, site, folder / "held_out", context.task)


def _split(small: Dictionary, large: Dictionary, held: Shards, seed: int) -> dict[str, Any]:
    """Into how many latents of the larger dictionary each of the smaller one's splits, and with its tokens shuffled."""
    import torch

    rows = torch.cat([values[SINK:].float() for _, _, values in held.in_order()])
    ours, theirs = ((dictionary.encode(rows) > 0).numpy() for dictionary in (small, large))
    shuffled = theirs[np.random.default_rng(seed).permutation(len(theirs))]
    counts = {"counts": split_counts(ours, theirs), "shuffled": split_counts(ours, shuffled)}
    return {"from": small.d_sae, "to": large.d_sae, **counts}


_LIMITS = (
    "First letters are one kind of concept: what holds for spelling need not hold for meaning.",
    "Absorption is looked for where a probe finds the letter; what the activations do not carry cannot be absorbed.",
    "By default dictionaries are small and trained for seconds; give folders of better ones to judge those.",
)

METHOD = Method(
    name="latent_concepts", family="interpretability", access="activations",
    papers=("arXiv:2305.01610", "arXiv:2409.14507", "arXiv:2503.09532"), config=Config, record=record, judge=judge,
)  # fmt: skip
