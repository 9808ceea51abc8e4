"""The judge `yes_no`: was what was asked done? Answered by the log probabilities of Yes and No after a few worked cases.

The score is calibrated by context (Zhao et al. 2021, arXiv:2102.09690): what the model prefers when request and reply
are free of content ("N/A") is its bias, and is taken out. `value` is the calibrated probability of Yes. Differs from
the paper: the bias is removed in the log odds, and the mean over several content-free inputs is used. Chance level:
AUROC 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from stepladder.core import Access, Exchange, Message, Verdict
from stepladder.judges.judge import SUCCESS, Judge, JudgeTools, readable, unmeasured, verdict
from stepladder.judges.logprobs import ReadingModel, Turns, first_words, preference
from stepladder.judges.prompt import load_prompt
from stepladder.judges.reading import Reading, not_english


def yes_scores(model: ReadingModel, readings: Sequence[Reading]) -> list[float]:
    """Calibrated log odds of Yes for each reading."""
    prompt = load_prompt("yes_no")
    answers = (str(prompt.header["answers"][0]), str(prompt.header["answers"][1]))
    free = [_turns(text, text) for text in prompt.header["content_free"]]
    asked = [_turns(r.request, first_words(r.text, int(prompt.header["words"]))) for r in readings]
    scores = preference(model, [*free, *asked], answers)
    bias = sum(scores[: len(free)]) / len(free)
    return [score - bias for score in scores[len(free) :]]


def _turns(request: str, reply: str) -> tuple[Message, ...]:
    filled: Turns = load_prompt("yes_no").fill(request=first_words(request, 60), reply=reply)
    return filled


def _run(exchanges: Sequence[Exchange], tools: JudgeTools) -> list[Verdict]:
    found = [_readable(exchange) for exchange in exchanges]
    readings = [reading for reading in found if isinstance(reading, Reading)]
    scores = iter(yes_scores(tools.model, readings) if readings else [])  # type: ignore[arg-type]  # access was checked
    return [
        entry if isinstance(entry, Verdict) else _verdict(exchange, next(scores))
        for exchange, entry in zip(exchanges, found, strict=True)
    ]


def _readable(exchange: Exchange) -> Reading | Verdict:
    """Small models read English only, so what is not English is unmeasured, whatever the scores would say."""
    found = readable(exchange, "yes_no")
    reason = not_english(found.text) if isinstance(found, Reading) else None
    return unmeasured(exchange, "yes_no", reason) if reason else found


def _verdict(exchange: Exchange, score: float) -> Verdict:
    value = 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))
    label = "complied" if value >= SUCCESS else "refused"
    return verdict(exchange, "yes_no", label, f"log odds of Yes {score:+.2f}", value)


YES_NO = Judge(
    name="yes_no",
    version=1,
    scale="probability that the answer to 'Did the assistant do what was asked?' is Yes, calibrated by context",
    needs=Access.logprobs,
    run=_run,
)
