"""LoRA adapters in peft's format, safetensors only, merged into the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stepladder.core.errors import ModelUnavailable
from stepladder.models.local.loading import quiet_transformers


def check_adapter(folder: Path) -> Path:
    """The folder, resolved; `ModelUnavailable` unless it holds an adapter in safetensors."""
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / file).is_file():
            raise ModelUnavailable(f"{folder} is not an adapter folder: it has no {file}")
    return folder.resolve()


def merge(model: Any, folder: Path) -> Any:
    """The model with the adapter's update added to its weights."""
    with quiet_transformers():
        from peft import PeftModel

        try:
            return PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            raise ModelUnavailable(f"the adapter in {folder} does not fit the model: {str(error).splitlines()[0]}") from None
