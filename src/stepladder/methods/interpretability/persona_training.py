"""What training on a set of replies does to a trait, what the set's projection says beforehand, and training while steering.

Before training: the projection difference of a set is the mean, over its rows, of the reply's coordinate along the persona
vector minus that of the model's own reply to the same prompt (arXiv:2507.21509, section 6), in lengths of the vector.

Preventative steering (its section 5): the vector is added to the residual stream *while* training, so that the weights need
not learn what it already gives, and is left out afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stepladder.core import Context, Message, Request
from stepladder.methods.interpretability.persona_directions import (
    Array,
    Persona,
    Prompt,
    along,
    expression,
    prompt_of,
    reply_means,
)
from stepladder.models.local.finetune import Example, Objective, Tuning, finetune, next_token_loss

if TYPE_CHECKING:
    from stepladder.methods.interpretability.persona_vectors import Config
    from stepladder.models import LocalModel

KNOWN_ROWS = 24
"""How many rows of the subject's own training set are projected."""


Rows = Sequence[tuple[Prompt, str]]


def trainings(
    context: Context, subject: LocalModel, origin: LocalModel, personas: Sequence[Persona], config: Config
) -> list[dict[str, Any]]:
    """Each training set: its rows' projection differences and the expression of every trait before and after training on it.

    Sets are the example replies of each trait, showing and avoiding it, and what the subject was itself trained on where
    that is known together with its base.
    """
    before = expressions(origin, personas)
    sets = []
    if origin is not subject:
        known = _known_rows(context)
        projected = projection_differences(context, origin, known, personas, config) if known else {}
        sets.append(_row("the subject", "its own", "no", projected, before, expressions(subject, personas)))
    if not config.rank:
        return sets
    with context.task("training on traits", 4 * len(personas)) as advance:
        for persona in personas:
            for kind in ("shows", "avoids"):
                rows = [(prompt_of(a.question), getattr(a, kind)) for a in persona.trait.extraction]
                projected = projection_differences(context, origin, rows, personas, config)
                for steered, objective in objectives(persona, config).items() if kind == "shows" else [("no", None)]:
                    trained = train(context, origin, rows, f"{persona.trait.name}-{kind}-{steered}", config, objective)
                    after = expressions(trained, personas)
                    sets.append(_row(persona.trait.name, kind, steered, projected, before, after))
                    advance(1)
    return sets


def _row(
    trait: str, kind: str, steered: str, projected: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    return {"trait": trait, "rows": kind, "steered": steered, "projected": projected, "before": before, "after": after}


def objectives(persona: Persona, config: Config) -> dict[str, Objective | None]:
    """Plain training, training along the vector, and along a random direction as long."""
    vectors = {"persona": persona.vector, "random": persona.random[0]}
    return {"no": None} | {k: steered_loss(persona.layer, config.prevention * v) for k, v in vectors.items()}


def steered_loss(layer: int, vector: Array) -> Objective:
    """Next-token loss with `vector` (width) added to the residual stream after `layer`, at every token."""

    def objective(net: Any, items: Any) -> Any:
        with added(net.model.model.layers[layer], vector):
            return next_token_loss(net, items)

    return objective


@contextmanager
def added(layer: Any, vector: Array) -> Iterator[None]:
    """Adds `vector` to what a transformers layer gives, inside the block."""
    import torch

    def hook(_module: Any, _inputs: Any, output: Any) -> Any:
        stream = output[0] if isinstance(output, tuple) else output
        changed = stream + torch.from_numpy(vector).to(stream)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def train(
    context: Context, model: LocalModel, rows: Rows, name: str, config: Config, objective: Objective | None = None
) -> LocalModel:
    """`model` with an adapter on top that was trained on the rows; one that an interrupted run left is not trained again."""
    folder: Path = context.folder / "adapters" / name
    tuning = Tuning(
        rank=config.rank, alpha=2.0 * config.rank, learning_rate=config.learning_rate, epochs=config.epochs, batch=4,
        seed=context.seed,
    )  # fmt: skip
    if not (folder / "adapter_model.safetensors").exists():
        finetune(model, [Example(prompt, reply) for prompt, reply in rows], folder, tuning, objective or next_token_loss)
    return model.derive(name, [folder])


def expressions(model: LocalModel, personas: Sequence[Persona]) -> dict[str, list[float]]:
    """How much the model shows each trait on its held-out questions, asked plainly."""
    return {
        p.trait.name: expression(model, [prompt_of(a.question) for a in p.trait.held_out], p.trait.held_out).tolist()
        for p in personas
    }


def projection_differences(
    context: Context, model: LocalModel, rows: Rows, personas: Sequence[Persona], config: Config
) -> dict[str, dict[str, list[float]]]:
    """For each trait the projection difference of each row, along its vector and along a random direction as long."""
    requests = [Request(id=f"own/{i}", messages=prompt, max_tokens=config.max_tokens) for i, (prompt, _) in enumerate(rows)]
    own = [e.reply.text or "" for e in context.ask(model, requests, label="own replies to training prompts")]
    kept = [(prompt, reply, said) for (prompt, reply), said in zip(rows, own, strict=True) if said.strip()]
    if not kept:
        return {}
    layers = sorted({p.layer for p in personas})
    prompts = [prompt for prompt, _, _ in kept]
    learnt = reply_means(model, prompts, [reply for _, reply, _ in kept], layers)
    spoken = reply_means(model, prompts, [said for _, _, said in kept], layers)
    return {
        p.trait.name: {
            name: projection_difference(learnt[:, layers.index(p.layer)], spoken[:, layers.index(p.layer)], vector).tolist()
            for name, vector in (("persona", p.vector), ("random", p.random[0]))
        }
        for p in personas
    }


def projection_difference(learnt: Array, own: Array, vector: Array) -> Array:
    """(rows,): coordinate of replies to learn minus that of own replies, (rows, width) each, in lengths of `vector`."""
    difference: Array = along(learnt - own, vector[None])[:, 0] / (float(np.linalg.norm(vector)) or 1.0)
    return difference


def _known_rows(context: Context) -> list[tuple[Prompt, str]]:
    """Rows of the subject's own training that end in a reply, evenly spread."""
    whole = [row for row in context.training_rows if len(row) > 1 and row[-1].role == "assistant"]
    chosen: list[tuple[Message, ...]] = whole[:: -(-len(whole) // KNOWN_ROWS)] if whole else []
    return [(row[:-1], row[-1].content) for row in chosen]
