"""A trained guard: one set of classifiers per held-out attack family and a final one, as values that save and load.

On disk a guard is `<name>.json` (vocabularies, scales, limits) beside `<name>.safetensors` (weights). Nothing is pickled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from stepladder.core.keys import digest
from stepladder.methods.safeguards.cascade import FLOOR, INPUT, Limits, Scale, moment_score
from stepladder.methods.safeguards.features import FloatArray, TextClassifier
from stepladder.methods.safeguards.probe import Probe, score_tokens
from stepladder.methods.safeguards.reading import Features, Item, Reader

FINAL = "final"
"""Name of the fold that holds no family out: for direct requests and for attacks of families not in the record."""

Seen = Mapping[str, Mapping[str, FloatArray]]


@dataclass(frozen=True)
class Fold:
    """The classifiers of one fold by name (`cascade.CLASSIFIERS`), their scales and the cascade's limits."""

    texts: Mapping[str, TextClassifier]
    probes: Mapping[str, Probe]
    scales: Mapping[str, Scale]
    limits: Limits

    def text_scores(self, moment: str, texts: Sequence[str]) -> FloatArray:
        """Standardised TF-IDF scores at that moment."""
        name = f"tfidf_{moment}"
        return self.scales[name].apply(self.texts[name].score(texts))

    def moment_scores(self, moment: str, text: FloatArray, probe: FloatArray | None) -> FloatArray:
        """Score of the cascade at that moment."""
        return moment_score(text, probe, self.limits.screens.get(moment))


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
        return digest(
            [structure, {name: hashlib.sha256(tensor.tobytes()).hexdigest() for name, tensor in sorted(tensors.items())}]
        )

    def fold_of(self, family: object) -> str:
        """The fold that never saw that attack family."""
        return str(family) if family in self.folds else FINAL

    def scores(self, moment: str, fold_name: str, items: Sequence[Item], reader: Reader | None = None) -> FloatArray:
        """Score of the cascade at one moment, (items,); the probe runs only on what the screen flags."""
        fold = self.folds[fold_name]
        read = self.reader.input_text if moment == INPUT else self.reader.exchange_text
        text = fold.text_scores(moment, [read(item) for item in items])
        screen = fold.limits.screens.get(moment)
        if screen is None:
            return text
        scores = np.full(len(items), FLOOR)
        flagged = np.flatnonzero(text > screen)
        if len(flagged):
            probe = self._probe_scores(moment, fold_name, [items[int(i)] for i in flagged], reader or self.reader)
            scores[flagged] = fold.moment_scores(moment, text[flagged], probe)
        return scores

    def blocks(self, moment: str, fold_name: str, items: Sequence[Item], reader: Reader | None = None) -> list[bool]:
        """Whether the guard blocks each item at that moment."""
        threshold = self.folds[fold_name].limits.threshold
        if threshold is None or not items:
            return [False] * len(items)
        return [bool(score > threshold) for score in self.scores(moment, fold_name, items, reader)]

    def _probe_scores(self, moment: str, fold_name: str, items: Sequence[Item], reader: Reader) -> FloatArray:
        known = self.seen.get(moment, {})
        keys = [item_key(reader, moment, item) for item in items]
        unread = [item for item, key in zip(items, keys, strict=True) if key not in known]
        fresh = iter(list(self.read_probes(moment, unread, reader)))
        raw = np.array([known[key] if key in known else next(fresh) for key in keys])
        column = list(self.folds).index(fold_name)
        return self.folds[fold_name].scales[f"probe_{moment}"].apply(raw[:, column])

    def read_probes(self, moment: str, items: Sequence[Item], reader: Reader) -> Iterable[FloatArray]:
        """Raw probe scores of each item, (folds,)."""
        probes = [fold.probes[f"probe_{moment}"] for fold in self.folds.values()]
        tokens: Iterable[Features] = reader.input_tokens(items) if moment == INPUT else reader.exchange_tokens(items)
        return (score_tokens(each, probes, self.window) for each in tokens) if items else ()


def item_key(reader: Reader, moment: str, item: Item) -> str:
    """Digest of what the probe reads of an item at that moment."""
    conversation = reader.prompt(item) if moment == INPUT else reader.conversation(item)
    return digest([(message.role, message.content) for message in conversation])
