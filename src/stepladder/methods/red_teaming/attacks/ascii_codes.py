"""ASCII codes: each character written as its number.

Yuan et al., GPT-4 Is Too Smart To Be Safe: Stealthy Chat with LLMs via Cipher (arXiv:2308.06463).
"""

from __future__ import annotations

from stepladder.core.values import Message
from stepladder.methods.red_teaming.attack import Attack, Setting, encoded_request


def build(request: str, setting: Setting) -> tuple[Message, ...]:
    """The request in ASCII codes, with one line that says so."""
    return encoded_request("ascii", "ASCII codes", request)


ATTACK = Attack(name="ascii_codes", family="encoding", build=build, papers=("arXiv:2308.06463",), encoding="ascii")
