"""All probes of one layer: every training set is a column of one regression, and every closed form is fitted to each.

`read_layer` is what a technique calls; the other functions are its parts.

A training set is a set of rows with labels. Besides those of the truth there are random ones: control tasks (a coin for each
kind of statement, arXiv:1909.03368) and shuffled labels (the labels of half of the units turned round).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stepladder.methods.interpretability.concept_data import Statement, control_labels
from stepladder.methods.interpretability.probe_ccs import fit_ccs
from stepladder.methods.interpretability.probe_fits import (
    Bools,
    Floats,
    Linear,
    fit_leace,
    mass_mean,
    whitened_mass_mean,
)
from stepladder.methods.interpretability.probe_logistic import fit_logistic, raw, standardised
from stepladder.stats import auroc

ALL, AFFIRMED, SHUFFLED, OTHERS = "all", "affirmed", "shuffled", "other topics"
CONTROLS = 3
"""Control tasks, each with coins of its own."""


@dataclass(frozen=True, eq=False)
class Layer:
    """What was found at one layer: `scores[probe, training set]` and `erased[rows, before or after]`, all (n,).

    `quality` is the AUROC of the logistic probe on the facts set apart for the choice; `probes` were trained on all topics.
    """

    scores: dict[tuple[str, str], Floats]
    erased: dict[tuple[str, str], Floats]
    quality: float
    probes: dict[str, Linear]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Which rows a probe learns from, and what it is told of them; both (n,)."""

    name: str
    rows: Bools
    labels: Bools


def training_sets(statements: Sequence[Statement], train: Bools, seed: int) -> list[TrainingSet]:
    """All topics with and without negations, each alone ("only ..."), all but one ("without ..."), and random labels.

    A topic whose training rows are all true or all false has no set of its own.
    """
    truth = np.array([s.label for s in statements])
    topic = np.array([s.topic for s in statements])
    affirmed = np.array([s.form == "affirmed" for s in statements])
    topics = list(dict.fromkeys(topic))
    apart = topics if len(topics) > 1 else []
    made = [
        TrainingSet(ALL, train, truth),
        TrainingSet(AFFIRMED, train & affirmed, truth),
        *(TrainingSet(f"only {name}", train & (topic == name), truth) for name in apart),
        *(TrainingSet(f"without {name}", train & (topic != name), truth) for name in apart),
        TrainingSet(SHUFFLED, train, _shuffled(statements, train, seed)),
        *(TrainingSet(f"control {i}", train, np.array(control_labels(statements, 100 * seed + i))) for i in range(CONTROLS)),
    ]
    return [given for given in made if len(set(given.labels[given.rows].tolist())) == 2]


def read_layer(
    x: Floats,
    statements: Sequence[Statement],
    parts: dict[str, Bools],
    sets: Sequence[TrainingSet],
    strength: float,
    seed: int,
) -> Layer:
    """Fit everything to `x` (n, d); `parts` are the rows to train on, to choose the layer by, and to test on."""
    truth = np.array([s.label for s in statements])
    found = {(probe, name): linear for probe, name, linear in fitted(x, sets, strength, seed)}
    scores = others_joined({place: linear.score(x) for place, linear in found.items()}, statements)
    ccs = ccs_scores(x, statements, parts["train"], seed)
    if ccs is not None:
        scores["ccs", ALL] = ccs
    erased = erased_scores(x, truth, parts["train"], parts["choose"], strength)
    area = auroc(scores["logistic", ALL][parts["choose"]].tolist(), truth[parts["choose"]].tolist())
    probes = {probe: linear for (probe, name), linear in found.items() if name == ALL}
    return Layer(scores, erased, area.value if area else 0.5, probes)


def others_joined(scores: dict[tuple[str, str], Floats], statements: Sequence[Statement]) -> dict[tuple[str, str], Floats]:
    """The sets "without <topic>" as one, "other topics": each statement scored by the probe that never saw its topic."""
    made = {place: values for place, values in scores.items() if not place[1].startswith("without ")}
    for probe in {probe for probe, name in scores if name.startswith("without ")}:
        rows = [scores[probe, f"without {s.topic}"][i] for i, s in enumerate(statements)]
        made[probe, OTHERS] = np.array(rows)
    return made


def fitted(x: Floats, sets: Sequence[TrainingSet], strength: float, seed: int) -> Iterator[tuple[str, str, Linear]]:
    """(probe, training set, probe on raw activations) for all the kinds of `x` (n, d) that need labels only."""
    for found, given in zip(logistic_probes(x, sets, strength), sets, strict=True):
        yield "logistic", given.name, found
    spread = standardised(x)[2]
    noise = np.random.default_rng(seed).normal(size=x.shape[1]) / spread
    for given in sets:
        rows, labels = x[given.rows], given.labels[given.rows]
        yield "mass_mean", given.name, mass_mean(rows, labels)
        yield "whitened_mass_mean", given.name, whitened_mass_mean(rows, labels)
        yield "random_direction", given.name, _signed(noise, rows, labels)


def logistic_probes(x: Floats, sets: Sequence[TrainingSet], strength: float) -> list[Linear]:
    """One logistic probe for each training set, all fitted in one pass over `x` standardised by the rows of the first."""
    _, mean, scale = standardised(x[sets[0].rows])
    normal = ((x - mean) / scale).astype(np.float32)
    labels = np.stack([given.labels for given in sets], 1).astype(np.float32)
    rows = np.stack([given.rows for given in sets], 1).astype(np.float32)
    used = rows.any(1)
    together = fit_logistic(normal[used], labels[used], strength, rows[used])
    return [raw(Linear(together.weights[:, i], together.bias[i]), mean, scale) for i in range(len(sets))]


def contrast_pairs(statements: Sequence[Statement], rows: Bools) -> tuple[list[int], list[int]]:
    """Row numbers of statements and of their negations, in the same order."""
    place = {(s.unit, s.kind, s.form): i for i, s in enumerate(statements) if rows[i]}
    pairs = [(i, place.get((unit, kind, "negated"))) for (unit, kind, form), i in place.items() if form == "affirmed"]
    whole = [(i, j) for i, j in pairs if j is not None]
    return [i for i, _ in whole], [j for _, j in whole]


def ccs_scores(x: Floats, statements: Sequence[Statement], train: Bools, seed: int) -> Floats | None:
    """(n,) scores of a CCS probe, each form by its own side; signed by the training labels; NaN for other forms.

    `None` without contrast pairs.
    """
    first, second = contrast_pairs(statements, train)
    if len(first) < 2:
        return None
    probe = fit_ccs(x[first], x[second], seed)
    truth = np.array([statements[i].label for i in first])
    scores = np.full(len(x), np.nan)
    for form, side in (("affirmed", probe.affirmed), ("negated", probe.negated)):
        chosen = np.array([s.form == form for s in statements])
        scores[chosen] = side.score(x[chosen])
    agrees = np.corrcoef(scores[first], truth)[0, 1] if np.ptp(scores[first]) > 0 else 0.0
    return scores if agrees >= 0 else -scores


def erased_scores(x: Floats, truth: Bools, train: Bools, fresh: Bools, strength: float) -> dict[tuple[str, str], Floats]:
    """Scores of logistic probes before and after LEACE was fitted to the training rows and their truth.

    The probes learn from the same rows, and from `fresh` ones that the eraser has not seen.
    """
    erased = fit_leace(x[train], truth[train].astype(np.float64)).erase(x).astype(np.float32)
    sets = [TrainingSet("same", train, truth), TrainingSet("fresh", fresh, truth)]
    return {
        (given.name, when): probe.score(values)
        for when, values in (("before", x), ("after", erased))
        for given, probe in zip(sets, logistic_probes(values, sets, strength), strict=True)
    }


def bag_of_words(
    statements: Sequence[Statement], sets: Sequence[TrainingSet], strength: float = 1.0
) -> dict[tuple[str, str], Floats]:
    """Scores (n,) of logistic regressions on word counts, by training set: what the words alone tell."""
    texts = [s.text.lower().rstrip(".").split() for s in statements]
    places = {word: i for i, word in enumerate(sorted({word for words in texts for word in words}))}
    counts = np.zeros((len(texts), len(places)), np.float32)
    for row, words in enumerate(texts):
        for word in words:
            counts[row, places[word]] += 1
    probes = zip(sets, logistic_probes(counts, sets, strength), strict=True)
    return others_joined({("bag_of_words", given.name): probe.score(counts) for given, probe in probes}, statements)


def _signed(direction: Floats, x: Floats, labels: Bools) -> Linear:
    """A given direction with the sign and the threshold that mass-mean would give it."""
    high, low = (float((x[part] @ direction).mean()) for part in (labels, ~labels))
    sign = 1.0 if high >= low else -1.0
    return Linear(sign * direction, np.asarray(-sign * (high + low) / 2))


def _shuffled(statements: Sequence[Statement], train: Bools, seed: int) -> Bools:
    """The truth turned round in half of each topic's training units; a coin for each would leave a little of it."""
    units = list(dict.fromkeys((s.topic, s.unit) for s, used in zip(statements, train, strict=True) if used))
    random.Random(f"{seed} shuffled").shuffle(units)
    turned = {unit for _, unit in sorted(units, key=lambda unit: unit[0])[::2]}
    return np.array([s.label != (s.unit in turned) for s in statements])
