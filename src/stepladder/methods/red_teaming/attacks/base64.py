"""Base64: the request in an encoding that safety training rarely covered and capabilities did (mismatched generalisation).

Wei, Haghtalab, Steinhardt, Jailbroken: How Does LLM Safety Training Fail? (arXiv:2307.02483).
"""

from __future__ import annotations

from stepladder.core.values import Message
from stepladder.methods.red_teaming.attack import Attack, Setting, encoded_request


def build(request: str, setting: Setting) -> tuple[Message, ...]:
    """The request in Base64, with one line that says so."""
    return encoded_request("base64", "Base64", request)


ATTACK = Attack(name="base64", family="encoding", build=build, papers=("arXiv:2307.02483",), encoding="base64")
