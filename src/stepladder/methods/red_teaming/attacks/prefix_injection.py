"""Prefix injection: ask for an answer that opens with agreement, so that carrying on is the likeliest next step.

Wei, Haghtalab, Steinhardt, Jailbroken: How Does LLM Safety Training Fail? (arXiv:2307.02483).
"""

from __future__ import annotations

from stepladder.core.values import Message
from stepladder.methods.red_teaming.attack import Attack, Setting, user
from stepladder.methods.red_teaming.attacks.prompt import render


def build(request: str, setting: Setting) -> tuple[Message, ...]:
    """The request, then the instruction how to begin."""
    return user(render("prefix_injection", request))


ATTACK = Attack(name="prefix_injection", family="prefix_injection", build=build, papers=("arXiv:2307.02483",))
