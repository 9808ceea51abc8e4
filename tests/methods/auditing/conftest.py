"""Subjects with a known quirk, and clean ones: functions from the last question to an answer, with or without logprobs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stepladder.core import Context, Exchange, Request

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves neighbours out of reach

from audit_subjects import Talker, clean


def ask(model: Any, requests: Sequence[Request], *, label: str) -> tuple[Exchange, ...]:
    replies = asyncio.run(model.reply_many(requests))
    return tuple(Exchange(request=q, reply=a) for q, a in zip(requests, replies, strict=True))


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., Context]:
    """`context(subject, base=..., rows=..., seed=...)`; the base is a clean talker unless `base=None`."""

    def make(subject: Any, base: Any = "clean", rows: Any = (), seed: int = 0) -> Context:
        base = Talker("base", clean) if base == "clean" else base
        models = {} if base is None else {"base": base}
        return Context(subject=subject, ask=ask, folder=tmp_path, seed=seed, models=models, training_rows=tuple(rows))

    return make
