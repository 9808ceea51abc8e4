"""How well a model predicts text when activations inside it are replaced: the loss behind "CE loss recovered".

The variants of one document run as the rows of one batch, so that they differ in nothing but what is spliced in. The first
token of a document is left as it is in every variant: at that position models keep activations a hundred times larger than
anywhere else (an attention sink), which belong to no text and would swamp every other number.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from stepladder.core import ModelUnavailable, UnknownName
from stepladder.models.local.generic import ATTENTIONS, MLPS, STACKS

if TYPE_CHECKING:
    from collections.abc import Iterator

SINK = 1
"""How many tokens at the beginning of a document are neither replaced nor measured."""


def site_module(model: Any, layer: int, site: str) -> Any:
    """The submodule of a transformers model whose output is the activation at `site` of `layer`."""
    stack = next((found for path in STACKS if (found := _submodule(model, path)) is not None), None)
    if stack is None:
        raise ModelUnavailable(f"where the layers of a {model.config.model_type} model lie is not known")
    if not 0 <= layer < len(stack):
        raise UnknownName("layer", str(layer), (f"0 to {len(stack) - 1}",))
    names = {"attention": ATTENTIONS, "mlp": MLPS, "residual": ()}
    if site not in names:
        raise UnknownName("site", site, tuple(names))
    block = stack[layer]
    return block if site == "residual" else next(getattr(block, name) for name in names[site] if hasattr(block, name))


def _submodule(model: Any, path: str) -> Any:
    try:
        return model.get_submodule(path)
    except AttributeError:
        return None


def document_losses(model: Any, module: Any, tokens: Sequence[int], splices: Sequence[Any]) -> np.ndarray:
    """Summed -log p in nats of all tokens after the first, shape (1 + splices,): untouched, then under each splice.

    `model` is a transformers causal language model, `module` the one of its submodules whose output is replaced. A splice
    goes from what went into that module and what came out of it, each (tokens, width), to what comes out instead.
    """
    import torch

    rows = torch.tensor([list(tokens)] * (1 + len(splices)), device=model.device)
    with torch.inference_mode(), _spliced(module, splices):
        logits = model(input_ids=rows, use_cache=False).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), rows[:, 1:], reduction="none")
    return losses.double().sum(1).cpu().numpy()


@contextmanager
def _spliced(module: Any, splices: Sequence[Any]) -> Iterator[None]:
    """Row 1 + i of the module's output replaced by `splices[i]` after the first token."""

    def replace(_: Any, arguments: Any, keywords: Any, output: Any) -> Any:
        first = output[0] if isinstance(output, tuple) else output
        given = arguments[0] if arguments else next(iter(keywords.values()))
        changed = first.clone()
        for row, splice in enumerate(splices, 1):
            changed[row, SINK:] = splice(given[row, SINK:], first[row, SINK:])
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    handle = module.register_forward_hook(replace, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def loss_recovered(clean: float, spliced: float, ablated: float) -> float | None:
    """(CE_ablated - CE_spliced) / (CE_ablated - CE_clean): 1 where nothing is lost, 0 where all that the site carries is.

    `None` where the ablation does not hurt: the site carries nothing whose loss could be recovered.
    """
    return (ablated - spliced) / (ablated - clean) if ablated > clean else None
