"""A trained guard: one set of classifiers per held-out attack family and a final one, as values that save and load.

On disk a guard is `<name>.json` (vocabularies, scales, limits) beside `<name>.safetensors` (weights). Nothing is pickled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from stepladder.core.keys import digest
from stepladder.methods.safeguards.cascade import EXCHANGE, FLOOR, INPUT, Limits, Scale
from stepladder.methods.safeguards.features import FloatArray, TextClassifier
from stepladder.methods.safeguards.probe import Probe, score_tokens
from stepladder.methods.safeguards.reading import Item, Reader

FINAL = "final"
"""Name of the fold that holds no family out: for direct requests and for attacks of families not in the record."""

Seen = Mapping[str, Mapping[str, FloatArray]]


@dataclass(frozen=True)
class Fold:
    """The classifiers of one fold by name (`cascade.CLASSIFIERS`), their scales, and the limits of the cascade.

    `limits_tfidf` are those of the baseline that has the TF-IDF classifiers alone.
    """

    texts: Mapping[str, TextClassifier]
    probes: Mapping[str, Probe]
    scales: Mapping[str, Scale]
    limits: Limits
    limits_tfidf: Limits

    def text_scores(self, moment: str, texts: Sequence[str]) -> FloatArray:
        """Standardised TF-IDF scores at that moment."""
        name = f"tfidf_{moment}"
        return self.scales[name].apply(self.texts[name].score(texts))


@dataclass(frozen=True)
class Guard:
    """Folds by held-out family, and how they read.

    `seen` holds the raw probe scores of the tested record's texts, per moment and digest of the text, one per fold in order:
    a text that was read once is not read again, and rounding in another batch cannot change its decision.
    """

    folds: Mapping[str, Fold]
    reader: Reader
    window: int
    source: str = ""
    seen: Seen = field(default_factory=dict)

    @property
    def needs_activations(self) -> bool:
        """Whether any fold has probes."""
        return any(fold.probes for fold in self.folds.values())

    @cached_property
    def digest(self) -> str:
        """Digest of all that decides."""
        from stepladder.methods.safeguards.storage import pack

        structure, tensors = pack(self)
        hashes = {name: hashlib.sha256(tensor.tobytes()).hexdigest() for name, tensor in sorted(tensors.items())}
        return digest([structure, hashes])

    def fold_of(self, family: object) -> str:
        """The fold that never saw that attack family."""
        return str(family) if family in self.folds else FINAL

    def input_scores(self, fold_name: str, items: Sequence[Item], reader: Reader) -> FloatArray:
        """The screen's score of each item, (items,)."""
        fold = self.folds[fold_name]
        if fold.probes:
            return self._probe_scores(INPUT, fold_name, items, reader)
        return fold.text_scores(INPUT, [reader.input_text(item) for item in items])

    def exchange_scores(self, fold_name: str, items: Sequence[Item], screened: FloatArray, reader: Reader) -> FloatArray:
        """The costly stage's score of each item, run on what the screen's scores flag and `FLOOR` elsewhere."""
        fold = self.folds[fold_name]
        scores = np.full(len(items), FLOOR)
        flagged = np.flatnonzero(screened > fold.limits.screen)
        if len(flagged):
            chosen = [items[int(i)] for i in flagged]
            scores[flagged] = fold.limits.exchange_scores(self._all_scores(fold_name, chosen, screened[flagged], reader))
        return scores

    def _all_scores(
        self, fold_name: str, items: Sequence[Item], screened: FloatArray, reader: Reader
    ) -> dict[str, FloatArray]:
        fold = self.folds[fold_name]
        scores = {
            "tfidf_input": fold.text_scores(INPUT, [reader.input_text(item) for item in items]),
            "tfidf_exchange": fold.text_scores(EXCHANGE, [reader.exchange_text(item) for item in items]),
        }
        if fold.probes:
            scores |= {"probe_input": screened, "probe_exchange": self._probe_scores(EXCHANGE, fold_name, items, reader)}
        return scores

    def _probe_scores(self, moment: str, fold_name: str, items: Sequence[Item], reader: Reader) -> FloatArray:
        """Standardised scores of the fold's probe; activations are computed only of texts never seen."""
        known = self.seen.get(moment, {})
        keys = [item_key(reader, moment, item) for item in items]
        unread = [item for item, key in zip(items, keys, strict=True) if key not in known]
        fresh = iter(self._read_probes(moment, unread, reader))
        raw = np.array([known[key] if key in known else next(fresh) for key in keys])
        column = list(self.folds).index(fold_name)
        return self.folds[fold_name].scales[f"probe_{moment}"].apply(raw[:, column])

    def _read_probes(self, moment: str, items: Sequence[Item], reader: Reader) -> list[FloatArray]:
        """Raw probe scores of each item, (folds,)."""
        probes = [fold.probes[f"probe_{moment}"] for fold in self.folds.values()]
        return [score_tokens(tokens, probes, self.window) for tokens in reader.tokens(moment, items)] if items else []


def item_key(reader: Reader, moment: str, item: Item) -> str:
    """Digest of what the probe reads of an item at that moment."""
    conversation = reader.prompt(item) if moment == INPUT else reader.conversation(item)
    return digest([(message.role, message.content) for message in conversation])
