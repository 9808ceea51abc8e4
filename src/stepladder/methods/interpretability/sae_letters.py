"""The first-letter task: which latents say with what letter a word begins, and which words they miss.

Twenty-six concepts with labels that need no people: words that are one token each, read at that token after a short cue.
The words that a probe and the latents are chosen on are not those that are measured. Chanin et al., arXiv:2409.14507; what
differs: words come from the model's own vocabulary, absorption is counted on unseen words, and the same is done with random
directions. The independent unit is a letter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from stepladder.core import Baseline, Measurement, silent
from stepladder.methods.interpretability import sae_concepts as concepts
from stepladder.stats import clustered_mean, rate_measurement

if TYPE_CHECKING:
    from stepladder.core import Task
    from stepladder.methods.interpretability.dictionary import Dictionary
    from stepladder.models import LocalModel

CUE = "The first letter of the word"
FEWEST, MOST = 16, 40
"""Words of a letter: with fewer it is left out, more are not read."""
GOOD_PROBE = 0.8
"""AUROC that a letter's probe needs on unseen words before absorption is asked about."""
KS = (1, 5)


@dataclass(frozen=True)
class Spelled:
    """Words of known first letters: letter by row (n), which rows are to learn from (n), activations (n, width)."""

    letters: np.ndarray
    train: np.ndarray
    x: np.ndarray

    @cached_property
    def probes(self) -> dict[str, tuple[concepts.Probe, float]]:
        """The dense probe of each letter, fitted once, and its AUROC on the words that it has not seen."""
        found = {}
        for letter in np.unique(self.letters).tolist():
            labels = self.letters == letter
            probe = concepts.fit_probe(self.x[self.train], labels[self.train])
            found[letter] = probe, concepts.auroc_of(probe.scores(self.x[~self.train]), labels[~self.train])
        return found


def read_letters(model: LocalModel, layer: int, site: str, seed: int = 0) -> Spelled | None:
    """What the model has at each word; `None` where its vocabulary has no two letters with `FEWEST` words."""
    words = letter_words(model, seed)
    if len(words) < 2:
        return None
    tokens = [[*model.chat_format.tokens(CUE), token] for found in words.values() for token in found]
    x = np.stack([rows[-1, 0] for rows in model.read(tokens, [layer], site)])
    letters = np.array([letter for letter, found in words.items() for _ in found])
    return Spelled(letters, np.concatenate([np.arange(len(found)) % 2 == 0 for found in words.values()]), x)


def letter_rows(dictionary: Dictionary, words: Spelled | None, seed: int = 0, task: Task = silent) -> list[dict[str, Any]]:
    """One row a letter: how well the dense probe, k latents and k random ones tell it, and what other latents absorb."""
    from stepladder.methods.interpretability.dictionary import random_dictionary

    if words is None:
        return []
    codes = _codes(dictionary, words.x)
    k = max(1, round(float((codes > 0).sum(1).mean())))
    chance = random_dictionary(dictionary, min(k, dictionary.d_sae), seed) if not dictionary.transcoder else None
    rows = []
    with task("first letters", len(words.probes)) as advance:
        for letter in words.probes:
            rows.append(_letter(letter, words, codes, dictionary, chance, seed))
            advance(1)
    return rows


def letter_words(model: LocalModel, seed: int = 0) -> dict[str, list[int]]:
    """Tokens that are a lower-case word each, by first letter, `FEWEST` to `MOST` of them, drawn by the seed."""
    chat = model.chat_format
    names = chat.tokenizer.convert_ids_to_tokens(range(len(chat.tokenizer)))
    likely = [token for token, name in enumerate(names) if re.fullmatch(r".?[a-z]{2,}", name or "")]  # a mark of the space
    texts = {token: chat.text([token]) for token in likely}
    spaced = {token: text for token, text in texts.items() if re.fullmatch(r" [a-z]{3,}", text)}
    found: dict[str, list[int]] = {}
    for token, text in (spaced or {t: w for t, w in texts.items() if re.fullmatch(r"[a-z]{2,}", w)}).items():
        found.setdefault(text.strip()[0], []).append(token)
    rng = np.random.default_rng(seed)
    return {
        letter: rng.permutation(tokens)[:MOST].tolist() for letter, tokens in sorted(found.items()) if len(tokens) >= FEWEST
    }


def _codes(dictionary: Dictionary, x: np.ndarray) -> np.ndarray:
    import torch

    return dictionary.encode(torch.from_numpy(x).to(dictionary.W_enc)).cpu().numpy()


def _letter(
    letter: str, words: Spelled, codes: np.ndarray, dictionary: Dictionary, chance: Dictionary | None, seed: int
) -> dict[str, Any]:
    labels, train, test = words.letters == letter, words.train, ~words.train
    probe, dense = words.probes[letter]
    split = (codes[train], labels[train], codes[test], labels[test])
    row: dict[str, Any] = {"letter": letter, "words": int(labels.sum()), "dense_auc": dense, "auc": {}, "random_auc": {}}
    best = concepts.latents_by_difference(codes[train], labels[train])
    used = np.flatnonzero((codes[train] > 0).any(0))
    drawn = np.random.default_rng([seed, ord(letter)]).permutation(used)
    for k in KS:
        row["auc"][str(k)] = concepts.sparse_probe_auc(*split, best[:k])
        row["random_auc"][str(k)] = concepts.sparse_probe_auc(*split, drawn[:k]) if len(drawn) >= k else 0.5
    right = test & labels & (probe.scores(words.x) > 0)
    if dictionary.transcoder:
        return row | {"absorbed": [], "share": [], "random_absorbed": []}
    own = _absorbed(dictionary, codes, words.x, labels, train, right, probe.direction)
    by_chance: tuple[list[float], list[float]] = ([], [])
    if chance is not None:
        by_chance = _absorbed(chance, _codes(chance, words.x), words.x, labels, train, right, probe.direction)
    return row | {"absorbed": own[1], "share": own[0], "random_absorbed": by_chance[1]}


def _absorbed(
    dictionary: Dictionary, codes: np.ndarray, x: np.ndarray, labels: np.ndarray, train: np.ndarray, right: np.ndarray,
    direction: np.ndarray,
) -> tuple[list[float], list[float]]:  # fmt: skip
    """Share absorbed and whether in full, of unseen words of the letter that the probe gets right."""
    latents = concepts.concept_latents(codes[train], labels[train])
    centred = x[right] - dictionary.b_dec.cpu().numpy()
    share, full = concepts.absorption(centred, codes[right], dictionary.W_dec.cpu().numpy(), direction, latents)
    return share.astype(float).tolist(), full.astype(float).tolist()


def letter_measurements(rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str] | None = None) -> list[Measurement]:
    """Sparse probing and absorption from what `letter_rows` gave, with intervals over letters."""
    labels = dict(labels or {})
    if not rows:
        reason = f"the vocabulary has no two letters with {FEWEST} words that are one token"
        return [
            Measurement(name=name, value=None, unit="share", n=0, reason=reason, labels=labels)
            for name in ("sparse_probe_auc", "absorption", "absorption_share")
        ]
    return [*(_probing(rows, str(k), labels) for k in KS), *_absorption(rows, labels)]


def _probing(rows: Sequence[Mapping[str, Any]], k: str, labels: Mapping[str, str]) -> Measurement:
    letters = [row["letter"] for row in rows]
    ours = clustered_mean([row["auc"][k] for row in rows], letters)
    chance = clustered_mean([row["random_auc"][k] for row in rows], letters)
    dense = clustered_mean([row["dense_auc"] for row in rows], letters)
    return Measurement(
        name="sparse_probe_auc", value=ours.value, unit="AUROC", interval=ours.interval, n=ours.n,
        labels={**labels, "k": k}, note=f"dense probe on the activations: {dense.value:.3f}",
        baseline=Baseline(name=f"{k} random latents that are in use", value=chance.value, interval=chance.interval),
    )  # fmt: skip


def _absorption(rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> list[Measurement]:
    """Letters whose probe fails on unseen words are unmeasured, one entry each."""
    found = []
    for name, column in (("absorption", "absorbed"), ("absorption_share", "share")):
        values: list[float | None] = []
        clusters: list[str] = []
        for row in rows:
            known = row[column] if row["dense_auc"] >= GOOD_PROBE else []
            values += known or [None]
            clusters += [row["letter"]] * max(len(known), 1)
        chance = [value for row in rows if row["dense_auc"] >= GOOD_PROBE for value in row["random_absorbed"]]
        baseline = Baseline(name="random directions, as many active", value=float(np.mean(chance)) if chance else None)
        compared = baseline if column == "absorbed" else None
        note = "a probe that tells fewer than 80% of unseen words makes a letter unmeasured"
        found.append(
            rate_measurement(name, values, clusters, baseline=compared, labels=labels, note=note, max_unmeasured=0.5)
        )
    return found
