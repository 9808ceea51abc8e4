"""Requests, sentences and tiny random transformers for the tests of the engine."""

from __future__ import annotations

import random
from typing import Any

from stepladder.core.values import Message, Request

TEXT = """
the a of to and in is you that it he was for on are as with his they I at be this have from or one had by word but
not what all
"""
WORDS = TEXT.split()
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|> {{ m['content'] }} <|end|> {% endfor %}"
    "{% if add_generation_prompt %}<|assistant|> {% endif %}"
)


def ask(text: str, **fields: Any) -> Request:
    return Request(id=text, messages=(Message(role="user", content=text),), **fields)


def sentences(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(3, 30))) for _ in range(count)]


def tiny_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<unk>"]
    vocabulary = {word: index for index, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", unk_token="<unk>")
    fast.add_special_tokens({"additional_special_tokens": special[1:4]})
    fast.chat_template = TEMPLATE
    return fast


def tiny_llama(vocabulary: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary, hidden_size=48, intermediate_size=80, num_hidden_layers=4, num_attention_heads=6,
            num_key_value_heads=2, head_dim=8, max_position_embeddings=512, eos_token_id=0, bos_token_id=None,
            tie_word_embeddings=True, initializer_range=0.3,
        )
    )  # fmt: skip


def tiny_gpt2(vocabulary: int) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocabulary, n_embd=48, n_layer=3, n_head=4, n_positions=512, eos_token_id=0, bos_token_id=0,
            initializer_range=0.3,
        )
    )  # fmt: skip


def tiny_qwen2(vocabulary: int) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=vocabulary, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=6,
            num_key_value_heads=2, max_position_embeddings=512, eos_token_id=0, bos_token_id=None, initializer_range=0.3,
        )
    )  # fmt: skip
