"""From answers to a record: what several techniques of this family share."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from stepladder.core.errors import StepladderError
from stepladder.core.keys import code_version
from stepladder.core.method import Context, Method, record_key
from stepladder.core.values import Exchange, Record


def keep(
    method: Method, context: Context, config: Any, data: Mapping[str, Any], exchanges: Sequence[Exchange] = ()
) -> Record:
    """The record with its key. `exchanges` are what a judge will read; `data` what the technique reads by itself."""
    return Record(
        key=record_key(method, context, config),
        method=method.name,
        family=method.family,
        subject=context.subject.name,
        config=json.loads(json.dumps(dataclasses.asdict(config))),
        seed=context.seed,
        code_version=code_version(method.record),
        exchanges=tuple(exchanges),
        data=json.loads(json.dumps(data)),
    )


def require_at_least(method: str, option: str, value: float, least: float) -> None:
    """Raise a `StepladderError` that names the option if its value is below `least`."""
    if value < least:
        raise StepladderError(f"{method}: {option} is {value}; allowed: {least} or more")
