"""Direct request: the request as it is, with no attack. The baseline of every other attack."""

from __future__ import annotations

from stepladder.core.values import Message
from stepladder.methods.red_teaming.attack import Attack, Setting, user


def build(request: str, setting: Setting) -> tuple[Message, ...]:
    """The request alone, in one user turn."""
    return user(request)


ATTACK = Attack(name="direct", family="none", build=build)
