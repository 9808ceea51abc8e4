"""What the classifiers read of a request and its reply: text for TF-IDF, token activations for the probes.

Both read a bounded part. A long conversation is cut to its last messages and each message to its head and tail; of a reply
only the opening is read, as long as the replies the guard was calibrated on. So the guard can act while the reply still
streams, and what happens later in a reply is out of its sight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stepladder.core import Message
from stepladder.methods.safeguards.cascade import INPUT
from stepladder.methods.safeguards.features import elide
from stepladder.methods.safeguards.probe import normalise

Features = NDArray[np.float32]
CHUNK = 128
"""Conversations whose activations are held at once."""


class ActivationSource(Protocol):
    """The part of a white-box model that the probes use."""

    fingerprint: str

    def activations(
        self,
        conversations: Sequence[tuple[Message, ...]],
        layers: Sequence[int],
        site: str = "residual",
        generation_prompt: bool = False,
    ) -> list[Any]:
        """One array (tokens, layers, width) a conversation."""
        ...


@dataclass(frozen=True)
class Item:
    """A request's messages with the reply, or without one yet."""

    messages: tuple[Message, ...]
    reply: str | None = None


@dataclass(frozen=True)
class Reader:
    """How much is read: `characters` of the conversation and `reply` characters of the reply; which `layers` are probed."""

    characters: int
    reply: int
    layers: tuple[int, ...] = ()
    source: ActivationSource | None = field(default=None, compare=False)

    def input_text(self, item: Item) -> str:
        """All that was sent, a prefilled beginning of the answer included."""
        return "\n".join(message.content for message in item.messages)

    def exchange_text(self, item: Item) -> str:
        """What was sent and the opening of the reply."""
        return f"{self.input_text(item)}\n{(item.reply or '')[: self.reply]}"

    def text(self, moment: str, item: Item) -> str:
        """What TF-IDF reads at that moment."""
        return self.input_text(item) if moment == INPUT else self.exchange_text(item)

    def tokens(self, moment: str, items: Sequence[Item]) -> Iterator[Features]:
        """Activations, (tokens, features) an item: up to where the subject begins to answer, or with the reply."""
        if moment == INPUT:
            return self._tokens([self.prompt(item) for item in items], generation_prompt=True)
        return self._tokens([self.conversation(item) for item in items], generation_prompt=False)

    def prompt(self, item: Item) -> tuple[Message, ...]:
        """The last messages that fit, without a prefill; the very last is always there."""
        messages = item.messages[:-1] if _prefill(item) else item.messages
        room, kept = self.characters, list[Message]()
        for message in reversed(messages):
            if kept and len(message.content) > room:
                break
            kept.append(Message(role=message.role, content=elide(message.content, max(room, 1))))
            room -= len(message.content)
        return tuple(reversed(kept))

    def conversation(self, item: Item) -> tuple[Message, ...]:
        """The prompt, then the prefill (if any) and the opening of the reply as the assistant's turn."""
        said = (_prefill(item) + (item.reply or "")[: self.reply]).strip()
        return (*self.prompt(item), Message(role="assistant", content=said))

    def _tokens(self, conversations: Sequence[tuple[Message, ...]], generation_prompt: bool) -> Iterator[Features]:
        if self.source is None:
            raise ValueError("a reader without a source of activations has no tokens")
        for start in range(0, len(conversations), CHUNK):
            chunk = conversations[start : start + CHUNK]
            found = self.source.activations(chunk, self.layers, generation_prompt=generation_prompt)
            yield from (normalise(np.asarray(each)) for each in found)


def _prefill(item: Item) -> str:
    last = item.messages[-1]
    return last.content if last.role == "assistant" and len(item.messages) > 1 else ""
