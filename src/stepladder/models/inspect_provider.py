"""Our local and scripted models as an Inspect provider: `--model stepladder/smollm2`, `stepladder/hf/<folder>`.

Requests that wait at the same time are answered in one batch. Inspect builds a provider more than once to learn its name, so
nothing is loaded before the first question.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelAPI,
    ModelOutput,
    ModelUsage,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from stepladder.core.errors import ModelUnavailable, UnknownName
from stepladder.core.method import ChatModel
from stepladder.core.values import Message, Reply, Request
from stepladder.models.names import open_model

if TYPE_CHECKING:
    from stepladder.models.local.model import LocalModel

MAX_TOKENS = 256
"""New tokens where neither the task nor the user sets a limit."""

UNSUPPORTED = {"top_p": 1, "top_k": None, "frequency_penalty": 0, "presence_penalty": 0, "num_choices": 1, "best_of": 1}
"""Options that the engine does not have, with the value that means the same as not setting them."""


class StepladderAPI(ModelAPI):
    """Inspect's view of a local or scripted model.

    Understands `max_tokens`, `temperature` (0 where not set), `seed`, `stop_seqs`, `logit_bias` and `logprobs`, and refuses
    other sampling options rather than ignoring them.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - Inspect's own signature
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        if model_args:
            raise UnknownName("model argument", ", ".join(model_args), ("none",))

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """Answer one conversation; waits for a batch where others are being answered."""
        _check(tools, config)
        request = _request(input, config)
        model = _opened(self.model_name)
        if _is_local(model):
            bias = {int(token): value for token, value in (config.logit_bias or {}).items()}
            reply, tokens = await model.reply_one(request, bias)
            return self._output(reply, config, tokens)
        return self._output((await model.reply_many([request]))[0], config, ())

    async def count_text_tokens(self, text: str) -> int:
        """Tokens by the model's own tokenizer; words for scripted models."""
        model = _opened(self.model_name)
        return model.count_tokens(text) if _is_local(model) else len(text.split())

    def max_connections(self) -> int:
        """As many requests as make a full batch."""
        return 64

    def connection_key(self) -> str:
        """Each model has its own queue."""
        return self.model_name

    def _output(self, reply: Reply, config: GenerateConfig, tokens: tuple[str, ...]) -> ModelOutput:
        if reply.text is None:
            raise ModelUnavailable(f"stepladder/{self.model_name}: {reply.error}")
        text, stopped = _cut(reply.text, config.stop_seqs or [])
        choice = ChatCompletionChoice(
            message=ChatMessageAssistant(content=text, model=self.model_name, source="generate"),
            stop_reason="stop" if stopped else reply.stop_reason,  # type: ignore[arg-type]
            logprobs=_logprobs(reply, tokens) if config.logprobs else None,
        )
        usage = ModelUsage(
            input_tokens=reply.tokens_in, output_tokens=reply.tokens_out, total_tokens=reply.tokens_in + reply.tokens_out
        )
        return ModelOutput(model=self.model_name, choices=[choice], usage=usage)


@cache
def _opened(name: str) -> Any:
    """One model a name for the whole process, however many providers Inspect builds."""
    model: ChatModel = open_model(name)
    return model


def _is_local(model: ChatModel | LocalModel) -> bool:
    return hasattr(model, "reply_one")


def _check(tools: list[ToolInfo], config: GenerateConfig) -> None:
    asked = [name for name, neutral in UNSUPPORTED.items() if getattr(config, name) not in (None, neutral)]
    asked += ["response_schema"] if config.response_schema else []
    asked += ["tools"] if tools else []
    if asked:
        raise ModelUnavailable(f"stepladder models do not support {', '.join(asked)}")


def _request(input: list[ChatMessage], config: GenerateConfig) -> Request:
    messages = tuple(Message(role=_role(message), content=message.text) for message in input)
    limit = config.max_tokens or MAX_TOKENS
    return Request(
        id="", messages=messages, max_tokens=limit, temperature=config.temperature or 0.0, seed=config.seed or 0
    )  # fmt: skip


def _role(message: ChatMessage) -> Any:
    if message.role == "tool":
        raise ModelUnavailable("stepladder models do not support tools")
    return message.role


def _cut(text: str, stops: list[str]) -> tuple[str, bool]:
    """The text before the first of the stop sequences, and whether there was one."""
    places = [text.index(stop) for stop in stops if stop in text]
    return (text[: min(places)], True) if places else (text, False)


def _logprobs(reply: Reply, tokens: tuple[str, ...]) -> Logprobs:
    pairs = zip(tokens, reply.logprobs or (), strict=False)
    return Logprobs(content=[Logprob(token=token, logprob=logprob) for token, logprob in pairs])
