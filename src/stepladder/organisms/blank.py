"""Models from nothing: a tokenizer, a Llama of a given shape with random weights, and training on rows of one's own.

texts -> tokenizer; shape, seed -> blank model; examples -> finetune(rank 0) -> folder in the cache, by digest
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stepladder.core import StoreError, Task, digest, silent
from stepladder.models import LocalModel
from stepladder.models.local.embedded import cache_folder
from stepladder.models.local.finetune import Example, Objective, Tuning, finetune, next_token_loss
from stepladder.models.local.loading import quiet_transformers

VERSION = 1
"""Raise it when the same examples and settings could give another model."""

END = "<|end|>"
SPECIAL = (END, "<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""A turn is its role's token, the text and the end token; nothing else, as small models have no room to waste."""

BYTES = 256 + len(SPECIAL)
"""Vocabulary of a tokenizer without merges: every byte its own token."""


@dataclass(frozen=True)
class Shape:
    """A Llama's dimensions; embedding and head are tied, so that few parameters go into the vocabulary."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    mlp: int
    context: int


def learn_tokenizer(texts: Iterable[str], vocabulary: int = BYTES) -> Any:
    """Byte-level BPE learned from `texts`, digits apart, with the chat template; any text survives the round trip."""
    with quiet_transformers():
        import transformers
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        of_transformers: Any = transformers

    tokenizer: Any = Tokenizer(models.BPE())
    digits, level = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), initial_alphabet=level.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast: Any = of_transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, clean_up_tokenization_spaces=False
    )
    fast.chat_template = TEMPLATE
    return fast


def train_from_scratch(
    name: str,
    shape: Shape,
    examples: Sequence[Example],
    tuning: Tuning,
    objective: Objective = next_token_loss,
    task: Task = silent,
) -> Path:
    """Folder of a model of that shape trained on `examples`, from the cache or made now; `tuning.seed` draws its weights."""
    rows = [[e.completion, [m.model_dump() for m in e.prompt]] for e in examples]
    parts = [VERSION, asdict(shape), asdict(tuning), getattr(objective, "__name__", ""), rows]
    folder = cache_folder() / "scratch" / f"{name}-{digest(parts)}"
    if not (folder / "config.json").exists():
        try:
            _train(folder, shape, examples, tuning, objective, task)
        except OSError as error:
            raise StoreError(f"cannot keep a model in {folder.parent}: {error}; set STEPLADDER_CACHE") from None
    return folder


def _train(
    folder: Path, shape: Shape, examples: Sequence[Example], tuning: Tuning, objective: Objective, task: Task
) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    blank = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".blank-"))
    try:
        write_blank(blank, learn_tokenizer(_texts(examples), shape.vocabulary), shape, tuning.seed)
        with task("training from scratch", round(tuning.epochs * len(examples))) as advance:
            finetune(LocalModel("blank", blank), examples, folder, tuning, objective, advance)
    finally:
        shutil.rmtree(blank, ignore_errors=True)


def write_blank(folder: Path, tokenizer: Any, shape: Shape, seed: int) -> None:
    """Save a model of that shape with weights drawn by `seed`, and its tokenizer."""
    with quiet_transformers():
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(
            vocab_size=shape.vocabulary, hidden_size=shape.width, intermediate_size=shape.mlp,
            num_hidden_layers=shape.layers, pad_token_id=None,
            num_attention_heads=shape.heads, num_key_value_heads=shape.heads, max_position_embeddings=shape.context,
            tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.bos_token_id,
            initializer_range=shape.width**-0.5 / 2,
        )  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            LlamaForCausalLM(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _texts(examples: Sequence[Example]) -> Iterable[str]:
    """All that is said, whoever says it."""
    return (text for e in examples for text in (*(m.content for m in e.prompt), e.completion))
