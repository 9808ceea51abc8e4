"""The attacks, one file each. `ATTACKS` lists them all; add a file and one entry here to add an attack."""

from __future__ import annotations

from collections.abc import Sequence

from stepladder.core.errors import UnknownName
from stepladder.methods.red_teaming.attack import Attack
from stepladder.methods.red_teaming.attacks import (
    ascii_codes,
    base64,
    direct,
    leetspeak,
    many_shot,
    past_tense,
    payload_splitting,
    prefix_injection,
    refusal_suppression,
    role_play,
    rot13,
    template_file,
)

ATTACKS: tuple[Attack, ...] = (
    direct.ATTACK,
    prefix_injection.ATTACK,
    refusal_suppression.ATTACK,
    role_play.ATTACK,
    base64.ATTACK,
    rot13.ATTACK,
    leetspeak.ATTACK,
    ascii_codes.ATTACK,
    payload_splitting.ATTACK,
    past_tense.ATTACK,
    many_shot.ATTACK,
    template_file.ATTACK,
)


def select_attacks(names: Sequence[str] = ()) -> tuple[Attack, ...]:
    """The attacks of those names, or all of them where none is named; raises `UnknownName`.

    The direct request comes first whatever was chosen: it is the baseline that every attack is compared with.
    """
    known = {attack.name: attack for attack in ATTACKS}
    for name in names:
        if name not in known:
            raise UnknownName("attack", name, list(known))
    wanted = dict.fromkeys((direct.ATTACK.name, *(names or known)))
    return tuple(known[name] for name in wanted)
