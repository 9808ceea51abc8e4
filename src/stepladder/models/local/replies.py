"""From what the engine generated to the reply that is stored."""

from __future__ import annotations

from stepladder.core.values import Reply
from stepladder.models.local.generate import Continuation
from stepladder.models.local.sampling import Job


def fits(job: Job, context: int) -> bool:
    """Whether prompt and reply together fit the model's context."""
    return len(job.prompt) + job.max_tokens <= context


def reply_of(job: Job, result: Continuation | None, text: str, seconds: float, context: int) -> Reply:
    """The reply, or the error that says why there is none."""
    if result is None:
        error = f"a prompt of {len(job.prompt)} tokens and {job.max_tokens} new ones do not fit the context of {context}"
        return Reply(error=error, tokens_in=len(job.prompt))
    return Reply(
        text=text,
        stop_reason=result.stop_reason,
        tokens_in=len(job.prompt),
        tokens_out=len(result.tokens),
        seconds=seconds,
        logprobs=tuple(result.logprobs),
    )
