"""Which heads continue what was seen before? Prefix matching and copying of every head, and what is lost without them.

Paper: Olsson et al., In-context Learning and Induction Heads (arXiv:2209.11895). What differs: every score stands beside
the same attention on sequences whose second half is permuted, which tells heads that match from heads that look at a fixed
distance; a head is named only where the difference is above the threshold with an interval that holds for all heads
together; and the named heads are ablated on other sequences, beside as many random heads.

Unit: the sequence of random tokens. Trivial baselines: the permuted sequences, one half for copying, and random heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from stepladder.core import Access, Context, Finding, Method, Record, Verdict, new_record, require_access
from stepladder.core.errors import StepladderError, require_between
from stepladder.methods.interpretability import induction_measures
from stepladder.methods.interpretability.circuit_tasks import drawable

if TYPE_CHECKING:
    from torch import Tensor

    from stepladder.methods.interpretability.circuits_model import CircuitModel
    from stepladder.models import LocalModel

GIVERS = ["smollm2", "hf/<id or folder>"]
DIGITS = 6


@dataclass(frozen=True)
class Config:
    """How many sequences, how long, and what counts as an induction head."""

    sequences: int = 16
    """Sequences of random tokens on which heads are scored; as many others show what ablating them costs."""
    length: int = 25
    """Length of the repeated segment, in tokens."""
    threshold: float = 0.3
    """How far prefix matching has to lie above that on permuted sequences, at the lower end of its interval."""
    draws: int = 6
    """How often as many heads are drawn at random, for comparison."""

    def __post_init__(self) -> None:
        require_between("induction_heads", "sequences", self.sequences, 4)
        require_between("induction_heads", "length", self.length, 4)
        require_between("induction_heads", "threshold", self.threshold, 0.0, 1.0)
        require_between("induction_heads", "draws", self.draws, 2)


def record(context: Context, config: Config) -> Record:
    """Score every head, name those that pass, and ablate them on sequences that did not name them."""
    require_access(context.subject, Access.weights, METHOD.name, GIVERS)
    from stepladder.methods.interpretability.circuits_model import CircuitModel

    subject = cast("LocalModel", context.subject)
    vocabulary = drawable(subject.chat_format.tokenizer)
    if len(vocabulary) < config.length:
        raise StepladderError(f"induction_heads: length is {config.length}; the model has {len(vocabulary)} tokens to draw")
    data = study(context, CircuitModel(subject.weights("eager")), vocabulary, config)
    return new_record(METHOD, context, config, data=data)


def study(context: Context, model: CircuitModel, vocabulary: Sequence[int], config: Config) -> dict[str, Any]:
    """Scores by sequence and head, the names, and losses by sequence with and without them."""
    from stepladder.methods.interpretability import induction

    seed = context.seed
    first = induction.segments(config.sequences, config.length, vocabulary, seed).to(model.device)
    with context.task("scoring heads", 2 * len(first)) as advance:
        matching, copying = induction.scores(model, first, advance)
        plain = induction.prefix_matching(model, induction.permuted(first, seed), advance)
    scores = {"matching": _by_head(matching), "permuted": _by_head(plain), "copying": _by_head(copying)}
    names = [f"{layer}.{head}" for layer in range(model.layers) for head in range(model.heads)]
    named = induction_measures.named(names, scores, config.threshold)
    other = induction.segments(config.sequences, config.length, vocabulary, seed + 1).to(model.device)
    losses = _losses(context, model, induction.repeated(other), names, named, config)
    return {"names": names, "scores": scores, "named": named, "losses": losses}


def _losses(
    context: Context, model: CircuitModel, tokens: Tensor, names: Sequence[str], named: Sequence[str], config: Config
) -> dict[str, Any]:
    """Loss over both segments by sequence: intact, without the named heads, and without each draw of random ones."""
    import random

    from stepladder.methods.interpretability import induction, patching

    heads = dict(zip(names, patching.heads_of(model), strict=True))
    rest = [name for name in names if name not in named]
    rng = random.Random(context.seed)
    draws = [rng.sample(rest, min(len(named), len(rest))) for _ in range(config.draws)]
    means = patching.mean_values(model.run(tokens, keep=list(dict.fromkeys(head.place for head in heads.values()))))

    def without(group: Sequence[str]) -> Any:
        return induction.losses(model, tokens, patching.changes_of([heads[name] for name in group], means)).tolist()

    with context.task("ablating heads", len(draws) + 2) as advance:
        found: dict[str, Any] = {"intact": induction.losses(model, tokens).tolist()}
        advance(1)
        if named:
            found |= {"named": without(named), "random": []}
            for drawn in draws:
                found["random"].append(without(drawn))
                advance(1)
    return found


def _by_head(scores: Tensor) -> list[list[float]]:
    """(sequences, heads) in the order of the names, rounded so that equal work gives equal records."""
    flat: list[list[float]] = scores.flatten(1).double().mul(10**DIGITS).round().div(10**DIGITS).tolist()
    return flat


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """The best heads' scores, how many are named, and what their ablation does to the in-context loss."""
    return Finding(
        method=METHOD.name, family=METHOD.family, subject=record.subject, record=record.key,
        measurements=tuple(induction_measures.measurements(dict(record.data))), limits=_LIMITS,
    )  # fmt: skip


_LIMITS = (
    "Random tokens show the mechanism alone: heads that match words of like meaning in text are not scored.",
    "Heads that do the same work stand in for each other: ablating all named ones shows their joint part, not each one's.",
    "Earlier heads that the named ones read from (previous-token heads) are part of the circuit and are not named.",
)

METHOD = Method(
    name="induction_heads", family="interpretability", access="weights", papers=("arXiv:2209.11895",),
    config=Config, record=record, judge=judge,
)  # fmt: skip
