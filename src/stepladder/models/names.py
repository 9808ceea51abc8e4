"""From a name to a model."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass

from stepladder.core.errors import MissingExtra, UnknownName
from stepladder.core.method import ChatModel
from stepladder.models.scripted import SCRIPTS, open_scripted

FORMS = ("smollm2", "gemma3-270m", "hf/<id or folder>", "rung/<id>", "scripted/<name>", "<Inspect provider>/<model>")


@dataclass(frozen=True)
class ModelInfo:
    """A row of the table of models: what access it gives, whether it can be used here and now, and how to get it."""

    name: str
    access: str
    available: bool
    how: str


def open_model(name: str) -> ChatModel:
    """The model of that name; weights are loaded and servers asked only when it is first used.

    Raises `UnknownName`, `ModelUnavailable` (nothing there to load) or `MissingExtra` (a package is missing).
    """
    kind, _, rest = name.partition("/")
    if name == "smollm2":
        return _embedded()
    if name == "gemma3-270m":
        return _gemma()
    if kind == "hf" and rest:
        return _hugging_face(name, rest)
    if kind == "rung" and rest:
        return _rung(rest)
    if kind == "scripted":
        return open_scripted(name)
    if rest:
        from stepladder.models.hosted import open_hosted

        return open_hosted(name)
    raise UnknownName("model", name, FORMS)


def model_table() -> tuple[ModelInfo, ...]:
    """All forms of names, with what is missing for each."""
    engine = all(importlib.util.find_spec(package) for package in ("torch", "transformers"))
    scripted = tuple(ModelInfo(f"scripted/{script}", "chat", True, "built in, needs no weights") for script in SCRIPTS)
    return (
        _embedded_info(engine),
        _gemma_info(engine),
        ModelInfo(
            "hf/<id or folder>", "weights", engine, "pip install 'stepladder[local]'; then a folder, or hf download <id>"
        ),
        ModelInfo("rung/<id>", "weights", engine, "what a run left: stepladder ledger lists them"),
        *scripted,
        ModelInfo(
            "<Inspect provider>/<model>",
            "chat",
            True,
            "any model of Inspect, as in openai-api/<service>/<model>; set its key",
        ),
    )


def _embedded_info(engine: bool) -> ModelInfo:
    from stepladder.models.local.embedded import HOW, gguf_path

    shipped = gguf_path() is not None
    missing = ([] if engine else ["pip install 'stepladder[local]'"]) + ([] if shipped else [HOW])
    return ModelInfo("smollm2", "weights", engine and shipped, " and ".join(missing) or "installed")


def _gemma_info(engine: bool) -> ModelInfo:
    from stepladder.models.local.embedded import GEMMA_HOW, gemma_installed

    missing = ([] if engine else ["pip install 'stepladder[local]'"]) + ([] if gemma_installed() else [GEMMA_HOW])
    return ModelInfo("gemma3-270m", "weights", engine and gemma_installed(), " and ".join(missing) or "installed")


def _embedded() -> ChatModel:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing of the embedded model comes from a network
    _need_engine()
    from stepladder.models.local.embedded import embedded_folder
    from stepladder.models.local.model import LocalModel

    return LocalModel("smollm2", embedded_folder())


def _gemma() -> ChatModel:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    _need_engine()
    from stepladder.models.local.embedded import gemma_folder
    from stepladder.models.local.model import LocalModel

    return LocalModel("gemma3-270m", gemma_folder())


def _rung(rest: str) -> ChatModel:
    from stepladder.models.rungs import load_rung

    rung = load_rung(rest)
    base = open_model(rung.base)
    _need_engine()
    from stepladder.models.local.model import LocalModel

    if not isinstance(base, LocalModel):
        return base  # nothing was trained: the model is its base
    return base.derive(f"rung/{rung.id}", rung.adapters)


def _hugging_face(name: str, rest: str) -> ChatModel:
    _need_engine()
    from stepladder.models.local.loading import find_folder
    from stepladder.models.local.model import LocalModel

    return LocalModel(name, find_folder(rest))


def _need_engine() -> None:
    from stepladder.models.local.loading import EXTRA

    if not all(importlib.util.find_spec(package) for package in ("torch", "transformers")):
        raise MissingExtra(EXTRA)
