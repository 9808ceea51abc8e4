"""Directions of character traits from contrastive prompts: monitor, steer, and predict what training will do.

Paper: Chen et al., Persona Vectors: Monitoring and Controlling Character Traits in Language Models (arXiv:2507.21509).
What differs: traits are files (`traits/*.md`) with example replies; the vector is by default made from those, read under the
contrastive instructions, since a small model does not follow the instructions by itself (`own_replies` gives the paper's
way); and no judge model scores a trait: it is scored by how much likelier the model finds replies that show it.

Unit: nats per token between replies that show the trait and replies that do not; held-out questions are the independent
units. Chance level: random directions of the same length, and the vector from shuffled labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from stepladder.core import (
    Access,
    Context,
    Finding,
    Method,
    Record,
    Request,
    StepladderError,
    Verdict,
    new_record,
    require_access,
)
from stepladder.core.errors import require_between
from stepladder.methods.interpretability import persona_measures as measures
from stepladder.methods.interpretability.persona_directions import (
    Array,
    Persona,
    Prompt,
    along,
    expression,
    likelihoods,
    made_from,
    mean_difference,
    prompt_ends,
    prompt_of,
    random_directions,
    reply_means,
    shuffled_difference,
)
from stepladder.methods.interpretability.persona_traits import Trait, chosen_traits

if TYPE_CHECKING:
    from stepladder.models import LocalModel

VECTORS = "vectors"
"""Role of the file with the traits' vectors, (width) each, named by trait; the layers are in its metadata."""


@dataclass(frozen=True)
class Config:
    """Which traits, how the vectors are made, and how hard they are tried."""

    traits: tuple[str, ...] = ("sycophancy", "rudeness")
    """Shipped traits to look at; `invention` is shipped too."""
    trait_file: str = ""
    """A trait file of your own, looked at besides them."""
    own_replies: bool = False
    """Make the vectors from the model's own replies to the instructions, as the paper does, not from the files' replies."""
    depths: tuple[float, ...] = (0.2, 0.35, 0.5, 0.65, 0.8)
    """Layers to choose from, as shares of the model's depth."""
    strengths: tuple[float, ...] = (-1.0, 1.0, 2.0)
    """How often the vector is added in steering."""
    controls: int = 2
    """Random directions to steer along for comparison."""
    epochs: float = 3.0
    """How often training sees each row."""
    rank: int = 8
    """Rank of the adapters that are trained; 0 trains none."""
    learning_rate: float = 5e-4
    """Highest learning rate."""
    prevention: float = 1.0
    """How often the vector is added while training preventatively."""
    max_tokens: int = 24
    """Longest reply of the model's own, in tokens."""

    def __post_init__(self) -> None:
        require_between(METHOD.name, "controls", self.controls, 1)
        require_between(METHOD.name, "rank", self.rank, 0)
        require_between(METHOD.name, "epochs", self.epochs, 0.5)
        require_between(METHOD.name, "depths", min(self.depths, default=-1), 0, 1)
        require_between(METHOD.name, "depths", max(self.depths), 0, 1)


def record(context: Context, config: Config) -> Record:
    """Extract each trait's vector, then monitor, steer, train and project."""
    from stepladder.methods.interpretability.persona_training import trainings

    subject = white_box(context)
    origin = cast("LocalModel", context.models.get("base", subject))
    traits = chosen_traits(config.traits, config.trait_file)
    personas = []
    with context.task("persona vectors", len(traits)) as advance:
        for trait in traits:
            personas.append(extract(context, origin, trait, config))
            advance(1)
    data: dict[str, Any] = {}
    with context.task("monitoring and steering", len(traits)) as advance:
        for persona in personas:
            data[persona.trait.name] = (
                described(persona) | monitored(context, subject, persona, config) | steered(subject, persona, config)
            )
            advance(1)
    sets = trainings(context, subject, origin, personas, config)
    return new_record(
        METHOD, context, config, data={"traits": data, "sets": sets}, artifacts={VECTORS: _save(context, personas)},
    )  # fmt: skip


def white_box(context: Context) -> LocalModel:
    """The subject, whose activations can be read and changed; raises `AccessError`."""
    require_access(context.subject, Access.weights, METHOD.name, ["smollm2", "hf/<id or folder>"])
    return cast("LocalModel", context.subject)


def extract(context: Context, model: LocalModel, trait: Trait, config: Config) -> Persona:
    """The trait's vector at the layer where adding it does most on extraction questions that it was not made from."""
    layers = sorted({min(int(depth * model.layers), model.layers - 1) for depth in config.depths})
    shows, avoids, questions = _replies(context, model, trait, layers, config)
    fit = [question % 2 == 0 for question in questions]
    half = mean_difference(shows[fit], avoids[fit])
    choosing = trait.extraction[1::2]
    prompts = [prompt_of(asked.question) for asked in choosing]
    before = expression(model, prompts, choosing)
    gains = {}
    for index, layer in enumerate(layers):
        with model.steer(layer, half[index].astype(np.float32)):
            gains[layer] = float((expression(model, prompts, choosing) - before).mean())
    best = max(range(len(layers)), key=lambda index: gains[layers[index]])
    vector = mean_difference(shows[:, best], avoids[:, best])
    seed = _seed(context.seed, trait.name)
    return Persona(
        trait, layers[best], vector, shuffled_difference(shows[:, best], avoids[:, best], seed),
        random_directions(vector, config.controls, seed), len(shows), gains,
    )  # fmt: skip


def _replies(
    context: Context, model: LocalModel, trait: Trait, layers: Sequence[int], config: Config
) -> tuple[Array, Array, list[int]]:
    """Mean activations of paired replies, (pairs, layers, width) twice, and the number of each pair's question."""
    pairs = trait.instructions[: made_from(trait)]
    asked = [(number, a, pair) for pair in pairs for number, a in enumerate(trait.extraction)]
    prompts = [prompt_of(a.question, system) for _, a, pair in asked for system in (pair.shows, pair.avoids)]
    replies = [text for _, a, _ in asked for text in (a.shows, a.avoids)]
    if config.own_replies:
        replies = _own_replies(context, model, trait, prompts, config)
    whole = [i for i in range(len(asked)) if replies[2 * i].strip() and replies[2 * i + 1].strip()]
    if len({asked[i][0] % 2 for i in whole}) < 2:
        raise StepladderError(f"{METHOD.name}: {model.name} gave too few replies to make a vector of {trait.name} from")
    rows = [row for i in whole for row in (2 * i, 2 * i + 1)]
    means = reply_means(model, [prompts[row] for row in rows], [replies[row] for row in rows], layers)
    return means[::2], means[1::2], [asked[i][0] for i in whole]


def _own_replies(context: Context, model: LocalModel, trait: Trait, prompts: Sequence[Prompt], config: Config) -> list[str]:
    """What the model itself says; "" where it gave nothing."""
    requests = [
        Request(id=f"own/{i}", messages=prompt, max_tokens=config.max_tokens, temperature=0.7, seed=context.seed)
        for i, prompt in enumerate(prompts)
    ]
    return [e.reply.text or "" for e in context.ask(model, requests, label=f"replies, {trait.name}")]


def described(persona: Persona) -> dict[str, Any]:
    """What is known of the vector itself."""
    return {
        "description": persona.trait.description, "layer": persona.layer, "norm": float(np.linalg.norm(persona.vector)),
        "pairs": persona.pairs, "gains": {str(layer): gain for layer, gain in persona.gains.items()},
        "questions": [asked.question for asked in persona.trait.held_out],
    }  # fmt: skip


def monitored(context: Context, subject: LocalModel, persona: Persona, config: Config) -> dict[str, Any]:
    """Projections of last prompt tokens and own replies beside what the subject would say, and of held-out replies."""
    trait = persona.trait
    systems = [("none", "")] + [(k, getattr(p, k)) for p in persona.instructions for k in ("shows", "avoids")]
    rows = [(q, kind, system) for q in range(len(trait.held_out)) for kind, system in systems]
    prompts = [prompt_of(trait.held_out[q].question, system) for q, _, system in rows]
    shown = expression(subject, prompts, [trait.held_out[q] for q, _, _ in rows])
    ends = _projected(prompt_ends(subject, prompts, [persona.layer])[:, 0], persona)
    own = _own_replies(context, subject, trait, prompts, config)
    given = [i for i, reply in enumerate(own) if reply.strip()]
    spoken = reply_means(subject, [prompts[i] for i in given], [own[i] for i in given], [persona.layer])[:, 0]
    replies = dict(zip(given, _projected(spoken, persona), strict=True))
    plain = [prompt_of(asked.question) for asked in trait.held_out for _ in range(2)]
    texts = [text for asked in trait.held_out for text in (asked.shows, asked.avoids)]
    said = _projected(reply_means(subject, plain, texts, [persona.layer])[:, 0], persona)
    return {
        "prompts": [
            {"question": q, "kind": kind, "expression": float(e), "end": p, "reply": replies.get(i)}
            for i, ((q, kind, _), e, p) in enumerate(zip(rows, shown, ends, strict=True))
        ],
        "replies": [{"question": i // 2, "shows": i % 2 == 0, **p} for i, p in enumerate(said)],
    }


def _projected(activations: Array, persona: Persona) -> list[dict[str, Any]]:
    """Coordinates of (n, width) along the vector and along those it is compared with, in lengths of the vector."""
    vectors = np.vstack([persona.vector, persona.shuffled, persona.random])
    places = along(activations, vectors) / (float(np.linalg.norm(persona.vector)) or 1.0)
    return [{"persona": float(row[0]), "shuffled": float(row[1]), "random": row[2:].tolist()} for row in places]


def steered(subject: LocalModel, persona: Persona, config: Config) -> dict[str, Any]:
    """Likelihoods of both replies to each held-out question, as it is and with each vector added."""
    asked = persona.trait.held_out
    prompts = [prompt_of(a.question) for a in asked]
    rows: list[dict[str, Any]] = [
        {"vector": "none", "strength": 0.0, "likelihoods": likelihoods(subject, prompts, asked).tolist()}
    ]
    vectors = {"persona": persona.vector, "shuffled": persona.shuffled}
    vectors |= {f"random {i}": vector for i, vector in enumerate(persona.random)}
    for strength in config.strengths:
        for name, vector in vectors.items():
            with subject.steer(persona.layer, vector.astype(np.float32), strength):
                found = likelihoods(subject, prompts, asked).tolist()
            rows.append({"vector": name, "strength": strength, "likelihoods": found})
    return {"steering": rows}


def _seed(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4], "big")


def _save(context: Context, personas: Sequence[Persona]) -> str:
    import torch
    from safetensors.torch import save_file

    context.folder.mkdir(parents=True, exist_ok=True)
    made = context.folder / ".vectors.safetensors"
    vectors = {p.trait.name: torch.from_numpy(p.vector.astype(np.float32)) for p in personas}
    save_file(vectors, made, metadata={p.trait.name: str(p.layer) for p in personas})
    made.replace(context.folder / "vectors.safetensors")
    return "vectors.safetensors"


def judge(record: Record, verdicts: Sequence[Verdict], config: Config) -> Finding:
    """Separation, monitoring, steering, training and prediction, each beside its chance level."""
    return Finding(
        method=METHOD.name, family=METHOD.family, subject=record.subject, record=record.key,
        measurements=tuple(measures.measurements(record.data)), limits=_LIMITS,
    )  # fmt: skip


_LIMITS = (
    "A trait is scored by the likelihood of short replies that people wrote, not by a judge reading what the model says.",
    "Replies that show a trait differ from others in wording as well: the vector holds both.",
    "Questions of one trait file are alike; another file for the same trait gives another vector.",
    "Prediction is checked on as many training sets as were trained here: few.",
)

METHOD = Method(
    name="persona_vectors", family="interpretability", access="weights", papers=("arXiv:2507.21509",),
    config=Config, record=record, judge=judge,
)  # fmt: skip
