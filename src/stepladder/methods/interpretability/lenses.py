"""Reading a prediction off every layer: the logit lens and the tuned lens.

    logit lens    softmax(W_U norm(h_l))                  the final norm and unembedding applied to the stream of layer l
    tuned lens    softmax(W_U norm(h_l + A_l h_l + b_l))  with an affine translator for each layer, fitted so that
                  KL(final distribution || lens) is small                                      (arXiv:2303.08112)

A translator begins at the ridge regression of the last stream on its layer's (in closed form, the strength chosen on tokens
set aside) and is then trained on the KL itself. Beginnings of documents are left out: their stream is many times as long as
any other and would be all that the regression sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stepladder.methods.interpretability.circuits_model import CircuitModel, Place
from stepladder.models.local.linear import fast_products

if TYPE_CHECKING:
    from pathlib import Path

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Strengths of the regression that are tried, in mean squares of the stream."""
BATCH, STEPS, LEARNING_RATE = 128, 24, 3e-4


@dataclass(frozen=True)
class Streams:
    """Tokens of some documents seen from inside: `at` maps layers to (tokens, d), `following` is each one's next token."""

    at: dict[int, Tensor]
    last: Tensor
    following: Tensor
    document: Tensor


@dataclass(frozen=True)
class Translator:
    """The affine map h -> h + A h + b of one layer: `A` (d, d), `b` (d)."""

    A: Tensor
    b: Tensor

    def __call__(self, stream: Tensor) -> Tensor:
        """(tokens, d) to (tokens, d)."""
        return stream + stream @ self.A.T + self.b


def read_streams(
    model: CircuitModel, documents: Sequence[Sequence[int]], layers: Sequence[int],
    advance: Callable[[int], None] = lambda _: None,
) -> Streams:  # fmt: skip
    """The streams after `layers` and after the last at every token that has one before and one after it."""
    wanted = [*layers, model.layers - 1]
    parts: dict[int, list[Tensor]] = {layer: [] for layer in wanted}
    following, numbers = [], []
    for number, tokens in enumerate(documents):
        row = torch.tensor([tokens], device=model.device)
        run = model.run(row, keep=[Place(layer, "residual") for layer in wanted], stop=model.layers - 1)
        for layer in parts:
            parts[layer].append(run.kept[Place(layer, "residual")][0, 1:-1])
        following.append(row[0, 2:])
        numbers.append(torch.full((len(tokens) - 2,), number))
        advance(1)
    joined = {layer: torch.cat(found) for layer, found in parts.items()}
    return Streams(
        {layer: joined[layer] for layer in layers}, joined[model.layers - 1], torch.cat(following), torch.cat(numbers)
    )


def fit_translators(
    model: CircuitModel, streams: Streams, seed: int, advance: Callable[[int], None] = lambda _: None
) -> dict[int, Translator]:
    """The translator of each layer of `streams`; all of them see the same batches."""
    begun = {layer: regression(stream, streams.last) for layer, stream in streams.at.items()}
    free = {layer: Translator(t.A.clone().requires_grad_(), t.b.clone().requires_grad_()) for layer, t in begun.items()}
    optimiser = torch.optim.Adam([weight for t in free.values() for weight in (t.A, t.b)], lr=LEARNING_RATE)
    generator = torch.Generator().manual_seed(seed)
    for step in range(STEPS):
        rows = torch.randint(len(streams.last), (BATCH,), generator=generator)
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / STEPS)
        optimiser.zero_grad()
        with fast_products():
            with torch.no_grad():
                target = log_probabilities(model, streams.last[rows])
            for layer, translator in free.items():
                found = log_probabilities(model, translator(streams.at[layer][rows]))
                divergence(target, found).mean().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        advance(1)
    return {layer: Translator(t.A.detach(), t.b.detach()) for layer, t in free.items()}


def regression(stream: Tensor, last: Tensor) -> Translator:
    """Ridge regression of what is still to be added, last - stream, on the stream; every eighth token chooses the strength.

    With strength to infinity A goes to 0 and only the mean of what is added remains.
    """
    held = torch.arange(len(stream)) % 8 == 0
    fitted = [_ridge(stream[~held], last[~held], strength) for strength in RIDGES]
    errors = [float((found(stream[held]) - last[held]).square().mean()) for found in fitted]
    return _ridge(stream, last, RIDGES[errors.index(min(errors))])


def _ridge(stream: Tensor, last: Tensor, strength: float) -> Translator:
    x, y = stream.double(), (last - stream).double()
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    penalty = strength * x.square().mean() * len(x)
    gram = x.T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype)
    A = torch.linalg.solve(gram, x.T @ y).T
    return Translator(A.float(), (mean_y - A @ mean_x).float())


def log_probabilities(model: CircuitModel, stream: Tensor) -> Tensor:
    """(tokens, vocabulary): log softmax of the unembedded stream."""
    return model.logits(model.norm(stream)).log_softmax(-1)


def divergence(target: Tensor, found: Tensor) -> Tensor:
    """(tokens,): KL(target || found) in nats, of log probabilities."""
    return (target.exp() * (target - found)).sum(-1)


@dataclass(frozen=True)
class Reading:
    """What a lens gives at each token: `kl` from the final distribution and the next token's `loss`, (tokens,) in nats."""

    kl: Tensor
    loss: Tensor


Lens = Callable[[slice], Tensor]
"""From rows of `Streams` to the log probabilities (rows, vocabulary) that it reads there."""


def stream_lens(model: CircuitModel, stream: Tensor, translator: Translator | None = None) -> Lens:
    """The logit lens on a stream (tokens, d); the tuned lens where a translator is given."""
    return lambda rows: log_probabilities(model, translator(stream[rows]) if translator else stream[rows])


def constant_lens(logp: Tensor) -> Lens:
    """One distribution (vocabulary,) at every token."""
    return lambda rows: logp


def mean_distribution(model: CircuitModel, last: Tensor) -> Tensor:
    """Log of the mean final distribution, (vocabulary,): of all constant predictions that with the least KL."""
    with torch.no_grad(), fast_products():
        total = sum(log_probabilities(model, part).exp().double().sum(0) for part in torch.split(last, BATCH))
    assert isinstance(total, Tensor)
    return (total / len(last)).log().float()


def read_lenses(
    model: CircuitModel, streams: Streams, lenses: Mapping[str, Lens], advance: Callable[[int], None] = lambda _: None
) -> dict[str, Reading]:
    """What each lens gives on all tokens of `streams`; the final distribution is computed once for all of them."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in lenses}
    with torch.no_grad(), fast_products():
        for start in range(0, len(streams.last), BATCH):
            rows = slice(start, start + BATCH)
            target = log_probabilities(model, streams.last[rows])
            following = streams.following[rows, None]
            for name, lens in lenses.items():
                logp = lens(rows).expand(len(target), -1)
                found[name].append((divergence(target, logp), -logp.gather(1, following)[:, 0]))
            advance(len(target))
    return {name: Reading(*(torch.cat(column) for column in zip(*pairs, strict=True))) for name, pairs in found.items()}


def save_translators(translators: dict[int, Translator], path: Path) -> None:
    """As safetensors, `<layer>.A` and `<layer>.b`; the file appears when it is whole."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".part")
    tensors = {f"{layer}.{name}": getattr(found, name) for layer, found in translators.items() for name in ("A", "b")}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, made)
    made.rename(path)


def load_translators(path: Path) -> dict[int, Translator]:
    """What `save_translators` wrote."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    return {int(n[:-2]): Translator(tensors[n], tensors[f"{n[:-2]}.b"]) for n in tensors if n.endswith(".A")}
