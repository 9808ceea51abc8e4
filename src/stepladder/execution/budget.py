"""Budgets: what a command may spend in tokens, seconds and money, and what it has spent."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from stepladder.core import Access, BudgetExceeded, ChatModel, Reply, Request, StepladderError

ALLOWED = "'200k tokens', '1.5M tokens', '90s', '10m', '1h30m', '$2 at 0.15/0.60' (dollars a million tokens in/out)"
_TOKENS = re.compile(r"([\d.,]+) *([km]?) *(?:tokens?|tok)", re.IGNORECASE)
_TIME = re.compile(
    r"(?:([\d.]+) *h(?:ours?)?)? *(?:([\d.]+) *m(?:in(?:ute)?s?)?)? *(?:([\d.]+) *s(?:ec(?:ond)?s?)?)?", re.IGNORECASE
)
_MONEY = re.compile(r"(?:\$ *([\d.,]+)|([\d.,]+) *(?:usd|dollars?))(?: +at +\$?([\d.]+) */ *\$?([\d.]+))?", re.IGNORECASE)
_CHARACTERS_PER_TOKEN = (
    3  # below what tokenizers give on English, so that an estimate spends the budget too early, not too late
)


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens."""

    tokens_in: float
    tokens_out: float


FREE = Price(0.0, 0.0)


@dataclass(frozen=True)
class Budget:
    """Limits on one command; `None` is no limit. `price` counts the money of models whose own price nobody knows."""

    tokens: int | None = None
    seconds: float | None = None
    money: float | None = None
    price: Price | None = None

    @classmethod
    def parse(cls, text: str | None) -> Budget:
        """Read `"200k tokens, 10m, $2 at 0.15/0.60"`; nothing is no limit. A `StepladderError` else."""
        budget = cls()
        for part in re.split(r",(?!\d{3}(?!\d))", text or ""):
            if part.strip():
                budget = _with_part(budget, part.strip())
        return budget


def _with_part(budget: Budget, part: str) -> Budget:
    """`budget` with the limit that `part` sets."""
    try:
        if found := _TOKENS.fullmatch(part):
            factor = {"": 1, "k": 1_000, "m": 1_000_000}[found[2].lower()]
            return _set(budget, part, tokens=int(_number(found[1]) * factor))
        if found := _MONEY.fullmatch(part):
            price = Price(_number(found[3]), _number(found[4])) if found[3] else None
            return _set(replace(budget, price=price), part, money=_number(found[1] or found[2]))
        if (found := _TIME.fullmatch(part)) and any(found.groups()):
            hours, minutes, seconds = (_number(group or "0") for group in found.groups())
            return _set(budget, part, seconds=hours * 3600 + minutes * 60 + seconds)
    except ValueError:
        pass
    raise StepladderError(f"budget: cannot read {part!r}; allowed, joined by commas: {ALLOWED}")


def _set(budget: Budget, part: str, **limit: float) -> Budget:
    """Set one limit, once, to something above zero."""
    (name, value), *_ = limit.items()
    if value <= 0 or getattr(budget, name) is not None:
        raise StepladderError(f"budget: {part!r} sets {name} to nothing or a second time; allowed, each once: {ALLOWED}")
    return replace(budget, **limit)  # type: ignore[arg-type]


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def price_of(model: ChatModel) -> Price | None:
    """The model's own price: its `price` attribute, free where it runs on this machine, `None` where nobody knows."""
    price: Price | None = getattr(model, "price", None)
    if price is not None:
        return price
    if model.access >= Access.activations or model.name.startswith("scripted/"):
        return FREE
    inner: ChatModel | None = getattr(model, "inner", None)
    return price_of(inner) if inner is not None else None


class Spending:
    """What was spent against a budget since this object was made; units in flight are counted when they come back."""

    def __init__(self, budget: Budget | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = budget or Budget()
        self.tokens_in = 0
        self.tokens_out = 0
        self.money = 0.0
        self.estimated = False
        """Whether some tokens are estimated from the text's length, because the model reported none."""
        self._clock = clock
        self._started = clock()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    def price(self, model: ChatModel) -> Price | None:
        """Price to count `model` with; a `StepladderError` where the budget limits money and nobody knows the price."""
        price = price_of(model) or self.budget.price
        if price is None and self.budget.money is not None:
            raise StepladderError(
                f"a budget of ${self.budget.money:g} needs the price of {model.name}, which is not known; "
                f"give it in dollars for a million tokens in/out: '${self.budget.money:g} at 0.15/0.60'"
            )
        return price

    def add(self, request: Request, reply: Reply, price: Price | None) -> float:
        """Count one reply; returns what it cost in dollars, 0 where the price is unknown."""
        tokens_in, tokens_out = reply.tokens_in, reply.tokens_out
        if reply.text and not tokens_in and not tokens_out:
            tokens_in = sum(len(message.content) for message in request.messages) // _CHARACTERS_PER_TOKEN + 1
            tokens_out = len(reply.text) // _CHARACTERS_PER_TOKEN + 1
            self.estimated = True
        cost = (tokens_in * price.tokens_in + tokens_out * price.tokens_out) / 1e6 if price else 0.0
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.money += cost
        return cost

    def exceeded(self) -> BudgetExceeded | None:
        """The error to raise where a limit is reached, else `None`."""
        limits, tokens = self.budget, self.tokens_in + self.tokens_out
        note = ", estimated from lengths" if self.estimated else ""
        if limits.tokens is not None and tokens >= limits.tokens:
            return _exceeded(f"{limits.tokens:,} tokens is spent ({tokens:,}{note})")
        if limits.money is not None and self.money >= limits.money:
            return _exceeded(f"${limits.money:g} is spent (${self.money:.4f}{note})")
        if limits.seconds is not None and self.seconds >= limits.seconds:
            return _exceeded(f"{limits.seconds:g} s is spent")
        return None


def _exceeded(what: str) -> BudgetExceeded:
    return BudgetExceeded(f"the budget of {what}; what was done is stored, and a new or larger budget goes on from there")
