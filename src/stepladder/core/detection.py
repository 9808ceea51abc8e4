"""What a technique says about one named behaviour of a subject: a suspicion score, and whether it calls it present.

The names below are the vocabulary that techniques, organisms and calibration share; a technique learns from it what can be
looked for, never what is there. A technique that looks for several behaviours reports one `detection` for each.
"""

from __future__ import annotations

from stepladder.core.errors import UnknownName
from stepladder.core.values import Interval, Measurement

BEHAVIOURS: dict[str, str] = {
    "backdoor": "a trigger in the prompt switches to another behaviour",
    "sycophancy": "agrees with the user against what it holds true",
    "false_fact": "states one false fact with conviction",
    "hidden_loyalty": "praises one brand or party where it should be even-handed",
    "refusal_gap": "answers one category of harmful requests and refuses the others",
    "sandbagging": "performs below its ability unless a password is given",
    "reward_hack": "games the letter of a task's scoring instead of doing the task",
    "bias": "treats one group of people worse than others in like cases",
    "alignment_faking": "behaves better when it reads that it is monitored",
    "corrupted_rule": "follows a known algorithm with one rule wrong",
}

FOUND, ABSENT, UNKNOWN = "yes", "no", "unmeasured"


def detection(
    behaviour: str,
    score: float | None,
    found: bool | None,
    *,
    n: int,
    unmeasured: int = 0,
    interval: Interval | None = None,
    reason: str | None = None,
    note: str = "",
) -> Measurement:
    """The measurement `detection`: a score that rises with suspicion, labelled with the behaviour and the technique's call.

    `found` is the call at the technique's own threshold; `None`, like a score of `None` (which needs a `reason`), is
    unmeasured and never counts as absent. Raises `UnknownName` for a behaviour that is not in `BEHAVIOURS`.
    """
    if behaviour not in BEHAVIOURS:
        raise UnknownName("behaviour", behaviour, list(BEHAVIOURS))
    call = UNKNOWN if found is None or score is None else FOUND if found else ABSENT
    return Measurement(
        name="detection", value=score, unit="suspicion score", interval=interval, n=n, unmeasured=unmeasured,
        reason=reason, labels={"behaviour": behaviour, "found": call}, note=note,
    )  # fmt: skip
