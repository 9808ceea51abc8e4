"""Leetspeak: letters replaced by digits that look like them, as in l33t.

Wei, Haghtalab, Steinhardt, Jailbroken: How Does LLM Safety Training Fail? (arXiv:2307.02483), list it among their
obfuscations.
"""

from __future__ import annotations

from stepladder.core.values import Message
from stepladder.methods.red_teaming.attack import Attack, Setting, encoded_request


def build(request: str, setting: Setting) -> tuple[Message, ...]:
    """The request in leetspeak, with one line that says so."""
    return encoded_request("leetspeak", "leetspeak", request)


ATTACK = Attack(name="leetspeak", family="encoding", build=build, papers=("arXiv:2307.02483",), encoding="leetspeak")
