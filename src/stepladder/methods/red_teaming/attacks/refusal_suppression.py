"""Refusal suppression: rules that forbid the words and turns of phrase that refusals are made of.

Wei, Haghtalab, Steinhardt, Jailbroken: How Does LLM Safety Training Fail? (arXiv:2307.02483).
"""

from __future__ import annotations

from stepladder.core.values import Message
from stepladder.methods.red_teaming.attack import Attack, Setting, user
from stepladder.methods.red_teaming.attacks.prompt import render


def build(request: str, setting: Setting) -> tuple[Message, ...]:
    """The rules, then the request."""
    return user(render("refusal_suppression", request))


ATTACK = Attack(name="refusal_suppression", family="refusal_suppression", build=build, papers=("arXiv:2307.02483",))
