"""The loop: one rung of finding, strengthening, auditing and certifying, the climb from rung to rung, and their pieces."""

from stepladder.loop.certificate import Certificate, find_certificate
from stepladder.loop.chain import Climb, climb, ladder
from stepladder.loop.doctor import Check, examine
from stepladder.loop.measure import Bench, Measured, measure, open_bench
from stepladder.loop.policy import GateResult, check_policy
from stepladder.loop.rejudge import Flip, Rejudgement, rejudge
from stepladder.loop.rung import Rung, rebuild_report, run

__all__ = [
    "Bench",
    "Certificate",
    "Check",
    "Climb",
    "Flip",
    "GateResult",
    "Measured",
    "Rejudgement",
    "Rung",
    "check_policy",
    "climb",
    "examine",
    "find_certificate",
    "ladder",
    "measure",
    "open_bench",
    "rebuild_report",
    "rejudge",
    "run",
]
