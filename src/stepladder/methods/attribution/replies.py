"""Conversations as rows: the loss of a row is that of the assistant's last reply, given all before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepladder.core import DataError, Message
from stepladder.data.tables import Format, Row, read_table, recognise
from stepladder.methods.attribution.gradients import Traces, trace

if TYPE_CHECKING:
    from torch import Tensor

    from stepladder.models import LocalModel

Conversation = tuple[Message, ...]
BATCH_TOKENS = 1024
"""Tokens of a batch, padding included."""


@dataclass(frozen=True)
class Reply:
    """Token ids of a conversation; the loss is on those from `start` on."""

    tokens: tuple[int, ...]
    start: int


def read_conversations(path: Path) -> tuple[Conversation, ...]:
    """Conversations of a csv, json or jsonl file: columns `messages`, `prompt` and `completion`, or `text` (documents)."""
    table = read_table(path)
    known = recognise(table, FORMATS)
    return tuple(known.read(row) for row in table.rows)


def _messages(row: Row) -> Conversation:
    turns = row.fields["messages"]
    try:
        said = tuple(Message(role=turn["role"], content=turn["content"]) for turn in turns)
    except (TypeError, KeyError, ValueError):
        raise row.error("column 'messages' needs a list of {role: system, user or assistant, content: text}") from None
    if not said or said[-1].role != "assistant":
        raise row.error("the last message has to be the assistant's")
    return said


def _pair(row: Row) -> Conversation:
    return (
        Message(role="user", content=row.text("prompt")),
        Message(role="assistant", content=row.text("completion")),
    )


FORMATS: tuple[Format[Conversation], ...] = (
    Format("messages", ("messages",), _messages),
    Format("pairs", ("prompt", "completion"), _pair),
    Format("documents", ("text",), lambda row: (Message(role="assistant", content=row.text("text")),)),
)


def tokenised(subject: LocalModel, conversations: Sequence[Conversation], longest: int) -> list[Reply]:
    """In tokens, at most `longest`: the end of a long reply is cut off, and the beginning of what comes before it."""
    longest = min(longest, subject.context)
    found = []
    for row in conversations:
        prompt, completion = subject.chat_format.example(row[:-1], row[-1].content)
        said = completion[: longest - 1]
        before = prompt[max(0, len(prompt) + len(said) - longest) :]
        found.append(Reply((*before, *said), len(before)))
    return found


def chosen_modules(model: Any, layers: Sequence[int]) -> dict[str, Any]:
    """By name, the linear layers of the MLPs in those decoder blocks (all linear layers where none is named so)."""
    name, blocks = _blocks(model)
    for layer in layers:
        if not 0 <= layer < len(blocks):
            raise DataError("influence", f"layer {layer} does not exist; allowed: 0 to {len(blocks) - 1}")
    linear = {
        f"{name}.{layer}.{part}": module
        for layer in layers
        for part, module in blocks[layer].named_modules()
        if type(module).__name__ in ("Linear", "Conv1D")
    }
    return {part: module for part, module in linear.items() if "mlp" in part} or linear


def spread_layers(count: int, wanted: int = 4) -> tuple[int, ...]:
    """So many layers, evenly over the upper two thirds of `count`: most of what finetuning changes passes through them."""
    first = count // 3
    places = min(wanted, count - first)
    return tuple(first + (count - first) * i // places for i in range(places))


def _blocks(model: Any) -> tuple[str, Any]:
    from torch.nn import ModuleList

    lists = [(name, module) for name, module in model.named_modules() if isinstance(module, ModuleList)]
    if not lists:
        raise DataError("influence", f"{type(model).__name__} has no list of decoder blocks to choose layers from")
    return max(lists, key=lambda pair: len(pair[1]))


def reply_traces(
    model: Any, replies: Sequence[Reply], layers: Sequence[int], folder: Path | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Traces:  # fmt: skip
    """Traces of the replies in the MLPs of those layers of a transformers model, whose parameters it freezes."""
    model.requires_grad_(False).eval()
    modules = chosen_modules(model, layers)
    lengths = [len(reply.tokens) for reply in replies]

    def losses(batch: Sequence[int]) -> Tensor:
        return reply_losses(model, [replies[i] for i in batch])

    return trace(modules, lengths, batches_of(lengths), losses, folder, advance)


def batches_of(lengths: Sequence[int]) -> list[list[int]]:
    """Numbers of rows in batches of similar length that hold at most `BATCH_TOKENS` each, or one row."""
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if not batches or (len(batches[-1]) + 1) * lengths[row] > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(row)
    return batches


def reply_losses(model: Any, replies: Sequence[Reply]) -> Tensor:
    """Negative log-likelihood of each reply, summed over its tokens: (replies)."""
    import torch

    device = model.get_input_embeddings().weight.device
    tokens = torch.zeros(len(replies), max(len(reply.tokens) for reply in replies), dtype=torch.long)
    wanted = torch.zeros_like(tokens, dtype=torch.bool)
    for i, reply in enumerate(replies):
        tokens[i, : len(reply.tokens)] = torch.tensor(reply.tokens)
        wanted[i, reply.start : len(reply.tokens)] = True
    tokens, wanted = tokens.to(device), wanted.to(device)
    hidden = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
    logits = _logits(model, hidden[:, :-1][wanted[:, 1:]])
    each = torch.nn.functional.cross_entropy(logits, tokens[:, 1:][wanted[:, 1:]], reduction="none")
    owner = torch.nonzero(wanted[:, 1:])[:, 0]
    return torch.zeros(len(replies), device=device).index_add(0, owner, each)


def _logits(model: Any, hidden: Tensor) -> Tensor:
    import torch

    logits: Tensor = model.get_output_embeddings()(hidden).float()
    cap = getattr(model.config, "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)
