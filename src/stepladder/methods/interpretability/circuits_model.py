"""A transformers causal language model opened for circuit work: read any head, MLP or stream, change it, differentiate it.

Places of a model with L layers, H heads of width w, and a residual stream of width d:

* `heads` of layer l: what the heads hand to the output projection, (rows, tokens, H, w);
* `mlp` of layer l: what the MLP adds to the stream, (rows, tokens, d);
* `residual` of layer l: the stream after the layer, (rows, tokens, d); layer -1 is the embedding;
* `pattern` of layer l: attention from each token to each, (rows, H, tokens, tokens), which can be read but not changed, and
  only where the model was loaded with transformers' "eager" attention.

A run can begin at any layer from a stream that is already known and end after any layer, so that what lies before a change
is never computed twice. Sequences are padded on the right, where a causal model cannot see the padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from stepladder.core.errors import ModelUnavailable
from stepladder.models.local.generic import ATTENTIONS, MLPS, STACKS
from stepladder.models.local.linear import fast_products

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PROJECTIONS = ("o_proj", "c_proj", "out_proj", "dense")
"""Names that the attention's output projection has in transformers."""


class Place(NamedTuple):
    """A site of a layer; see the module's docstring."""

    layer: int
    site: str


@dataclass
class Run:
    """The stream after the final norm, (rows, tokens, d) (`None` where the run ended early), and what was kept."""

    hidden: Tensor | None = None
    kept: dict[Place, Tensor] = field(default_factory=dict)


Changes = Mapping[Place, "Callable[[Tensor], Tensor]"]


class _Stop(Exception):
    """Raised by a hook when nothing after its layer is wanted."""


class CircuitModel:
    """A transformers model in float32 whose parameters are held fixed; `places` gives all that can be read or changed.

    Raises `ModelUnavailable` where the layers, or the projection of the heads, are not where a known architecture has them.
    """

    def __init__(self, model: Any) -> None:
        self.model = model.eval().requires_grad_(False)
        self.stack = list(_submodule(model, STACKS))
        self.config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
        self.attentions = [_child(layer, ATTENTIONS) for layer in self.stack]
        self.projections = [_child(attention, PROJECTIONS) for attention in self.attentions]
        self.mlps = [_child(layer, MLPS) for layer in self.stack]
        self.layers, self.heads, self.width = len(self.stack), self.config.num_attention_heads, self.config.hidden_size
        self._tuples = self._gives_tuples()

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return next(iter(self.model.parameters())).device  # type: ignore[no-any-return]

    def _gives_tuples(self) -> bool:
        """Whether a layer hands on a tuple, as some architectures do."""
        import torch

        seen: list[bool] = []
        handle = self.stack[0].register_forward_hook(lambda module, inputs, output: seen.append(isinstance(output, tuple)))
        with torch.no_grad():
            self.model.base_model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=self.device), use_cache=False)
        handle.remove()
        return seen[0]

    @property
    def places(self) -> list[Place]:
        """Every place that can be changed, in the order in which a run passes it."""
        inner = [Place(layer, site) for layer in range(self.layers) for site in ("heads", "mlp", "residual")]
        return [Place(-1, "residual"), *inner]

    def run(
        self, tokens: Tensor, changes: Changes | None = None, keep: Sequence[Place] = (), *,
        start: tuple[int, Tensor] | None = None, stop: int | None = None, grad: bool = False, prefix: Any = None,
    ) -> Run:  # fmt: skip
        """Run (rows, tokens) of token ids; `changes` are applied as their place is passed, `keep` sees what they made.

        `start = (layer, stream)` begins at that layer (1 or later) from the stream before it; `stop` ends after a layer.
        With `grad` the kept values can be differentiated against. `prefix` is what `read_prefix` made of the tokens before,
        and is used up.
        """
        import torch

        how = {"use_cache": False} if prefix is None else {"past_key_values": prefix, "use_cache": True}
        taps = _Taps(changes or {}, frozenset(keep), grad)
        run = Run(kept=taps.kept)
        with torch.set_grad_enabled(grad), fast_products(), self._skipping(start), self._hooked(taps, stop), suppress(_Stop):
            run.hidden = self.model.base_model(input_ids=tokens, **how).last_hidden_state
        return run

    def read_prefix(self, tokens: Tensor) -> Any:
        """Keys and values of (rows, tokens), transformers' cache, for runs that go on from there; `None` for no tokens."""
        import torch

        if not tokens.shape[1]:
            return None
        with torch.no_grad(), fast_products():
            return self.model.base_model(input_ids=tokens, use_cache=True).past_key_values

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (..., vocabulary) of streams after the final norm."""
        logits: Tensor = self.model.get_output_embeddings()(hidden).float()
        cap = getattr(self.config, "final_logit_softcapping", None)
        return cap * (logits / cap).tanh() if cap else logits

    def last(self, hidden: Tensor) -> Tensor:
        """Logits (rows, vocabulary) after the last token."""
        return self.logits(hidden[:, -1])

    def norm(self, stream: Tensor) -> Tensor:
        """The final norm, which lies between the last layer's stream and the logits."""
        normed: Tensor = _child(self.model.base_model, ("norm", "ln_f", "final_layer_norm", "final_layernorm"))(stream)
        return normed

    def contribution(self, layer: int, head: int, values: Tensor) -> Tensor:
        """(..., d): what the output projection makes of one head's values (..., w)."""
        import torch

        every = values.new_zeros(*values.shape[:-1], self.heads, values.shape[-1])
        every[..., head, :] = values
        project = self.projections[layer]
        with torch.no_grad(), fast_products():
            added: Tensor = project(every.flatten(-2)) - project(torch.zeros_like(every).flatten(-2))
        return added

    @contextmanager
    def _skipping(self, start: tuple[int, Tensor] | None) -> Iterator[None]:
        """Layers before the start hand on the stream that is already known."""
        layer, stream = start or (0, None)
        for skipped in self.stack[:layer]:
            skipped.forward = lambda *args, **kwargs: (stream,) if self._tuples else stream
        try:
            yield
        finally:
            for skipped in self.stack[:layer]:
                del skipped.forward

    @contextmanager
    def _hooked(self, taps: _Taps, stop: int | None) -> Iterator[None]:
        handles = [self._hook(place, taps) for place in dict.fromkeys([*taps.changes, *taps.keep])]
        if stop is not None:
            handles.append(self.stack[stop].register_forward_hook(_stop))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, place: Place, taps: _Taps) -> Any:
        layer, site = place
        if site == "heads":
            return self.projections[layer].register_forward_pre_hook(
                lambda module, inputs: (taps(place, inputs[0].unflatten(-1, (self.heads, -1))).flatten(-2), *inputs[1:])
            )
        if site == "residual" and layer < 0:
            return self.stack[0].register_forward_pre_hook(lambda module, inputs: (taps(place, inputs[0]), *inputs[1:]))
        if site == "pattern":
            return self.attentions[layer].register_forward_hook(lambda module, inputs, output: _pattern(output, taps, place))
        module = self.mlps[layer] if site == "mlp" else self.stack[layer]
        return module.register_forward_hook(lambda module, inputs, output: _replaced(output, taps, place))


@dataclass
class _Taps:
    changes: Changes
    keep: frozenset[Place]
    grad: bool
    kept: dict[Place, Any] = field(default_factory=dict)

    def __call__(self, place: Place, value: Any) -> Any:
        if place in self.changes:
            value = self.changes[place](value)
        if place in self.keep:
            if self.grad and not value.requires_grad:
                value = value.detach().requires_grad_()
            self.kept[place] = value
        return value


def _replaced(output: Any, taps: _Taps, place: Place) -> Any:
    """What a module gave, be it a tensor or a tuple that begins with one, with the taps applied."""
    return (taps(place, output[0]), *output[1:]) if isinstance(output, tuple) else taps(place, output)


def _pattern(output: Any, taps: _Taps, place: Place) -> None:
    """Keep the pattern that an attention module gives beside its output."""
    if not isinstance(output, tuple) or output[1] is None:
        raise ModelUnavailable('attention patterns need a model loaded with attention="eager"')
    taps(place, output[1])


def _stop(module: Any, inputs: Any, output: Any) -> None:
    raise _Stop


def _submodule(model: Any, paths: Sequence[str]) -> Any:
    for path in paths:
        try:
            return model.get_submodule(path)
        except AttributeError:
            continue
    raise ModelUnavailable(f"where the layers of a {type(model).__name__} lie is not known; known: {', '.join(paths)}")


def _child(module: Any, names: Sequence[str]) -> Any:
    for name in names:
        if hasattr(module, name):
            return getattr(module, name)
    raise ModelUnavailable(f"circuits: a {type(module).__name__} has none of {', '.join(names)}")
