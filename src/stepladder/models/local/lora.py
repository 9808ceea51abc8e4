"""LoRA for training: one product with the merged weight instead of three, saved in peft's format.

    y = x (W + s B A)^T        forward, the sum formed once a step (a rank-r update of W costs next to nothing)
    dx = dy (W + s B A)        backward; W itself gets no gradient
    dA = s (dy B)^T x          dB = s dy^T (x A^T)

The numbers are those of peft's layer without dropout (the tests compare them). W stays in the precision of the products,
A and B in float32. Layers below the first adapted one keep nothing for the backward pass. arXiv:2106.09685.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stepladder.core.errors import ModelUnavailable
from stepladder.models.local.loading import quiet_transformers

MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of a block that are adapted by default: all of them."""


class _Merged(torch.autograd.Function):
    """x (..., in) times the merged weight; W (out, in), A (r, in), B (out, r)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
        a, b = a.to(weight.dtype), b.to(weight.dtype)
        merged = torch.addmm(weight, b, a, alpha=scale)
        ctx.save_for_backward(x, merged, a, b)
        ctx.scale = scale
        return nn.functional.linear(x, merged)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, Tensor, Tensor, None]:
        x, merged, a, b = ctx.saved_tensors
        gradient = gradients[0]
        flat, rows = gradient.reshape(-1, gradient.shape[-1]), x.reshape(-1, x.shape[-1])
        into = gradient @ merged if ctx.needs_input_grad[0] else None
        grad_a = ((flat @ b).t() @ rows).float() * ctx.scale
        grad_b = (flat.t() @ (rows @ a.t())).float() * ctx.scale
        return into, None, grad_a, grad_b, None


class LoraLinear(nn.Module):
    """A frozen linear layer with a trained low-rank update; `enabled=False` gives the frozen layer back."""

    def __init__(self, linear: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.linear, self.scale, self.enabled = linear, scale, True
        linear.requires_grad_(False)
        self.a = nn.Parameter(torch.empty(rank, linear.in_features, device=linear.weight.device))
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank, device=linear.weight.device))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        if not self.enabled:
            return self.linear(x)  # type: ignore[no-any-return]
        y: Tensor = _Merged.apply(x, self.linear.weight, self.a, self.b, self.scale)  # type: ignore[no-untyped-call]
        return y if self.linear.bias is None else y + self.linear.bias


def attach(model: nn.Module, rank: int, alpha: float, modules: Sequence[str] = MODULES, first_layer: int = 0) -> None:
    """Freeze the model and adapt the named linear layers from `first_layer` on, in place."""
    model.requires_grad_(False)
    places = [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and _wanted(name, modules)]
    chosen = [name for name in places if _layer(name) >= first_layer]
    if not chosen:
        raise ModelUnavailable(f"no layer of the model from {first_layer} on is called {' or '.join(modules)}")
    for name in chosen:
        parent, _, last = name.rpartition(".")
        linear = model.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        setattr(model.get_submodule(parent), last, LoraLinear(linear, rank, alpha / rank))


@contextmanager
def disabled(model: nn.Module) -> Iterator[None]:
    """The model as it was before training, inside the block."""
    layers = [module for module in model.modules() if isinstance(module, LoraLinear)]
    for layer in layers:
        layer.enabled = False
    try:
        yield
    finally:
        for layer in layers:
            layer.enabled = True


def save_adapter(model: nn.Module, folder: Path, base: str, rank: int, alpha: float) -> None:
    """Write the update as a peft adapter; `base` is the name that its configuration gives for the base model."""
    from safetensors.torch import save_file

    with quiet_transformers():
        from peft import LoraConfig

    layers = {name: module for name, module in model.named_modules() if isinstance(module, LoraLinear)}
    tensors = {}
    for name, layer in layers.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = layer.a.detach().cpu().contiguous()
        tensors[f"base_model.model.{name}.lora_B.weight"] = layer.b.detach().cpu().contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    LoraConfig(
        r=rank, lora_alpha=int(alpha), lora_dropout=0.0, target_modules=sorted(layers), base_model_name_or_path=base,
        task_type="CAUSAL_LM", inference_mode=True,
    ).save_pretrained(str(folder))  # fmt: skip


def join_adapters(folders: Sequence[Path], folder: Path) -> None:
    """One adapter that does what adapters of one model do on top of each other: their ranks side by side.

        s B1 A1 + s B2 A2 = s [B1 B2] [A1; A2]

    They must share scale and layers, as those of one run do; raises `ModelUnavailable` otherwise.
    """
    import json

    from safetensors.torch import load_file, save_file

    configs = [json.loads((place / "adapter_config.json").read_text("utf-8")) for place in folders]
    tensors = [load_file(place / "adapter_model.safetensors") for place in folders]
    if len({config["lora_alpha"] / config["r"] for config in configs}) > 1 or any(
        t.keys() != tensors[0].keys() for t in tensors
    ):
        raise ModelUnavailable("adapters of different scale or layers cannot be joined")
    joined = {name: torch.cat([t[name] for t in tensors], dim=0 if "lora_A" in name else 1) for name in tensors[0]}
    total = {"r": sum(config["r"] for config in configs), "lora_alpha": sum(config["lora_alpha"] for config in configs)}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(joined, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(configs[0] | total, indent=2), "utf-8")


def _wanted(name: str, modules: Sequence[str]) -> bool:
    return name.rpartition(".")[2] in modules and _layer(name) >= 0


def _layer(name: str) -> int:
    """The number of the layer a module is in, or -1 outside the layers."""
    return next((int(part) for part in name.split(".") if part.isdecimal()), -1)
