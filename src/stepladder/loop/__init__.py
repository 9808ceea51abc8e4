"""The loop: one rung of finding, strengthening and finding again, and the pieces it is made of."""

from stepladder.loop.doctor import Check, examine
from stepladder.loop.measure import Bench, Measured, measure, open_bench
from stepladder.loop.policy import GateResult, check_policy
from stepladder.loop.rejudge import Flip, Rejudgement, rejudge
from stepladder.loop.rung import Rung, rebuild_report, run

__all__ = [
    "Bench",
    "Check",
    "Flip",
    "GateResult",
    "Measured",
    "Rejudgement",
    "Rung",
    "check_policy",
    "examine",
    "measure",
    "open_bench",
    "rebuild_report",
    "rejudge",
    "run",
]
