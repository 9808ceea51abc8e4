"""What feature labels are made from: text read by the subject, a dictionary, and which of its latents fire where.

Beside the dictionary stand latents that nobody trained: random directions with thresholds at which they fire as often as the
dictionary's latents do. Whatever share of these gets a good label is what a good label is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stepladder.core import Context
from stepladder.core.errors import StepladderError
from stepladder.methods.interpretability.contexts import token_text
from stepladder.methods.interpretability.explainers import Lens, logit_lens
from stepladder.methods.interpretability.latent_index import LatentIndex, index_latents

if TYPE_CHECKING:
    from stepladder.methods.interpretability.dictionary import Dictionary
    from stepladder.models import LocalModel
    from stepladder.store.shards import Shards

DOCUMENT = 128
"""Tokens that are read together: longer texts are cut into pieces."""
SECTION = 4096
"""Tokens of a text after which what follows counts as another text."""
BATCH = 1024
"""Rows of a training step."""
SAMPLE = 4096
"""Rows from which random directions get their thresholds."""


@dataclass(frozen=True, eq=False)
class FeatureCorpus:
    """The dictionary and the random directions, each with its index, and what makes their latents readable."""

    dictionary: Dictionary
    index: LatentIndex
    random: Dictionary
    random_index: LatentIndex
    pieces: Callable[[int], str]
    vocabulary: int
    lens: Lens | None


@dataclass(frozen=True)
class Wanted:
    """What to read and with which dictionary: one in a folder, or one to train (`latents`, `k`, `steps`)."""

    texts: str
    tokens: int
    dictionary: str
    layer: int
    latents: int
    k: int
    steps: int
    random: int


def read_corpus(context: Context, wanted: Wanted) -> FeatureCorpus:
    """Harvest, train a dictionary where none is named, index both sets of latents; each step is kept and gone on from."""
    from stepladder.methods.interpretability.harvest import harvest
    from stepladder.methods.interpretability.saelens import load_dictionary
    from stepladder.methods.interpretability.text import read_texts, shipped_text

    subject: LocalModel = context.subject  # type: ignore[assignment]  # the technique asks for activations: it is one
    loaded = load_dictionary(Path(wanted.dictionary)) if wanted.dictionary else None
    layer = loaded.layer if loaded else wanted.layer if wanted.layer >= 0 else subject.layers // 2
    site = loaded.site if loaded else "residual"
    texts = read_texts(Path(wanted.texts)) if wanted.texts else shipped_text()
    pieces_of = list(cut(texts, subject.chat_format.tokens, wanted.tokens))
    sources = [text for text, _ in pieces_of]
    shards = harvest(subject, [tokens for _, tokens in pieces_of], layer, site, context.folder / "harvest", context.task)
    if loaded and loaded.d_in != shards.info.width:
        raise StepladderError(
            f"{wanted.dictionary} reads {loaded.d_in} numbers, {site} of {subject.name} has {shards.info.width}"
        )
    made = loaded or _trained(context, shards, wanted)
    random = random_directions(made, next(shards.batches(SAMPLE, context.seed, skip=1)), wanted.random, context.seed)
    tokenizer = subject.chat_format.tokenizer
    pieces = token_text(tokenizer, len(tokenizer))
    indices = [_indexed(context, shards, sources, d, name) for d, name in ((made, "latents"), (random, "random directions"))]
    return FeatureCorpus(made, indices[0], random, indices[1], pieces, len(tokenizer), logit_lens(subject.weights(), pieces))


def cut(texts: Iterable[str], tokenise: Callable[[str], list[int]], tokens: int) -> Iterator[tuple[int, list[int]]]:
    """Pieces of at most 128 tokens, each with the number of its text, until there are `tokens` of them.

    A text begins anew after 4,096 tokens: sections of a book count as independent, its neighbouring pieces do not.
    """
    left, number = tokens, -1
    for text in texts:
        ids = tokenise(text)
        for start in range(0, len(ids), DOCUMENT):
            number += start % SECTION == 0
            piece = ids[start : start + min(DOCUMENT, left)]
            if len(piece) > 1:
                yield number, piece
            left -= len(piece)
            if left <= 0:
                return


def _trained(context: Context, shards: Shards, wanted: Wanted) -> Dictionary:
    """A TopK dictionary of the harvest."""
    from stepladder.methods.interpretability.sae_config import TrainingConfig
    from stepladder.methods.interpretability.sae_training import train_dictionary

    config = TrainingConfig(latents=wanted.latents, k=wanted.k, steps=wanted.steps, seed=context.seed)
    batches = shards.batches(BATCH, context.seed, epochs=wanted.steps, skip=1)
    trained = train_dictionary(batches, config, context.folder / "training", context.task)
    return replace(trained.to("cpu"), layer=shards.info.layer, site=shards.info.site, model=shards.info.model)


def random_directions(dictionary: Dictionary, sample: Any, count: int, seed: int) -> Dictionary:
    """Latents along random directions that fire where the projection of x on them is largest, as often as the dictionary's.

    `sample` (n, d_in) gives the thresholds; how often is the median over those of the dictionary's latents that fire in it.
    """
    import torch

    from stepladder.methods.interpretability.dictionary import Dictionary as Made

    fires = (dictionary.encode(sample) > 0).float().mean(0)
    rate = float(fires[fires > 0].median()) if bool((fires > 0).any()) else 0.01
    generator = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(count, dictionary.d_in, generator=generator), dim=1)
    # The mean is taken out: it is the same for all text, and most of a raw projection.
    centre = sample.median(0).values
    projected = (sample - centre) @ directions.T
    threshold = projected.quantile(1 - rate, dim=0).clamp(min=1e-6)
    return Made(
        "jumprelu", W_enc=directions.T.contiguous(), b_enc=torch.zeros(count), W_dec=directions, b_dec=centre,
        threshold=threshold, layer=dictionary.layer, site=dictionary.site, model=dictionary.model,
    )  # fmt: skip


def _indexed(context: Context, shards: Shards, sources: list[int], dictionary: Dictionary, name: str) -> LatentIndex:
    import torch

    folder = context.folder / name.replace(" ", "_")
    placed = dictionary.to("cuda") if torch.cuda.is_available() else dictionary
    device = placed.W_enc.device
    with context.task(f"where {name} fire", shards.count) as advance:
        documents = ((tokens, values) for _, tokens, values in shards.in_order())
        return index_latents(documents, lambda x: placed.active(x.to(device)), placed.d_sae, folder, advance, sources)


def clusters(rows: NDArray[np.float32], near: float = 0.7) -> list[int]:
    """For each decoder row (n, width) the number of its cluster: those joined by cosines above `near`."""
    from scipy.sparse.csgraph import connected_components

    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return [int(label) for label in connected_components(np.abs(unit @ unit.T) > near, directed=False)[1]]
