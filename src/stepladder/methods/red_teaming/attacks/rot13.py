"""ROT13: each letter moved thirteen places through the alphabet.

Wei, Haghtalab, Steinhardt, Jailbroken: How Does LLM Safety Training Fail? (arXiv:2307.02483), list it among their
obfuscations.
"""

from __future__ import annotations

from stepladder.core.values import Message
from stepladder.methods.red_teaming.attack import Attack, Setting, encoded_request


def build(request: str, setting: Setting) -> tuple[Message, ...]:
    """The request in ROT13, with one line that says so."""
    return encoded_request("rot13", "ROT13", request)


ATTACK = Attack(name="rot13", family="encoding", build=build, papers=("arXiv:2307.02483",), encoding="rot13")
