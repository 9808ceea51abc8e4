"""What inside the subject separates the attacks that got through from those that it refused, and does it decide?

Papers: Arditi et al., Refusal in Language Models Is Mediated by a Single Direction (arXiv:2406.11717) for differences of
means, steering and ablation; Marks et al., Sparse Feature Circuits (arXiv:2403.19647) for latents that are changed to see
what they cause. What differs: success is set against refusal on the red team's own harmful prompts, not harmful prompts
against harmless ones; all is measured on behaviours that nothing was fitted on, beside the attack's family, the words of
the prompt, and random directions, heads and latents.

Unit: AUROC, log-odds of beginning to comply, and success rates; behaviours are the independent units. Chance level: what
the same reading gives for a direction, head or latent drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from stepladder.core import (
    Access,
    Context,
    Exchange,
    Finding,
    Method,
    Record,
    StepladderError,
    Verdict,
    new_record,
    require_access,
)
from stepladder.core.errors import require_between
from stepladder.methods.interpretability import success_measures as measures
from stepladder.methods.interpretability.success_cases import Case, Cases, read_cases

if TYPE_CHECKING:
    from stepladder.methods.interpretability.dictionary import Dictionary
    from stepladder.methods.interpretability.success_directions import Array, Found
    from stepladder.models import LocalModel

INPUT_RECORD = "attack_library"


@dataclass(frozen=True)
class Config:
    """What is read, and how hard is pushed."""

    rows: int = 240
    """At most this many answers, successes and refusals in equal parts as far as there are."""
    longest: int = 256
    """Longest prompt that is read, in tokens."""
    depths: tuple[float, ...] = (0.2, 0.35, 0.5, 0.65, 0.8)
    """Layers to choose from, as shares of the model's depth."""
    heads: int = 5
    """How many heads to name."""
    dictionary: str = ""
    """Folder of a sparse dictionary of the residual stream, in SAELens's or sparsify's format; empty: no latents."""
    latents: int = 5
    """How many latents to name."""
    checked: int = 32
    """Held-out prompts of the causal check."""
    strength: float = 1.0
    """Length of a push, in lengths of the direction."""
    controls: int = 3
    """Random directions in the causal check."""

    def __post_init__(self) -> None:
        for name, least in (("rows", 32), ("checked", 8), ("controls", 1), ("heads", 0), ("latents", 0)):
            require_between(METHOD.name, name, getattr(self, name), least)
        require_between(METHOD.name, "depths", min(self.depths, default=-1), 0, 1)
        require_between(METHOD.name, "depths", max(self.depths), 0, 1)


def record(context: Context, config: Config) -> Record:
    """Read the red team's answers, find what separates them, and push along it."""
    require_access(context.subject, Access.weights, METHOD.name, ["smollm2", "hf/<id or folder>"])
    subject = cast("LocalModel", context.subject)
    library, verdicts = context.inputs.get(INPUT_RECORD), context.verdicts.get(INPUT_RECORD, ())
    if library is None:
        raise StepladderError(f"{METHOD.name} needs a record of {INPUT_RECORD} and verdicts on it")
    cases = read_cases(library, verdicts, config.rows, config.longest, context.seed)
    data = _counts(cases)
    reason = cases.reason()
    if reason:
        return new_record(METHOD, context, config, data=data | {"reason": reason})
    read, causes, exchanges = _explained(context, subject, cases, config)
    return new_record(METHOD, context, config, exchanges, data=data | read | causes)


def _counts(cases: Cases) -> dict[str, Any]:
    successes = sum(case.success for case in cases.all)
    return {
        "successes": successes, "refusals": len(cases.all) - successes, "left_out": cases.left_out,
        "too_long": cases.too_long,
    }  # fmt: skip


def _explained(
    context: Context, subject: LocalModel, cases: Cases, config: Config
) -> tuple[dict[str, Any], dict[str, Any], list[Exchange]]:
    """What separates, with its labels; what pushing did; and the answers under it."""
    from stepladder.methods.interpretability import success_causes as causes
    from stepladder.methods.interpretability import success_directions as directions

    layers = sorted({min(int(depth * subject.layers), subject.layers - 1) for depth in config.depths})
    with context.task("reading the red team's prompts", 1) as advance:
        stream = directions.last_tokens(subject, cases.all, layers, "residual")
        found = [directions.separating_direction(stream, layers, cases, context.seed)]
        found += _parts(subject, cases, layers, config, context.seed)
        advance(1)
    checked = causes.checked_cases(cases, config.checked)
    begins = causes.openings(cases.fit)
    tried = [found[0], *(f for f in found if f.by == "latent")]
    main, length = found[0], config.strength * float(np.linalg.norm(found[0].direction))
    middle = _middle(stream[:, layers.index(main.layer)], cases)
    steered, without = [], []
    if all(begins.values()):
        with context.task("pushing and taking away", 2) as advance:
            steered = causes.pushed(subject, tried, checked, begins, length, config.controls, context.seed)
            advance(1)
            without = causes.ablated(subject, main, checked, begins, middle, config.controls, context.seed)
            advance(1)
    exchanges = causes.answered(context, subject, main, checked, config.strength, context.seed)
    read = {
        "held_out": [_case(case) for case in cases.held_out],
        "trivial": {name: scores.tolist() for name, scores in directions.trivial_scores(cases).items()},
        "found": _described(subject, found),
        "queries": _queries(cases, main),
    }
    pushes = {
        "checked": [_case(case) for case in checked],
        "openings": {"success": list(begins[True]), "refusal": list(begins[False])},
        "pushed": steered, "ablated": without,
    }  # fmt: skip
    return read, pushes, exchanges


def _case(case: Case) -> dict[str, Any]:
    return {"id": case.exchange.id, "success": case.success, "behaviour": case.behaviour, "family": case.family}


def _parts(subject: LocalModel, cases: Cases, layers: Sequence[int], config: Config, seed: int) -> list[Found]:
    """The heads and, where a dictionary is given, the latents."""
    from stepladder.methods.interpretability import success_directions as directions
    from stepladder.methods.interpretability.success_labels import HeadWriter

    found: list[Found] = []
    if config.heads:
        writer = HeadWriter(subject)
        read = directions.last_tokens(subject, cases.all, layers, "heads")
        found += directions.separating_heads(read, layers, writer.heads, cases, config.heads, writer, seed)
    if config.dictionary:
        dictionary = _dictionary(subject, config.dictionary)
        there = directions.last_tokens(subject, cases.all, [dictionary.layer], "residual")[:, 0]
        found += directions.separating_latents(there, dictionary, cases, config.latents, seed)
    return found


def _dictionary(subject: LocalModel, folder: str) -> Dictionary:
    from stepladder.methods.interpretability.saelens import load_dictionary

    dictionary = load_dictionary(Path(folder))
    if dictionary.site != "residual" or dictionary.d_in != subject.width or dictionary.layer >= subject.layers:
        raise StepladderError(
            f"{METHOD.name}: the dictionary in {folder} reads {dictionary.site} of width {dictionary.d_in} at layer "
            f"{dictionary.layer}; needed: residual of width {subject.width} below layer {subject.layers}"
        )
    return dictionary


def _middle(read: Array, cases: Cases) -> Array:
    """Half way between the mean success and the mean refusal of the cases to learn from; `read` is (cases, width)."""
    fit = [(x, case.success) for x, case in zip(read, cases.all, strict=True) if not case.held_out]
    means = [np.mean([x for x, success in fit if success == kind], axis=0) for kind in (True, False)]
    return cast("Array", (means[0] + means[1]) / 2)


def _described(subject: LocalModel, found: Sequence[Found]) -> list[dict[str, Any]]:
    """Each thing found with its label, and its scores."""
    from stepladder.methods.interpretability.success_labels import labels

    return [
        {
            "by": one.by, "place": one.place, "layer": one.layer, "number": one.number, "label": label,
            "scores": one.scores.tolist(), "random": one.random.tolist(),
        }
        for one, label in zip(found, labels(subject, [one.direction for one in found]), strict=True)
    ]  # fmt: skip


def _queries(cases: Cases, main: Found) -> list[dict[str, Any]]:
    """The held-out successes that lie furthest along the direction: what to ask an attribution technique about."""
    order = [i for i in np.argsort(main.scores, kind="stable")[::-1] if cases.held_out[i].success][:10]
    return [
        {
            "exchange": case.exchange.id, "messages": [m.model_dump() for m in case.exchange.request.messages],
            "reply": case.exchange.reply.text,
        }
        for case in (cases.held_out[i] for i in order)
    ]  # fmt: skip


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """Separation on held-out behaviours and what pushing changed, each beside chance."""
    return Finding(
        method=METHOD.name, family=METHOD.family, subject=record.subject, record=record.key,
        judge=", ".join(sorted({verdict.judge for verdict in verdicts})),
        measurements=tuple(measures.measurements(record, verdicts)),
        examples=tuple(query["exchange"] for query in record.data.get("queries", ())), limits=_LIMITS,
    )  # fmt: skip


_LIMITS = (
    "Success and refusal are a judge's; answers that are neither are left out.",
    "What separates at the last prompt token may itself be read from the attack's wording: see the trivial rules beside it.",
    "Pushing at every token is stronger than anything the model does by itself; taking away is at one layer and one token.",
    "Labels are the tokens that a direction promotes directly, not an account of what it stands for.",
)

METHOD = Method(
    name="explain_success", family="interpretability", access="weights",
    papers=("arXiv:2406.11717", "arXiv:2403.19647"),
    config=Config, record=record, judge=judge, needs=(INPUT_RECORD,),
)  # fmt: skip
