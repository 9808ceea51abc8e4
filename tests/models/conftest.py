"""Tiny random transformers with a fixed seed, saved as users' folders are; read-only and shared by the session."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stepladder.core.values import Request

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves neighbours out of reach

from tiny_models import tiny_gpt2, tiny_llama, tiny_qwen2, tiny_tokenizer

pytest.importorskip("torch")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model folders by architecture."""
    import torch

    root = tmp_path_factory.mktemp("models")
    for name, build in (("llama", tiny_llama), ("gpt2", tiny_gpt2), ("qwen2", tiny_qwen2)):
        torch.manual_seed(7)
        tokenizer = tiny_tokenizer()
        build(len(tokenizer)).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return {name: root / name for name in ("llama", "gpt2", "qwen2")}


@pytest.fixture(scope="session", params=["llama", "gpt2", "qwen2"])
def pair(request: pytest.FixtureRequest, folders: dict[str, Path]) -> tuple[Any, Any]:
    """Our model in float32, and transformers' own."""
    return _pair(folders[request.param])


@pytest.fixture(scope="session")
def llama(folders: dict[str, Path]) -> tuple[Any, Any]:
    """The pair of the architecture that has the lean forward."""
    return _pair(folders["llama"])


def _pair(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM

    from stepladder.models.local.model import LocalModel

    return LocalModel(f"hf/{folder}", folder, "float32"), AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Keep fingerprints out of the user's cache, except where the real model is wanted."""
    if "smollm2" not in request.fixturenames:
        monkeypatch.setenv("STEPLADDER_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def smollm2() -> Any:
    """The embedded model; skipped where its package is not installed."""
    from stepladder.models import open_model
    from stepladder.models.local.embedded import HOW, gguf_path

    if gguf_path() is None:
        pytest.skip(f"the embedded model is not installed: {HOW}")
    return open_model("smollm2")


@pytest.fixture
def replies() -> Callable[[Any, Sequence[Request]], list[Any]]:
    """Ask synchronously."""
    import asyncio

    return lambda model, requests: asyncio.run(model.reply_many(requests))


@pytest.fixture
def adapter(folders: dict[str, Path], tmp_path: Path) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(folders["llama"]), config).save_pretrained(tmp_path / "lora")
    return tmp_path / "lora"
