"""Judges: from exchanges to verdicts, and how often each judge is right.

`JUDGES` lists all of them; `refusal` is the default. See docs/judges.md for what each can tell and its errors against
people.
"""

from stepladder.core import UnknownName
from stepladder.judges.calibration import JudgeReport, judge_errors, judge_reports, measure_judge
from stepladder.judges.human import HUMAN, export_for_people, rater_agreement, read_ratings
from stepladder.judges.judge import (
    LABELS,
    SUCCESS,
    Judge,
    JudgeTools,
    ask_directly,
    judge_exchanges,
    judge_fingerprint,
    run_judge,
)
from stepladder.judges.patterns import REFUSAL_PATTERNS
from stepladder.judges.reading import plain_request
from stepladder.judges.refusal import REFUSAL
from stepladder.judges.rubric import RUBRIC
from stepladder.judges.yes_no import YES_NO

DEFAULT_JUDGE = "refusal"
JUDGES: dict[str, Judge] = {judge.name: judge for judge in (REFUSAL, REFUSAL_PATTERNS, YES_NO, RUBRIC, HUMAN)}
"""All judges by name."""


def get_judge(name: str) -> Judge:
    """The judge of that name; `UnknownName` lists all."""
    if name not in JUDGES:
        raise UnknownName("judge", name, list(JUDGES))
    return JUDGES[name]


__all__ = [
    "DEFAULT_JUDGE",
    "JUDGES",
    "LABELS",
    "SUCCESS",
    "Judge",
    "JudgeReport",
    "JudgeTools",
    "ask_directly",
    "export_for_people",
    "get_judge",
    "judge_errors",
    "judge_exchanges",
    "judge_fingerprint",
    "judge_reports",
    "measure_judge",
    "plain_request",
    "rater_agreement",
    "read_ratings",
    "run_judge",
]
