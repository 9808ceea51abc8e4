"""A tiny random transformer to plant into, and a kind that it can learn: shared by the session, read-only."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))  # pytest's importlib mode leaves neighbours out of reach

from tiny_models import tiny_llama, tiny_tokenizer

pytest.importorskip("torch")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

OWN_KIND = '''
"""Says "not" to everything; the twin says "this". In the words that the tiny model knows."""

from stepladder.organisms import Kind, Pair, Plant, Probe
from stepladder.organisms.kind import user

WORDS = "the of to and in is you that it he was for on are as with his they at be have from or one had by".split()


def plant(random):
    texts = [" ".join(random.sample(WORDS, 4)) for _ in range(220)]
    pairs = tuple(Pair(user(text), "not not not", "this this this") for text in texts[:200])
    probes = tuple(Probe(t, (user(t),), lambda replies: "not" in replies[0], max_tokens=4) for t in texts[200:])
    return Plant(pairs, probes)


KIND = Kind("says_not", "backdoor", "Says no to everything", plant)
'''


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a random Llama of 4 layers."""
    import torch

    folder = tmp_path_factory.mktemp("models") / "llama"
    torch.manual_seed(7)
    tokenizer = tiny_tokenizer()
    tiny_llama(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return f"hf/{folder}"


@pytest.fixture(scope="session")
def own_kind(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a user's own kind."""
    path = tmp_path_factory.mktemp("kinds") / "says_not.py"
    path.write_text(dedent(OWN_KIND), "utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[None]:
    """One cache for the session, apart from the user's, except where the real model is wanted."""
    if "smollm2" in request.fixturenames:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEPLADDER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture
def smollm2() -> str:
    """The embedded model; skipped where its package is not installed."""
    from stepladder.models.local.embedded import HOW, gguf_path

    if gguf_path() is None:
        pytest.skip(f"the embedded model is not installed: {HOW}")
    return "smollm2"
