"""Models whose circuits are known because they were written by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

WORDS, HEADS, HEAD_WIDTH = 16, 3, 32
WIDTH = 3 * WORDS
TOKEN, PREVIOUS, OUT = slice(0, WORDS), slice(WORDS, 2 * WORDS), slice(2 * WORDS, 3 * WORDS)
"""The stream's three subspaces: this token, the token before it, and what is said to come next."""
PREVIOUS_TOKEN_HEAD, INDUCTION_HEAD = (0, 1), (1, 2)
STILL = torch.cat([torch.arange(8, 16), torch.arange(24, 32)])
"""Dimensions of a head that rotary positions hardly turn: places 8 to 15 of the sixteen frequencies, both halves."""


def induction_model() -> Any:
    """Two layers of three heads: head 0.1 copies the token before, head 1.2 finds where that was this token and copies.

    All other heads attend evenly and write nothing; the MLPs write nothing. Exact up to the softmax's tails for
    sequences of at most 24 tokens.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=WORDS, hidden_size=WIDTH, intermediate_size=8, num_hidden_layers=2, num_attention_heads=HEADS,
            num_key_value_heads=HEADS, head_dim=HEAD_WIDTH, max_position_embeddings=64, attention_bias=True,
            tie_word_embeddings=False, bos_token_id=None, eos_token_id=0,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        )
    ).eval()  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.fill_(1.0)
        model.model.embed_tokens.weight[:, TOKEN] = torch.eye(WORDS)
        model.lm_head.weight[:, OUT] = 4 * torch.eye(WORDS)
        _attend_to_the_token_before(model.model.layers[0].self_attn, PREVIOUS_TOKEN_HEAD[1])
        _copy(model.model.layers[0].self_attn, PREVIOUS_TOKEN_HEAD[1], PREVIOUS)
        _attend_to_what_followed(model.model.layers[1].self_attn, INDUCTION_HEAD[1])
        _copy(model.model.layers[1].self_attn, INDUCTION_HEAD[1], OUT)
    return model


def _rows(head: int) -> slice:
    return slice(head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH)


def _attend_to_the_token_before(attention: Any, head: int) -> None:
    """Queries and keys from biases alone, with an angle between them that one step of the rotary positions undoes."""
    angles = 1e6 ** (-torch.arange(8) / 16)
    query, key = torch.zeros(HEAD_WIDTH), torch.zeros(HEAD_WIDTH)
    query[:8] = 1
    key[:8], key[16:24] = torch.cos(angles), torch.sin(angles)
    attention.q_proj.bias[_rows(head)] = 60 * query
    attention.k_proj.bias[_rows(head)] = 60 * key


def _attend_to_what_followed(attention: Any, head: int) -> None:
    start = head * HEAD_WIDTH
    attention.q_proj.weight[start + STILL, TOKEN] = 6 * torch.eye(WORDS)
    attention.k_proj.weight[start + STILL, PREVIOUS] = 6 * torch.eye(WORDS)


def _copy(attention: Any, head: int, target: slice) -> None:
    start = head * HEAD_WIDTH
    attention.v_proj.weight[start : start + WORDS, TOKEN] = torch.eye(WORDS)
    attention.o_proj.weight[target, start : start + WORDS] = torch.eye(WORDS)


class LinearModel(nn.Module):
    """Laid out like a transformer, but linear all through: every head and MLP is one matrix and there are no norms.

    Heads mix all tokens evenly (not causal, which nothing here needs).
    """

    def __init__(self, words: int = 11, width: int = 12, heads: int = 3, layers: int = 3, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.config = SimpleNamespace(num_attention_heads=heads, hidden_size=width, max_position_embeddings=64)
        self.base_model = _LinearTrunk(words, width, layers)
        self.model = self.base_model
        self.head = nn.Linear(width, words, bias=False)

    def get_output_embeddings(self) -> nn.Module:
        return self.head


class _LinearTrunk(nn.Module):
    def __init__(self, words: int, width: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.layers = nn.ModuleList(_LinearLayer(width) for _ in range(layers))
        self.norm = nn.Identity()

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> Any:
        stream = self.embed(input_ids)
        for layer in self.layers:
            stream = layer(stream)
        return SimpleNamespace(last_hidden_state=self.norm(stream))


class _LinearLayer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_attn = _LinearAttention(width)
        self.mlp = nn.Linear(width, width)

    def forward(self, stream: torch.Tensor) -> torch.Tensor:
        stream = stream + self.self_attn(stream)
        return stream + self.mlp(stream)


class _LinearAttention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.v_proj, self.o_proj = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, stream: torch.Tensor) -> torch.Tensor:
        mixed = self.v_proj(stream).mean(1, keepdim=True) + self.v_proj(stream)
        return self.o_proj(mixed)


def known_subject(folder: Any, model: Any = None) -> Any:
    """The hand-written induction model (or another of as many words) as a user's folder, with one word a token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from stepladder.models.local.model import LocalModel

    vocabulary = {f"w{index}": index for index in range(WORDS - 1)} | {"<unk>": WORDS - 1}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<unk>")
    fast.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    (model or induction_model()).save_pretrained(folder)
    fast.save_pretrained(folder)
    return LocalModel("known", folder, "float32")


LEARNT_WORDS, IDLE = 32, 3
"""Vocabulary of the trained model, and the head of each layer that may write nothing."""


def trained_induction_model(steps: int = 500) -> Any:
    """Two attention-only layers of four heads, trained from scratch on repeated random segments through the phase change.

    Head 3 of each layer is kept from writing, so that two heads are known to be of no use.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=LEARNT_WORDS, hidden_size=64, intermediate_size=8, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=4, head_dim=16, max_position_embeddings=64, tie_word_embeddings=False, bos_token_id=None,
            eos_token_id=0, initializer_range=0.1,
        )
    )  # fmt: skip
    for layer in model.model.layers:
        nn.init.zeros_(layer.mlp.down_proj.weight)
        layer.mlp.requires_grad_(False)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3, betas=(0.9, 0.99))
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        _keep_idle(model)
        length = int(torch.randint(6, 13, (1,), generator=generator))
        first = torch.rand(64, LEARNT_WORDS, generator=generator).argsort(1)[:, :length]
        tokens = torch.cat([first, first], 1)
        logits = model(input_ids=tokens, use_cache=False).logits[:, length - 1 : -1]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, length:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    _keep_idle(model)
    model.set_attn_implementation("eager")
    return model.eval()


def _keep_idle(model: Any) -> None:
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[:, 16 * IDLE : 16 * (IDLE + 1)] = 0
