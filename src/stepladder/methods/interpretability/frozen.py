"""One prompt with attention patterns, norms and gates held fixed, so that all that is left is linear (circuit tracing).

With the patterns, the divisors of the norms and the gates of the MLPs as this prompt has them, the stream is a sum of what
tokens and MLP features write, and each feature reads it linearly:

    feature f of layer l at token p = read_f . (sum over sources s of J_s write_s) + constant

J_s passes through the values and outputs of attention alone, never through another MLP. An edge is value_s (write_s . J_s^T
read_f): the edges into a feature, the errors' and the constant add up to its value (Ameisen et al., Circuit Tracing, 2025).

Features are the MLP's own neurons, for which nothing is left over, or the latents of a transcoder, which leaves an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from stepladder.core.errors import ModelUnavailable
from stepladder.methods.interpretability.circuits_model import CircuitModel
from stepladder.models.local.linear import fast_products

if TYPE_CHECKING:
    from stepladder.methods.interpretability.dictionary import Dictionary


@dataclass(frozen=True)
class Features:
    """What one MLP's features do on one prompt of n tokens, with F features and a stream of width d."""

    values: Tensor
    """(n, F)"""
    read: Callable[[int, int], Tensor]
    """(d,) for a token and a feature: value = read . input + constant"""
    writes: Tensor
    """(F, d)"""
    error: Tensor
    """(n, d): what the MLP writes besides the features"""


@dataclass(frozen=True)
class Frozen:
    """A prompt run through the frozen model: what can be written to, (n, d) each, and what reads it."""

    tokens: Tensor
    """(n, d): the embeddings, a source"""
    written: list[Tensor]
    """By layer: what its MLP writes, a source"""
    inputs: list[Tensor]
    """By layer: what its MLP reads"""
    final: Tensor
    """After the final norm"""
    features: list[Features]

    def edges(self, scalar: Tensor) -> tuple[Tensor, Tensor, float]:
        """Edges into a scalar that is linear in the sources: from tokens (n,), from features (layers, n, F), from errors.

        F is that of the layer with the most features; the last is the total of absolute values over layers and tokens.
        """
        sources = [self.tokens, *self.written]
        slopes = torch.autograd.grad(scalar, sources, retain_graph=True, allow_unused=True)
        known = [torch.zeros_like(s) if g is None else g for s, g in zip(sources, slopes, strict=True)]
        with torch.no_grad(), fast_products():
            from_tokens = (self.tokens * known[0]).sum(1)
            pairs = list(zip(self.features, known[1:], strict=True))
            each = [f.values * (g @ f.writes.T) for f, g in pairs]
            widest = max(found.shape[1] for found in each)
            from_features = torch.stack([pad(found, (0, widest - found.shape[1])) for found in each])
            errors = sum(float((f.error * g).sum(1).abs().sum()) for f, g in pairs)
        return from_tokens, from_features, errors

    def value(self, layer: int, token: int, feature: int) -> Tensor:
        """What a feature reads of the stream, as a scalar that can be differentiated: its value less its constant."""
        return (self.inputs[layer][token] * self.features[layer].read(token, feature)).sum()


def freeze(model: CircuitModel, tokens: Tensor, transcoders: Mapping[int, Dictionary] | None = None) -> Frozen:
    """Run (n,) token ids; layers named in `transcoders` have their latents as features, all others their neurons.

    Raises `ModelUnavailable` for architectures other than those with RMS norms and gated MLPs.
    """
    _require_known(model)
    sources: dict[int, Tensor] = {}
    inputs: dict[int, Tensor] = {}
    features: dict[int, Features] = {}

    def layer_forward(layer: int) -> Any:
        def forward(x: Tensor) -> Tensor:
            inputs[layer] = x[0]
            with torch.no_grad():
                chosen = (transcoders or {}).get(layer)
                written, features[layer] = (
                    _neurons(model.mlps[layer], x[0]) if chosen is None else _latents(model.mlps[layer], x[0], chosen)
                )
            sources[layer] = written.detach().requires_grad_()
            return sources[layer][None]

        return forward

    def embedded(module: Any, inputs_: Any) -> Any:
        sources[-1] = inputs_[0][0].detach().requires_grad_()
        return (sources[-1][None], *inputs_[1:])

    handle = model.stack[0].register_forward_pre_hook(embedded)
    forwards = {mlp: layer_forward(layer) for layer, mlp in enumerate(model.mlps)}
    try:
        with torch.enable_grad(), fast_products(), _held(model), _replaced(forwards):
            final = model.model.base_model(input_ids=tokens[None], use_cache=False).last_hidden_state[0]
    finally:
        handle.remove()
    order = range(model.layers)
    return Frozen(sources[-1], [sources[i] for i in order], [inputs[i] for i in order], final, [features[i] for i in order])


def _neurons(mlp: Any, x: Tensor) -> tuple[Tensor, Features]:
    """A neuron's value is gate * up, with the gate held fixed."""
    gate = mlp.act_fn(mlp.gate_proj(x))
    values = gate * mlp.up_proj(x)
    written = mlp.down_proj(values)
    writes = mlp.down_proj.weight.T
    rows = mlp.up_proj.weight
    return written, Features(values, lambda token, f: gate[token, f] * rows[f], writes, torch.zeros_like(x))


def _latents(mlp: Any, x: Tensor, transcoder: Dictionary) -> tuple[Tensor, Features]:
    written = mlp.down_proj(mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x))
    values = transcoder.encode(x)
    error = written - values @ transcoder.W_dec
    return written, Features(values, lambda token, f: transcoder.W_enc[:, f], transcoder.W_dec, error)


@contextmanager
def _held(model: CircuitModel) -> Iterator[None]:
    """Queries, keys and the divisors of norms are constants to the gradient."""

    def norm(module: Any) -> Any:
        def forward(x: Tensor) -> Tensor:
            divisor = (x.detach().square().mean(-1, keepdim=True) + module.variance_epsilon).rsqrt()
            scaled: Tensor = module.weight * (x * divisor)
            return scaled

        return forward

    norms = {m: norm(m) for m in model.model.base_model.modules() if hasattr(m, "variance_epsilon")}
    projections = [p for attention in model.attentions for p in (attention.q_proj, attention.k_proj)]
    handles = [p.register_forward_hook(lambda module, inputs, output: output.detach()) for p in projections]
    try:
        with _replaced(norms):
            yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _replaced(forwards: Mapping[Any, Any]) -> Iterator[None]:
    for module, forward in forwards.items():
        module.forward = forward
    try:
        yield
    finally:
        for module in forwards:
            del module.forward


def _require_known(model: CircuitModel) -> None:
    mlp, attention, layer = model.mlps[0], model.attentions[0], model.stack[0]
    gated = all(hasattr(mlp, name) for name in ("gate_proj", "up_proj", "down_proj", "act_fn"))
    norms = [module for module in layer.children() if hasattr(module, "variance_epsilon")]
    if not gated or not hasattr(attention, "q_proj") or len(norms) != 2:
        raise ModelUnavailable(
            "attribution graphs need RMS norms and gated MLPs (Llama, SmolLM, Mistral, Qwen2); "
            f"this is a {type(layer).__name__}"
        )
