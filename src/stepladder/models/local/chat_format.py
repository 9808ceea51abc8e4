"""From a conversation to the tokens a model reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepladder.core.errors import ModelUnavailable
from stepladder.core.values import Message

PLAIN = (
    "{{ bos_token or '' }}"
    "{% for message in messages %}{{ message['role'].capitalize() + ': ' + message['content'] + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""For models without a chat template of their own (base models; some are lost without the token that begins a text)."""


class ChatFormat:
    """A tokenizer with its chat template, and a system prompt that every conversation begins with."""

    def __init__(self, tokenizer: Any, system: str = "") -> None:
        self.tokenizer, self.system = tokenizer, system
        if not tokenizer.chat_template:
            tokenizer.chat_template = PLAIN

    def prompt(self, messages: Sequence[Message], generation_prompt: bool = True) -> list[int]:
        """Token ids of the conversation, with the assistant's turn opened.

        A trailing assistant message is a prefill: its text follows the opened turn, and the turn stays open. Without
        `generation_prompt` every message is a closed turn.
        """
        messages = self._behind_system(messages)
        prefill = messages[-1].content if generation_prompt and messages[-1].role == "assistant" else ""
        turns = messages[:-1] if generation_prompt and messages[-1].role == "assistant" else messages
        return self.tokens(self._render(turns, generation_prompt) + prefill)

    def example(
        self, prompt: Sequence[Message], completion: str, whole: bool = True
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Prompt and completion (if `whole` with the end of its turn) for training; without a prompt, a document."""
        if not prompt:
            start, text = self.tokenizer.bos_token_id, tuple(self.tokens(completion))
            # A text's first token has nothing before it to be foretold from.
            return ((start,), text) if start is not None else (text[:1], text[1:])
        end = self.tokenizer.eos_token_id if whole else None
        return tuple(self.prompt(prompt)), (*self.tokens(completion), *((end,) if end is not None else ()))

    def tokens(self, text: str) -> list[int]:
        """Token ids of bare text."""
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def text(self, tokens: Sequence[int]) -> str:
        """Text of token ids, without special tokens."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def ends(self, generation_config: Any) -> frozenset[int]:
        """The tokens that end a turn."""
        named = getattr(generation_config, "eos_token_id", None)
        ids = [*(named if isinstance(named, list) else [named]), self.tokenizer.eos_token_id]
        return frozenset(i for i in ids if i is not None)

    def _behind_system(self, messages: Sequence[Message]) -> Sequence[Message]:
        if not self.system:
            return messages
        own = messages[0].content if messages[0].role == "system" else ""
        return (Message(role="system", content=joined(self.system, own)), *messages[1 if own else 0 :])

    def _render(self, messages: Sequence[Message], generation_prompt: bool) -> str:
        from jinja2.exceptions import TemplateError

        plain = [{"role": m.role, "content": m.content} for m in messages]
        try:
            return str(self.tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=generation_prompt))
        except TemplateError as error:
            raise ModelUnavailable(f"the model's chat template refuses this conversation: {error}") from None


def joined(*systems: str) -> str:
    """System prompts one after the other."""
    return "\n\n".join(text for text in systems if text)
