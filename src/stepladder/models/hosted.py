"""Any model of Inspect as a chat model: hosted ones, local servers, mocks.

A failure of the server is a reply with `error`, never an exception and never an empty answer: an instrument that breaks must
not look like a model that declines. Retries and waiting are bounded, so a dead server costs seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stepladder.core.errors import MissingExtra, ModelUnavailable, UnknownName
from stepladder.core.method import Access
from stepladder.core.values import Message, Reply, Request

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage, Model, ModelOutput

RETRIES = 2
TIMEOUT = 120
"""Seconds for one request with its retries."""


class HostedModel:
    """One of Inspect's models; each request is a unit of work of its own."""

    access = Access.chat
    batch = 1

    def __init__(self, name: str, model: Model) -> None:
        self.name, self._model = name, model
        self._retries = RETRIES
        # A server can change behind its name and address; these are all that can be known of it.
        address = getattr(model.api, "base_url", None)
        self.fingerprint = f"{name}@{address}" if address else name

    async def reply_many(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request; all are sent together."""
        return list(await asyncio.gather(*(self._reply(request) for request in requests)))

    async def _reply(self, request: Request) -> Reply:
        from inspect_ai.model import GenerateConfig

        start = time.perf_counter()
        config = GenerateConfig(
            max_tokens=request.max_tokens, temperature=request.temperature, seed=request.seed,
            max_retries=self._retries, timeout=TIMEOUT, attempt_timeout=TIMEOUT // 2,
        )  # fmt: skip
        try:
            output = await self._model.generate([_message(m) for m in request.messages], config=config, cache=False)
        except Exception as error:  # whatever a provider raises, the request was not answered
            self._retries = 0  # the waiting was in vain: until something answers, the others fail at once
            return Reply(error=_reason(error), seconds=time.perf_counter() - start)
        self._retries = RETRIES
        return read_output(output, time.perf_counter() - start)


def open_hosted(name: str) -> HostedModel:
    """The Inspect model of that name.

    Raises `UnknownName` for an unknown provider, `MissingExtra` for one whose client is not installed, and
    `ModelUnavailable` where a key or address is missing.
    """
    from inspect_ai.model import get_model

    _check_provider(name)
    try:
        return HostedModel(name, get_model(name, memoize=False))
    except ImportError as error:
        raise MissingExtra(f"{name} needs a package that is not installed: {error}") from None
    except Exception as error:
        raise ModelUnavailable(f"cannot open {name}: {_reason(error)}") from None


def read_output(output: ModelOutput, seconds: float = 0.0) -> Reply:
    """An Inspect output as a reply; an empty one is an error."""
    usage = output.usage
    asked = Reply(
        error=_line(output.error) if output.error else "model answered nothing",
        tokens_in=usage.input_tokens if usage else 0,
        tokens_out=usage.output_tokens if usage else 0,
        seconds=seconds,
    )
    if output.error:
        return asked
    text = output.choices[0].message.text if output.choices else ""
    reason = output.choices[0].stop_reason if output.choices else "unknown"
    if not text and reason != "content_filter":
        return asked.model_copy(update={"stop_reason": reason})
    return asked.model_copy(update={"stop_reason": reason, "text": text, "error": None})


def _message(message: Message) -> ChatMessage:
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    if message.role == "system":
        return ChatMessageSystem(content=message.content)
    if message.role == "user":
        return ChatMessageUser(content=message.content)
    return ChatMessageAssistant(content=message.content)


def _check_provider(name: str) -> None:
    from inspect_ai._util.registry import registry_find, registry_unqualified_name

    known = {registry_unqualified_name(info): info for info in _provider_infos(registry_find)}
    if name.partition("/")[0] not in known:
        own = ["smollm2", "hf/<id or folder>", "scripted/<name>"]
        raise UnknownName("model", name, [*own, *(f"{provider}/<model>" for provider in sorted(known))])


def _provider_infos(registry_find: Any) -> list[Any]:
    from inspect_ai._util.registry import registry_info

    return [registry_info(found) for found in registry_find(lambda info: info.type == "modelapi")]


def _reason(error: BaseException) -> str:
    """The innermost cause in one line: retry wrappers and provider classes say less than what they wrap."""
    while (inner := _inner(error)) is not None:
        error = inner
    text = _line(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _inner(error: BaseException) -> BaseException | None:
    attempt = getattr(error, "last_attempt", None)  # tenacity's RetryError
    return error.__cause__ or (attempt.exception() if attempt is not None else None)


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
