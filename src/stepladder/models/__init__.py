"""Models by name: hosted (through Inspect), local (white box), scripted. Importing this loads none of their libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepladder.models.names import ModelInfo, model_table, open_model
from stepladder.models.scripted import ScriptedModel

if TYPE_CHECKING:
    from stepladder.models.local.model import LocalModel

__all__ = ["LocalModel", "ModelInfo", "ScriptedModel", "model_table", "open_model"]


def __getattr__(name: str) -> Any:
    if name == "LocalModel":
        from stepladder.models.local.model import LocalModel

        return LocalModel
    raise AttributeError(name)
