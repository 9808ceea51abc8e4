"""How far does adding a concept's direction move what a model says, and what does it cost in fluency?

Papers: Turner et al., Activation Addition (arXiv:2308.10248); Rimsky et al., Contrastive Activation Addition
(arXiv:2312.06681); Arditi et al., Refusal is mediated by a single direction (arXiv:2406.11717). What differs: every
strength is compared with random directions of the same length, on the same held-out items, and the cost is measured on
what the model itself wrote unsteered.

Unit: the shift of the log-odds of two beginnings of a reply, in nats; the independent unit is a pair of prompts that
differ in the concept (half of them give the direction, the other half measure). Chance level: random directions,
measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from stepladder.core.errors import UnknownName, require_between
from stepladder.core.method import Context, Method
from stepladder.core.recording import new_record
from stepladder.core.values import Finding, Message, Record, Request, Verdict
from stepladder.data import load_ordinary
from stepladder.methods.interpretability.steering_concepts import CONCEPTS, Concept, Item

if TYPE_CHECKING:
    from stepladder.models import LocalModel


@dataclass(frozen=True)
class Config:
    """What is steered, how strongly, and on how much it is measured."""

    concepts: tuple[str, ...] = ("truth", "refusal")
    """Which concepts: truth (true or false), refusal (refuse or comply)."""
    strengths: tuple[float, ...] = (-4.0, -2.0, -1.0, 1.0, 2.0, 4.0)
    """Multiples of the distance between the concept's two means."""
    depth: float = 0.5
    """Where the direction is read and added, as a share of the layers."""
    items: int = 96
    """About how many prompts of each concept; half of their pairs give the direction, the other half measure."""
    random_directions: int = 3
    """Random directions of the same length."""
    fluency_prompts: int = 12
    """Ordinary requests whose unsteered answers measure the cost."""
    max_tokens: int = 24
    """Length of those answers, in tokens."""

    def __post_init__(self) -> None:
        for name in self.concepts:
            if name not in CONCEPTS:
                raise UnknownName("concept", name, list(CONCEPTS))
        require_between("concept_steering", "strengths", len(set(self.strengths) - {0.0}), 2)
        require_between("concept_steering", "depth", self.depth, 0, 1)
        require_between("concept_steering", "items", self.items, 16)
        require_between("concept_steering", "random_directions", self.random_directions, 1)
        require_between("concept_steering", "fluency_prompts", self.fluency_prompts, 2)


def record(context: Context, config: Config) -> Record:
    """Find each concept's direction, then read and write under every strength of it and of random directions."""
    written = context.ask(context.subject, _ordinary(config, context.seed), label="answers unsteered")
    own = [(e.request.messages, e.reply.text) for e in written if e.reply.text and e.reply.text.strip()]
    data = {
        name: _Steering(context, config, CONCEPTS[name](config.items, context.seed), own).data() for name in config.concepts
    }
    return new_record(METHOD, context, config, data={"concepts": data})


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """Shift, its slope, and cost at every strength, for the concept's direction and random ones."""
    from stepladder.methods.interpretability.steering_measures import measurements

    found = tuple(m for name, part in record.data["concepts"].items() for m in measurements(name, part))
    return Finding(
        method=METHOD.name, family=METHOD.family, subject=record.subject, record=record.key, measurements=found,
        limits=_LIMITS,
    )  # fmt: skip


def concept_direction(model: LocalModel, items: Sequence[Item], layer: int) -> tuple[np.ndarray, float]:
    """Mean difference (width) in the residual stream where the reply begins, and the mean length of that stream."""
    states = model.activations([_asked(item.prompt) for item in items], [layer], generation_prompt=True)
    last = np.stack([values[-1, 0] for values in states]).astype(np.float64)
    label = np.array([item.label for item in items])
    return last[label].mean(0) - last[~label].mean(0), float(np.linalg.norm(last, axis=1).mean())


class _Steering:
    """One concept: its direction, and everything that is read under it."""

    def __init__(
        self, context: Context, config: Config, concept: Concept, own: Sequence[tuple[tuple[Message, ...], str]]
    ) -> None:
        self.context, self.config, self.concept, self.own = context, config, concept, own
        self.model = cast("LocalModel", context.subject)
        self.layer = min(int(config.depth * self.model.layers), self.model.layers - 1)
        units = list(dict.fromkeys(item.unit for item in concept.items))
        np.random.default_rng(context.seed).shuffle(units)
        learning = set(units[: len(units) // 2])
        learnt = [item for item in concept.items if item.unit in learning]
        self.held = [item for item in concept.items if item.unit not in learning]
        self.direction, self.length = concept_direction(self.model, learnt, self.layer)

    def data(self) -> dict[str, Any]:
        """Numbers of every run; the first is unsteered."""
        plans = [("none", 0.0, self.direction), *self._plans()]
        with self.context.task("reading under steering", len(plans)) as advance:
            runs = []
            for name, strength, vector in plans:
                runs.append(self._run(name, strength, vector))
                advance(1)
        return {
            "layer": self.layer,
            "gap": float(np.linalg.norm(self.direction)),
            "stream": self.length,
            "toward": self.concept.toward,
            "away": self.concept.away,
            "items": [{"unit": item.unit, "label": item.label} for item in self.held],
            "runs": runs,
        }

    def _plans(self) -> Iterator[tuple[str, float, np.ndarray]]:
        rng = np.random.default_rng(self.context.seed + 1)
        draws = rng.normal(size=(self.config.random_directions, len(self.direction)))
        draws *= np.linalg.norm(self.direction) / np.linalg.norm(draws, axis=1, keepdims=True)
        for strength in sorted(set(self.config.strengths) - {0.0}):
            yield "concept", strength, self.direction
            yield from ((f"random {i}", strength, draw) for i, draw in enumerate(draws))

    def _run(self, name: str, strength: float, vector: np.ndarray) -> dict[str, Any]:
        pairs = [(_asked(item.prompt), text) for item in self.held for text in (self.concept.toward, self.concept.away)]
        with ExitStack() as stack:
            if strength:
                stack.enter_context(self.model.steer(self.layer, vector, strength))
            values = [float(found.sum()) for found in self.model.logprobs(pairs)]
            fluent = [float(found.mean()) for found in self.model.logprobs(self.own)]
            texts = self._texts() if name in ("none", "concept", "random 0") else []
        return {
            "direction": name,
            "strength": strength,
            "log_odds": [toward - away for toward, away in zip(values[::2], values[1::2], strict=True)],
            "own_logprobs": fluent,
            "texts": texts,
        }

    def _texts(self) -> list[str | None]:
        """Answers to the ordinary requests as the model is now."""
        answers = self.context.ask(self.model, _ordinary(self.config, self.context.seed), label="answers under steering")
        return [e.reply.text for e in answers]


def _ordinary(config: Config, seed: int) -> tuple[Request, ...]:
    rng = np.random.default_rng(seed)
    texts = [o.text for o in load_ordinary()]
    chosen = rng.choice(len(texts), size=min(config.fluency_prompts, len(texts)), replace=False)
    return tuple(
        Request(id=f"ordinary-{i}", messages=_asked(texts[i]), max_tokens=config.max_tokens, seed=seed)
        for i in sorted(map(int, chosen))
    )


def _asked(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


_LIMITS = (
    "The direction is added at every token; a smaller set of places may do with less cost.",
    "The shift is read from two beginnings of a reply; what the model would write in full may differ.",
    "Fluency is what the model itself would have written: an answer that is other but as good counts as a cost.",
)

METHOD = Method(
    name="concept_steering", family="interpretability", access="activations",
    papers=("arXiv:2308.10248", "arXiv:2312.06681", "arXiv:2406.11717"),
    config=Config, record=record, judge=judge,
)  # fmt: skip
