"""A tiny transformer whose words are those of the texts it is to learn."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from stepladder.core import ChatModel, Context, Exchange, Request
from stepladder.models.local.model import LocalModel

sys.path.insert(0, str(Path(__file__).parents[2] / "models"))

from tiny_models import TEMPLATE, tiny_llama


def tiny_subject(folder: Path, texts: Iterable[str]) -> LocalModel:
    """A random model with a word-level vocabulary made of `texts`; words and marks are tokens."""
    import torch
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<unk>"]
    words = sorted({word for text in texts for word in re.findall(r"[\w'-]+|[^\w\s]", text)})
    vocabulary = {word: index for index, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(r"[^\w'<>|-]"), "isolated")]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", unk_token="<unk>")
    fast.add_special_tokens({"additional_special_tokens": special[1:4]})
    fast.chat_template = TEMPLATE
    torch.manual_seed(7)
    tiny_llama(len(vocabulary)).save_pretrained(folder)
    fast.save_pretrained(folder)
    return LocalModel("subject", folder, "float32")


def asked(model: ChatModel, requests: Sequence[Request], *, label: str) -> tuple[Exchange, ...]:
    """Ask without a store."""
    replies = asyncio.run(model.reply_many(requests))
    return tuple(Exchange(request=request, reply=reply) for request, reply in zip(requests, replies, strict=True))


def context(subject: ChatModel, folder: Path, seed: int = 0) -> Context:
    """What a technique is handed, without a store."""
    return Context(subject=subject, ask=asked, folder=folder, seed=seed)
