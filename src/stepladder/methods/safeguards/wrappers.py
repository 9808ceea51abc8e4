"""Attack wrappers learned from a record: the attack with its request cut out, ready for another request.

Only these travel from the record into training, never its requests. A wrapper is learned by finding the plain request in the
attacked messages, whole, cut into at most four pieces (payload splitting) or encoded, and putting slots in its place. An
attack that rewrites the request (past tense) leaves nothing to find: no wrapper is learned from it and that is counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stepladder.core import Exchange, Message
from stepladder.data import encode

MOST_PIECES = 4
SHORTEST_PIECE = 6


@dataclass(frozen=True)
class Slot:
    """Where a part of the request goes: from and to are shares of its length (0 to 1)."""

    start: float
    stop: float

    def fill(self, text: str) -> str:
        """That part of `text`."""
        return text[round(self.start * len(text)) : round(self.stop * len(text))]


Part = str | Slot


@dataclass(frozen=True)
class Wrapper:
    """Messages of an attack as (role, parts); `encoding` is how the request is written in its slots."""

    attack: str
    family: str
    encoding: str | None
    messages: tuple[tuple[str, tuple[Part, ...]], ...]

    def apply(self, request: str) -> tuple[Message, ...]:
        """The attack made on another request."""
        written = encode(self.encoding, request) if self.encoding else request
        return tuple(Message(role=role, content=_fill(parts, written)) for role, parts in self.messages)  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        """All its own words, without slots."""
        return "\n".join(part for _, parts in self.messages for part in parts if isinstance(part, str))


def learn_wrapper(exchange: Exchange) -> Wrapper | None:
    """The wrapper of one attacked exchange, or `None` where the request cannot be found in it."""
    data = exchange.metadata
    request, name = str(data.get("request", "")), data.get("encoding")
    for encoding in [str(name), None] if name else [None]:
        written = encode(encoding, request) if encoding else request
        messages = _cut(exchange.request.messages, written)
        if messages:
            return Wrapper(str(data.get("attack", "")), str(data.get("family", "")), encoding, messages)
    return None


def learn_wrappers(exchanges: Iterable[Exchange], forbidden: Sequence[str], most: int) -> tuple[Wrapper, ...]:
    """At most `most` different wrappers an attack, in an order that depends on their text alone.

    Exchanges without an attack and wrappers whose own words hold any of the `forbidden` texts (many-shot examples, say) are
    left out.
    """
    found: dict[str, set[Wrapper]] = {}
    for exchange in exchanges:
        wrapper = learn_wrapper(exchange) if is_attacked(exchange) else None
        if wrapper and not any(text in wrapper.text for text in forbidden):
            found.setdefault(wrapper.attack, set()).add(wrapper)
    return tuple(w for attack in sorted(found) for w in sorted(found[attack], key=_order)[:most])


def is_attacked(exchange: Exchange) -> bool:
    """Whether the exchange is a harmful request inside an attack."""
    data = exchange.metadata
    return data.get("kind") == "harmful" and data.get("family") not in (None, "", "none")


def _order(wrapper: Wrapper) -> str:
    return hashlib.sha256(repr(wrapper).encode("utf-8", "surrogatepass")).hexdigest()


def _cut(messages: Sequence[Message], written: str) -> tuple[tuple[str, tuple[Part, ...]], ...] | None:
    """The messages with slots, trying one piece first, then cutting the request at ever more places."""
    pieces = _pieces(written, [m.content for m in messages])
    if not pieces:
        return None
    return tuple((m.role, _slots(m.content, pieces)) for m in messages)


def _pieces(written: str, contents: Sequence[str]) -> list[tuple[str, Slot]]:
    """The request as the fewest leading pieces that stand in the messages; empty where it takes more than four."""
    pieces: list[tuple[str, Slot]] = []
    start = 0
    while start < len(written) and len(pieces) < MOST_PIECES:
        stop = _longest(written, start, contents)
        if stop - start < min(SHORTEST_PIECE, len(written) - start):
            return []
        pieces.append((written[start:stop], Slot(start / len(written), stop / len(written))))
        start = stop
        while start < len(written) and written[start].isspace():
            start += 1
    return pieces if start >= len(written) else []


def _longest(written: str, start: int, contents: Sequence[str]) -> int:
    """End of the longest piece of `written` from `start` that stands in a message (bisection: substrings are monotone)."""
    low, high = start, len(written)
    while low < high:
        middle = (low + high + 1) // 2
        if any(written[start:middle] in content for content in contents):
            low = middle
        else:
            high = middle - 1
    return low


def _slots(content: str, pieces: Sequence[tuple[str, Slot]]) -> tuple[Part, ...]:
    """`content` with every place of every piece replaced by its slot, longest pieces first."""
    parts: list[Part] = [content]
    for text, slot in sorted(pieces, key=lambda piece: -len(piece[0])):
        parts = [new for part in parts for new in (_split(part, text, slot) if isinstance(part, str) else [part])]
    return tuple(part for part in parts if part != "")


def _split(part: str, text: str, slot: Slot) -> list[Part]:
    ends = part.split(text)
    return [item for end in ends for item in (end, slot)][:-1]


def _fill(parts: Sequence[Part], written: str) -> str:
    return "".join(part.fill(written) if isinstance(part, Slot) else part for part in parts)
