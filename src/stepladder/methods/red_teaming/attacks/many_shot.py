"""Many-shot: a long conversation in which the assistant has answered everything so far, and the request comes last.

Anil et al., Many-shot Jailbreaking (2024). Two things differ. The shots are *harmless*, so nothing dangerous is shipped:
what is left is the pattern of answering, which is weaker than shots of the harmful kind, and a lower bound of the attack.
And they are turns of the conversation, where the paper writes one faux dialogue into a single prompt. All requests share the
shots as their prefix, which an engine with a prefix cache computes once.
"""

from __future__ import annotations

from functools import cache

from stepladder.core.values import Message
from stepladder.methods.red_teaming.attack import Attack, Setting, user
from stepladder.methods.red_teaming.attacks.prompt import dialogue


@cache
def shots() -> tuple[Message, ...]:
    """The harmless turns that stand before every request."""
    return tuple(Message.model_validate({"role": role, "content": text}) for role, text in dialogue("many_shot"))


def build(request: str, setting: Setting) -> tuple[Message, ...]:
    """The shots, then the request as the last user turn."""
    return (*shots(), *user(request))


ATTACK = Attack(
    name="many_shot", family="many_shot", build=build, papers=("https://www.anthropic.com/research/many-shot-jailbreaking",)
)
