"""What training holds between two steps: weights, Adam's moments, silent latents; its start, and its checkpoint on disk."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from stepladder.core import StoreError
from stepladder.core.keys import digest
from stepladder.methods.interpretability.dictionary import Dictionary
from stepladder.methods.interpretability.sae_config import TrainingConfig
from stepladder.methods.interpretability.sae_kernels import Weights, decode, pick
from stepladder.store.files import write_atomic

CHECKPOINT = "training.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq")
_HASTE = 5.0
"""Learning rate of a jump's threshold (its logarithm), over that of the weights."""
_MEMORY = 0.9
"""How much of the running mean of a batch's smallest active value stays from one step to the next."""


@dataclass
class State:
    """Weights with a latent a row, in scaled units, and what else a resumed training must know."""

    weights: dict[str, Parameter]
    optimizer: torch.optim.Adam
    centre: Tensor
    """Where the encoder's input lies, (d_in): b_dec at the start, or the median input of a transcoder."""
    idle: Tensor
    """Steps since each latent was active, (latents)."""
    scale_in: float
    scale_out: float
    transcoder: bool
    step: int = 0
    l1: float = 0.01
    threshold: float = 0.0

    def tables(self) -> Weights:
        """The weights as the kernels take them, outside of autograd."""
        return Weights(*(self.weights[name].detach() for name in ("encoder", "b_enc", "decoder", "b_dec")))

    def clear(self) -> None:
        """Forget the gradients."""
        self.optimizer.zero_grad()

    def descend(self, rate: float) -> None:
        """One step of Adam."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["haste"]
        self.optimizer.step()

    def follow_threshold(self, smallest: float) -> None:
        """Take a batch's smallest active value into the running mean (batchtopk's threshold when it is read)."""
        self.threshold = smallest if self.step == 0 else _MEMORY * self.threshold + (1 - _MEMORY) * smallest

    def restart(self, latents: Tensor, x: Tensor, residual: Tensor) -> None:
        """Point these latents at what rows x (m, d_in) lack, residual (m, d_out), with Adam's memory of them gone."""
        rows = _unit(residual)
        read = _unit(x - self.centre) if self.transcoder else rows
        with torch.no_grad():
            read = read * self.weights["encoder"].norm(dim=1).mean()
            self.weights["decoder"][latents] = rows
            self.weights["encoder"][latents] = read
            for name in {"b_enc", "b_gate", "b_mag"} & self.weights.keys():
                self.weights[name][latents] = -(read @ self.centre) if self.transcoder else 0.0
            for name, parameter in self.weights.items():
                if name != "b_dec":
                    for moment in _MOMENTS:
                        self.optimizer.state[parameter][moment][latents] = 0.0
        self.idle[latents] = 0

    def dictionary(self, config: TrainingConfig) -> Dictionary:
        """For raw activations: an active latent's value in units of the output."""
        w = {name: parameter.detach().clone() for name, parameter in self.weights.items()}
        own: dict[str, Any] = {name: w[name] / self.scale_out for name in ("b_gate", "b_mag") if name in w}
        if "r_mag" in w:
            own["r_mag"] = w["r_mag"]
        if "log_threshold" in w:
            own["threshold"] = w["log_threshold"].exp() / self.scale_out
        if config.architecture in ("batchtopk", "matryoshka"):
            own["threshold"] = torch.full_like(w["b_enc"], self.threshold / self.scale_out)
        b_enc = w.get("b_enc", torch.zeros_like(w["decoder"][:, 0])) / self.scale_out
        return Dictionary(
            architecture=config.architecture, W_enc=(w["encoder"].t() * (self.scale_in / self.scale_out)).contiguous(),
            b_enc=b_enc, W_dec=w["decoder"], b_dec=w["b_dec"] / self.scale_out, k=config.k, **own,
            prefixes=config.nested, apply_b_dec_to_input=not self.transcoder, transcoder=self.transcoder,
        )  # fmt: skip


def start(config: TrainingConfig, x: Tensor, wanted: Tensor | None) -> State:
    """The first state, from the first batch: x (n, d_in), and of a transcoder its outputs (n, d_out)."""
    y = x if wanted is None else wanted
    scale_in, scale_out = _scale(x), _scale(y)
    x, y = x * scale_in, y * scale_out
    generator = torch.Generator().manual_seed(config.seed)
    centre, b_dec = geometric_median(x), geometric_median(y)
    chosen = torch.randint(len(y), (config.latents,), generator=generator).to(y.device)
    decoder = _unit(_unit(y[chosen] - b_dec) + _noise(config.latents, y, generator))
    encoder = decoder.clone() if wanted is None else _unit(_unit(x[chosen] - centre) + _noise(config.latents, x, generator))
    encoder *= _best_length(encoder, decoder, x - centre, y - b_dec, config.k)
    bias = torch.zeros_like(decoder[:, 0]) if wanted is None else -(encoder @ centre)
    tensors = {"encoder": encoder, "decoder": decoder, "b_dec": b_dec}
    if config.architecture == "gated":
        tensors |= {"b_gate": bias, "r_mag": torch.zeros_like(bias), "b_mag": bias.clone()}
    else:
        tensors["b_enc"] = bias
    if config.architecture == "jumprelu":
        pre = (x[:256] - (b_dec if wanted is None else 0)) @ encoder.t() + bias
        level = pre.flatten().kthvalue(pre.numel() - config.k * len(pre)).values.clamp_(min=1e-3)
        tensors["log_threshold"] = level.log().expand(config.latents).clone()
    idle = torch.zeros(config.latents, dtype=torch.int32, device=x.device)
    return _state(tensors, centre, idle, scale_in=scale_in, scale_out=scale_out, transcoder=wanted is not None)


def _best_length(encoder: Tensor, decoder: Tensor, x: Tensor, y: Tensor, k: int) -> float:
    """The factor of the encoder with which the first reconstruction of y (n, d_out) from x (n, d_in) fits best.

    Latents that point the same way would otherwise reconstruct an activation many times over.
    """
    rows = slice(1024)
    codes = pick(Weights(encoder, torch.zeros_like(encoder[:, 0]), decoder, y[0]), x[rows], k)
    found = decode(codes, decoder)
    return float((found * y[rows]).sum() / found.square().sum().clamp_(min=1e-12))


def geometric_median(x: Tensor, rounds: int = 30) -> Tensor:
    """The point (d) with the least summed distance to the rows of x (n, d), by Weiszfeld's iteration."""
    point: Tensor = x.mean(0)
    for _ in range(rounds):
        pull: Tensor = 1 / torch.linalg.vector_norm(x - point, dim=1).clamp_(min=1e-6)
        point = pull @ x / pull.sum()
    return point


def save_state(state: State, folder: Path, config: TrainingConfig) -> None:
    """Write the checkpoint in place of the one before."""
    from safetensors.torch import save_file

    tensors = {f"weights.{name}": parameter.detach() for name, parameter in state.weights.items()}
    for name, parameter in state.weights.items():
        tensors |= {f"{moment}.{name}": state.optimizer.state[parameter][moment] for moment in _MOMENTS}
    tensors |= {"centre": state.centre, "idle": state.idle}
    kept = {name: getattr(state, name) for name in ("scale_in", "scale_out", "transcoder", "step", "l1", "threshold")}
    metadata = {"config": digest(asdict(config)), "state": json.dumps(kept)}
    write_atomic(folder / CHECKPOINT, lambda path: save_file(tensors, path, metadata))


def load_state(folder: Path, config: TrainingConfig, device: str) -> State | None:
    """The state in `folder`, `None` where there is none; a `StoreError` where it is of another training or damaged."""
    from safetensors import SafetensorError, safe_open

    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt", device=device) as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        kept = json.loads(metadata["state"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: not a checkpoint of a training ({error})") from None
    if metadata["config"] != digest(asdict(config)):
        raise StoreError(f"{path} is of a training with another configuration; choose another folder")
    weights = {name.removeprefix("weights."): t for name, t in tensors.items() if name.startswith("weights.")}
    state = _state(weights, tensors["centre"], tensors["idle"], **kept)
    for name, parameter in state.weights.items():
        moments = {moment: tensors[f"{moment}.{name}"] for moment in _MOMENTS}
        state.optimizer.state[parameter] = {"step": torch.tensor(float(state.step), device=device), **moments}
    return state


def _state(tensors: dict[str, Tensor], centre: Tensor, idle: Tensor, **kept: float) -> State:
    weights = {name: Parameter(tensor.contiguous()) for name, tensor in tensors.items()}
    # Thresholds follow activations that grow in the first steps; at the weights' own rate they would be late by hundreds.
    groups = [{"params": [p], "haste": _HASTE if n == "log_threshold" else 1.0} for n, p in weights.items()]
    optimizer = torch.optim.Adam(groups, fused=True)
    return State(weights, optimizer, centre, idle, **kept)  # type: ignore[arg-type]  # numbers and a truth value, by name


def _scale(x: Tensor) -> float:
    """What brings the median norm to sqrt(width); the mean would follow the few tokens with enormous norms."""
    return math.sqrt(x.shape[1]) / max(float(x.norm(dim=1).median()), 1e-12)


def _unit(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows, dim=1)


def _noise(count: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """Random unit rows (count, width): rows chosen twice must not start alike."""
    return _unit(torch.randn(count, like.shape[1], generator=generator)).to(like)
