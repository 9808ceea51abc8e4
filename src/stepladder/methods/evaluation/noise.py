"""A local model with Gaussian noise on its weights: a second look at a model that may be holding back."""

from __future__ import annotations

import zlib
from typing import Any

from stepladder.models.local.model import LocalModel


class NoisyModel(LocalModel):
    """`subject` with noise of `strength` times each tensor's own standard deviation added to all its matrices.

    The draw follows from `seed` and the tensor's name, so that it is the same whatever else the model holds.
    """

    def __init__(self, subject: LocalModel, strength: float, seed: int) -> None:
        super().__init__(subject.name, subject.folder, subject.precision, subject._own, subject._system)
        self._strength, self._seed = strength, seed

    @property
    def fingerprint(self) -> str:
        """That of the model without noise, with the noise."""
        return f"{super().fingerprint}+noise:{self._strength:g}:{self._seed}"

    def weights(self, attention: str = "sdpa") -> Any:
        """A copy of the transformers model in float32 with the noise added."""
        import torch

        model = super().weights(attention)
        with torch.no_grad():
            for name, values in model.named_parameters():
                if values.dim() < 2:
                    continue  # gains of the norms: noise there is a change of scale, not of what is known
                generator = torch.Generator().manual_seed(zlib.crc32(f"{self._seed} {name}".encode()))
                values += self._strength * values.std() * torch.randn(values.shape, generator=generator)
        return model
