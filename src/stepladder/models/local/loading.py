"""Finding and loading Hugging Face models: safetensors only, no code from the model's folder, nothing on the terminal."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepladder.core.errors import MissingExtra, ModelUnavailable
from stepladder.core.keys import digest

if TYPE_CHECKING:
    import torch

EXTRA = "the white-box engine is not installed; get it with: pip install 'stepladder[local]'"


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Import and use transformers without warnings or progress bars; `MissingExtra` where it is not installed."""
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import torch  # noqa: F401
        from transformers.utils import logging as transformers_logging
    except ImportError:
        raise MissingExtra(EXTRA) from None
    hf_logging: Any = transformers_logging
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.CRITICAL)
    hf_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


def find_folder(name: str) -> Path:
    """The folder of a model given as a path or as the id of one that is already in the Hugging Face cache."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = _cached(name)
    if not (folder / "config.json").exists():
        raise ModelUnavailable(f"{folder} is not a model folder: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise ModelUnavailable(f"{folder} has no .safetensors weights; other formats can hold code and are not read")
    return folder


def load_model(folder: Path, attention: str = "sdpa") -> Any:
    """The causal language model in float32, in evaluation mode; `attention` is transformers' name of how it attends."""
    with quiet_transformers():
        import torch
        from transformers import AutoModelForCausalLM

        with _readable(folder):
            model = AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=torch.float32, use_safetensors=True, trust_remote_code=False, local_files_only=True,
                attn_implementation=attention,
            )  # fmt: skip
    model.train(False)
    return model


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer beside a model."""
    with quiet_transformers():
        from transformers import AutoTokenizer

        with _readable(folder):
            return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)


def device_and_dtype(precision: str | None) -> tuple[torch.device, torch.dtype]:
    """Where and in what precision to compute; by default bfloat16 where the processor is fast at it, else float32."""
    with quiet_transformers():
        import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if precision is None:
        precision = "bfloat16" if device.type == "cuda" or _fast_bf16() else "float32"
    return device, getattr(torch, precision)


def folder_hash(folder: Path, sidecars: Path) -> str:
    """SHA-256 over the weights, config and tokenizer in `folder`.

    Hashing takes a second or more, so the result is kept in `sidecars`, keyed by the files' names, sizes and times.
    """
    files = sorted(f for f in folder.iterdir() if f.suffix in {".safetensors", ".json", ".jinja", ".model"})
    stamp = digest([str(folder.resolve()), [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]])
    sidecar = sidecars / f"{stamp}.json"
    try:
        return str(json.loads(sidecar.read_text("utf-8"))["sha256"])
    except (OSError, ValueError, KeyError):
        found = _hash_files(files)
    try:
        sidecars.mkdir(parents=True, exist_ok=True)
        sidecar.write_text(json.dumps({"folder": str(folder), "sha256": found}), "utf-8")
    except OSError:
        pass  # a cache that can't be written costs a second next time
    return found


def _hash_files(files: list[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            total.update(f"{file.name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _cached(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingExtra(EXTRA) from None
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except Exception:
        raise ModelUnavailable(
            f"no model {name!r}: neither a folder nor in the Hugging Face cache; get it first with: hf download {name}"
        ) from None


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """A model that can't be read is the user's to mend, whatever transformers raises."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise ModelUnavailable(f"cannot read the model in {folder}: {str(error).strip().splitlines()[0]}") from None
    except Exception as error:
        if type(error).__module__.startswith("safetensors"):
            raise ModelUnavailable(f"cannot read the weights in {folder}: {error}") from None
        raise


def _fast_bf16() -> bool:
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
