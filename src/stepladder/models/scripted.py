"""Models that follow a script: for tests, and for a tour that needs no weights.

Every answer is a function of the conversation and the request's seed (whatever the temperature), so runs repeat exactly.

* `scripted/demo`: a fictional chat model with shallow safety training; see `stepladder.models.demo`
* `scripted/refuse`, `scripted/comply`, `scripted/echo`: always the same
* `scripted/bernoulli-<p>`: complies with probability p, independently over seeds and conversations
* `scripted/down`: no connection; `scripted/nonsense`: empty text or garbage
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stepladder.core.errors import UnknownName
from stepladder.core.keys import digest
from stepladder.core.method import Access
from stepladder.core.values import Reply, Request
from stepladder.models.demo import COMPLIANCE, REFUSALS, demo_answer, draw

SCRIPTS = ("demo", "refuse", "comply", "echo", "bernoulli-<p>", "down", "nonsense")
VERSION = 1

Script = Callable[[Request], Reply]


class ScriptedModel:
    """A chat model made of a function from request to reply."""

    access = Access.chat
    batch = 1

    def __init__(self, name: str, script: Script) -> None:
        self.name, self._script = name, script
        self.fingerprint = f"{name}:{VERSION}"

    async def reply_many(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, each independent of the others."""
        return [self._script(request) for request in requests]


def open_scripted(name: str) -> ScriptedModel:
    """The scripted model of that name; `UnknownName` lists the scripts."""
    script = name.partition("/")[2]
    if script.startswith("bernoulli-"):
        return ScriptedModel(name, _bernoulli(_probability(name, script.removeprefix("bernoulli-"))))
    if script not in _PLAIN:
        raise UnknownName("model", name, [f"scripted/{s}" for s in SCRIPTS])
    return ScriptedModel(name, _PLAIN[script])


def spoken(request: Request, text: str) -> Reply:
    """The text as a reply, cut at `max_tokens`; a word counts as a token."""
    words = text.split(" ")
    cut = len(words) > request.max_tokens
    return Reply(
        text=" ".join(words[: request.max_tokens]),
        stop_reason="max_tokens" if cut else "stop",
        tokens_in=sum(len(m.content.split()) for m in request.messages),
        tokens_out=min(len(words), request.max_tokens),
    )


def _probability(name: str, text: str) -> float:
    try:
        probability = float(text)
    except ValueError:
        probability = -1.0
    if not 0 <= probability <= 1:
        raise UnknownName("model", name, ["scripted/bernoulli-<p> with p from 0 to 1, as in scripted/bernoulli-0.3"])
    return probability


def _bernoulli(probability: float) -> Script:
    def answer(request: Request) -> Reply:
        complies = draw(request, "bernoulli") < probability
        return spoken(request, COMPLIANCE if complies else REFUSALS[0])

    return answer


def _echo(request: Request) -> Reply:
    return spoken(request, request.messages[-1].content)


def _down(request: Request) -> Reply:
    return Reply(error="connection refused (scripted/down never answers)")


def _nonsense(request: Request) -> Reply:
    key = digest([request.seed, request.messages[-1].content])
    return spoken(request, ("", " \n", f"\ufffd\x00{key} {key} {key}", "]]}>{{" * 9)[int(key, 16) % 4])


_PLAIN: dict[str, Script] = {
    "demo": lambda request: spoken(request, demo_answer(request)),
    "refuse": lambda request: spoken(request, REFUSALS[0]),
    "comply": lambda request: spoken(request, COMPLIANCE),
    "echo": _echo,
    "down": _down,
    "nonsense": _nonsense,
}
