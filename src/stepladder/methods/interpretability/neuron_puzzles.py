"""How many neurons with a known answer does each explainer get right, and does the scorer know truth from falsehood?

Papers: Bills et al., Language models can explain neurons in language models (2023), who made neuron puzzles to test
explainers: sentences with the activations of a made-up neuron, what it truly stands for, and what it might be mistaken for.
What differs: a puzzle counts as solved where the label foretells sentences that it was not made from (r of at least 0.5),
and other puzzles' labels are put to the same sentences. The shipped puzzles are our own, with a distractor word that is
correlated with the neuron in the sentences to explain from, and the other way round in those to score on.

Unit: the puzzle; the planted neuron where one neuron is shown with several distractor correlations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepladder.core import Context, Finding, Measurement, Method, Record, Reply, Request, UnknownName, Verdict, new_record
from stepladder.core.errors import require_between
from stepladder.core.recording import cost_of
from stepladder.core.values import Baseline
from stepladder.judges.prompt import nonce_for, read_prompt
from stepladder.methods.interpretability import label_measures, label_scores
from stepladder.methods.interpretability.contexts import Contexts, Example
from stepladder.methods.interpretability.explainers import PROMPTS, Label
from stepladder.methods.interpretability.label_scorers import Item, Job, by_chat, row
from stepladder.methods.interpretability.labelling import Labelled, Unit, label_units
from stepladder.methods.interpretability.puzzle_reading import Puzzle, planted_puzzles, read_puzzles
from stepladder.stats import rate_measurement

SOLVERS = ("ngrams", "chat")
"""The logit lens needs a decoder row, which a made-up neuron has not."""
SCORERS = ("detection", "simulation")


@dataclass(frozen=True)
class Config:
    """Which puzzles, who solves them, and what counts as solved."""

    puzzles: str = ""
    """Published puzzles: their .json, .jsonl, or a folder of such. Empty: the planted ones of the package."""
    correlations: tuple[float, ...] = (0.0, 0.5, 1.0)
    """Of the distractor with the neuron, in the planted puzzles."""
    explainers: tuple[str, ...] = SOLVERS
    """Who solves: ngrams, chat (the helper)."""
    r: float = 0.5
    """Pearson's r on sentences that the label was not made from, from which a puzzle counts as solved."""

    def __post_init__(self) -> None:
        for name in self.explainers:
            if name not in SOLVERS:
                raise UnknownName("explainer", name, SOLVERS)
        for value in self.correlations:
            require_between("neuron_puzzles", "correlations", value, 0.0, 1.0)
        require_between("neuron_puzzles", "r", self.r, 0.0, 1.0)


def record(context: Context, config: Config) -> Record:
    """Explain, score with the label and with another puzzle's, and put true and false explanations to the helper."""
    puzzles = read_puzzles(Path(config.puzzles)) if config.puzzles else planted_puzzles(config.correlations, context.seed)
    units = [unit for number, puzzle in enumerate(puzzles) for unit in _units(number, puzzle)]
    made = label_units(context, units, config.explainers, SCORERS)
    choices, same, asked = _with_helper(context, puzzles, units, made) if context.helper else ([], [], [])
    data = {
        "puzzles": [{"name": p.name, "explanation": p.explanation, "correlation": p.correlation} for p in puzzles],
        "labels": {
            name: [label.text if label else None for label in labels] for name, labels in made.labels.items()
        },
        "of": [int(unit.name.split("/")[0]) for unit in units],
        "rows": list(_pooled(made.rows)),
        "choices": choices,
        "same": same,
    }  # fmt: skip
    return new_record(METHOD, context, config, data=data, cost=cost_of([*made.replies, *asked]))


def _units(number: int, puzzle: Puzzle) -> Iterator[Unit]:
    """One unit for each split of the puzzle's sentences; all splits of a neuron are one cluster."""
    for fold, (shown, held_out) in enumerate(puzzle.splits()):
        active, silent = _parted(shown)
        maximum = max((max(s.activations) for s in active), default=1.0)
        contexts = Contexts(number, maximum, active, silent, *_parted(held_out))
        yield Unit(f"{number}/{fold}", contexts, puzzle.name.split(",")[0])


def _parted(sentences: Sequence[Example]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    return tuple(s for s in sentences if any(s.activations)), tuple(s for s in sentences if not any(s.activations))


def _pooled(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows of a puzzle's splits as one, so that r is over all of its scored sentences."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for one in rows:
        place: tuple[str, ...] = (one["unit"].split("/")[0], one["cluster"], one["explainer"], one["scorer"], one["label"])
        groups.setdefault(place, []).append(one)
    for place, parts in groups.items():
        head: dict[str, Any] = dict(zip(("unit", "cluster", "explainer", "scorer", "label"), place, strict=True))
        # A split that leaves nothing to detect is no failure: its sentences count in the others' scores.
        known = [part for part in parts if "reason" not in part]
        missing = [
            part for part in parts if part.get("reason", "no questions could be made") != "no questions could be made"
        ]
        if missing or not known:
            yield {**head, "reason": (missing or parts)[0]["reason"]}
        else:
            fields = [name for name in ("documents", "sums", "truth", "predicted", "quantiles") if name in known[0]]
            yield {**head, **{name: [value for part in known for value in part[name]] for name in fields}}


# --- with a chat model: true against false explanations, and the machine's words against people's ---


def _with_helper(
    context: Context, puzzles: Sequence[Puzzle], units: Sequence[Unit], made: Labelled
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[Reply]]:
    choices, first = _choices(context, puzzles)
    same, second = _same(context, puzzles, units, made)
    return choices, same, [*first, *second]


def _choices(context: Context, puzzles: Sequence[Puzzle]) -> tuple[list[dict[str, Any]], list[Reply]]:
    """r of every explanation of every puzzle, the true one first, as the helper simulates them on all sentences."""
    assert context.helper is not None
    jobs = [
        Job(
            f"choice/{number}/{i}",
            Label(text, "people"),
            "simulation",
            tuple(Item(s, any(s.activations)) for s in p.sentences),
        )
        for number, p in enumerate(puzzles)
        for i, text in enumerate((p.explanation, *p.false_explanations))
    ]
    found, replies = by_chat(context, context.helper, jobs)
    rows: dict[int, list[float | None]] = {}
    for job in jobs:
        sums = row(job, found[job.id])["sums"]
        r = None if None in sums else label_scores.correlation(sums, range(len(sums))).value
        rows.setdefault(int(job.id.split("/")[1]), []).append(r)
    return [{"puzzle": number, "r": values} for number, values in rows.items()], replies


def _same(
    context: Context, puzzles: Sequence[Puzzle], units: Sequence[Unit], made: Labelled
) -> tuple[list[dict[str, Any]], list[Reply]]:
    """Does the helper take each label, and one false explanation of each puzzle, for what people say it is?"""
    assert context.helper is not None
    asked = [
        (int(unit.name.split("/")[0]), name, label.text)
        for name, labels in made.labels.items()
        for unit, label in zip(units, labels, strict=True)
        if label is not None
    ]
    asked += [(number, "false", puzzle.false_explanations[0]) for number, puzzle in enumerate(puzzles)]
    requests = [
        Request(
            id=f"same/{i}", max_tokens=8, seed=context.seed,
            messages=read_prompt(PROMPTS / "same.md").fill(
                first=puzzles[number].explanation, second=text, nonce=nonce_for(puzzles[number].explanation, text)
            ),
        )
        for i, (number, _, text) in enumerate(asked)
    ]  # fmt: skip
    exchanges = context.ask(context.helper, requests, label="labels against people's")
    said = [_yes(exchange.reply.text) for exchange in exchanges]
    rows = [{"puzzle": n, "of": name, "same": yes} for (n, name, _), yes in zip(asked, said, strict=True)]
    return rows, [exchange.reply for exchange in exchanges]


def _yes(text: str | None) -> float | None:
    word = re.match(r"\W*(yes|no)\b", text or "", re.IGNORECASE)
    return float(word[1].lower() == "yes") if word else None


# --- what it comes to ---


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """Puzzles solved by each explainer against other puzzles' labels, by distractor; and the helper on people's words."""
    data = record.data
    thresholds = {"detection": 0.75, "simulation": config.r}
    measured = label_measures.measurements(data["rows"], config.explainers, SCORERS, thresholds, {})
    correlations = {p["correlation"] for p in data["puzzles"]} - {None}
    for correlation in sorted(correlations) if len(correlations) > 1 else ():
        of = {str(i) for i, puzzle in enumerate(data["puzzles"]) if puzzle["correlation"] == correlation}
        part = [one for one in data["rows"] if one["unit"] in of and one["scorer"] == "simulation"]
        labels = {"distractor": f"{correlation:g}"}
        measured += label_measures.measurements(part, config.explainers, ("simulation",), thresholds, labels)
    measured += [_told_apart(data), *_agreement(data, config)]
    measured += label_measures.feature_scores(data["rows"], config.explainers, ("simulation",), {})
    return Finding(
        method=METHOD.name, family=METHOD.family, subject=record.subject, record=record.key,
        measurements=tuple(_named(m) for m in measured), examples=tuple(_examples(data)), limits=_LIMITS,
    )  # fmt: skip


def _named(m: Measurement) -> Measurement:
    names = {"labelled_share": "solved", "labelled_gain": "solved_gain", "feature_score": "puzzle_score"}
    return m.model_copy(update={"name": names.get(m.name, m.name)})


def _told_apart(data: Mapping[str, Any]) -> Measurement:
    """Share of puzzles whose true explanation the scorer puts above all false ones."""
    rows = data["choices"]
    if not rows:
        return Measurement(name="true_explanation_chosen", value=None, unit="share", n=0, reason="no helper")
    values = [None if None in r["r"] else float(r["r"][0] > max(r["r"][1:])) for r in rows]
    chance = sum(1 / len(r["r"]) for r in rows) / len(rows)
    neurons = [data["puzzles"][r["puzzle"]]["name"].split(",")[0] for r in rows]
    return rate_measurement(
        "true_explanation_chosen", values, neurons, baseline=Baseline(name="one of them at random", value=chance)
    )


def _agreement(data: Mapping[str, Any], config: Config) -> Iterator[Measurement]:
    """Share of labels that the helper takes for people's; baseline: false explanations that it takes for people's."""
    false = _same_rate(data, "false", None)
    for explainer in config.explainers:
        if not data["same"]:
            labels = {"explainer": explainer}
            yield Measurement(name="same_as_people", value=None, unit="share", n=0, reason="no helper", labels=labels)
        else:
            baseline = Baseline(name="a false explanation", value=false.value, interval=false.interval)
            yield _same_rate(data, explainer, baseline)


def _same_rate(data: Mapping[str, Any], of: str, baseline: Baseline | None) -> Measurement:
    rows = [r for r in data["same"] if r["of"] == of]
    neurons = [data["puzzles"][r["puzzle"]]["name"].split(",")[0] for r in rows]
    return rate_measurement(
        "same_as_people", [r["same"] for r in rows], neurons, labels={"explainer": of}, baseline=baseline
    )


def _examples(data: Mapping[str, Any]) -> Iterator[str]:
    first = {number: i for i, number in reversed(list(enumerate(data["of"])))}
    for number, puzzle in enumerate(data["puzzles"]):
        told = [f"{name}: {labels[first[number]]}" for name, labels in data["labels"].items() if labels[first[number]]]
        yield f"{puzzle['name']}: {puzzle['explanation']} — " + "; ".join(told)


_LIMITS = (
    "Puzzles are a dozen sentences each: a label may foretell the held-out ones by what the sentences happen to share.",
    "Solved means foretold: a label may be right about these sentences and say something else than the true explanation.",
)

METHOD = Method(
    name="neuron_puzzles", family="interpretability", access="chat",
    papers=("https://openaipublic.blob.core.windows.net/neuron-explainer/paper/index.html",),
    config=Config, record=record, judge=judge,
)  # fmt: skip
