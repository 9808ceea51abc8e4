"""Template file: a jailbreak template with a place for the request, drawn at random from a file of them.

Yu et al., GPTFUZZER (arXiv:2309.10253), collected human-written templates of this shape; their file can be given as it is.
Each request gets one template, drawn by the seed, so the rate estimates the mean over the file and not its best template.
"""

from __future__ import annotations

from stepladder.core.errors import StepladderError
from stepladder.core.values import Message
from stepladder.methods.red_teaming.attack import Attack, Setting, user


def build(request: str, setting: Setting) -> tuple[Message, ...]:
    """One template of the setting's with the request in the place of its marker."""
    if not setting.templates:
        raise StepladderError("attack template_file has no templates to draw from; give a file that holds at least one")
    return user(setting.rng.choice(setting.templates).fill(request))


ATTACK = Attack(name="template_file", family="template", build=build, papers=("arXiv:2309.10253",))
