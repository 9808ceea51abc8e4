"""Role play: the answer is given by a character in a story who has no reason to refuse.

Shen et al., "Do Anything Now": Characterizing and Evaluating In-The-Wild Jailbreak Prompts (arXiv:2308.03825) describe the
many prompts of this kind that people pass around; the scene here is our own.
"""

from __future__ import annotations

from stepladder.core.values import Message
from stepladder.methods.red_teaming.attack import Attack, Setting, user
from stepladder.methods.red_teaming.attacks.prompt import render


def build(request: str, setting: Setting) -> tuple[Message, ...]:
    """The scene, with the request put to the character."""
    return user(render("role_play", request))


ATTACK = Attack(name="role_play", family="role_play", build=build, papers=("arXiv:2308.03825",))
