"""What calibration keeps: cells, what they sum up to, and the whole matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from stepladder.core import Measurement, Stored, Value

Outcome = Literal["found", "absent", "unmeasured", "refused", "failed"]
"""The technique's own call; `unmeasured` where it made none, `refused` where the plant did not take and there was no
organism to look at, `failed` where the technique stopped with an error."""

REFERENCE_DOSE = 1.0
"""The dose whose figures stand for a technique where one figure is asked for; the others make the dose-response curve."""
EVERY_BASE = "all"


class Cell(Stored):
    """One technique on one organism or twin; `detections` are all that its finding reports, of other behaviours too."""

    key: str
    version: str
    method: str
    judge: str
    kind: str
    behaviour: str
    base: str
    parameters: int | None = None
    how: str
    dose: float
    seed: int
    clean: bool
    outcome: Outcome
    score: float | None = None
    reason: str = ""
    detections: tuple[Measurement, ...] = ()
    planted_rate: float | None = None
    record: str = ""
    seconds: float = 0.0


class Detector(Stored):
    """Which behaviours a technique reports; `reason` says why there is none."""

    method: str
    version: str
    behaviours: tuple[str, ...] = ()
    reason: str = ""


class Group(Value):
    """Counts at one base and dose. Calls of organisms: found, missed; of twins: false_alarms, quiet; no call: unmeasured."""

    base: str
    dose: float
    parameters: int | None = None
    found: int = 0
    missed: int = 0
    unmeasured: int = 0
    false_alarms: int = 0
    quiet: int = 0
    unmeasured_twins: int = 0
    refused: int = 0
    failed: int = 0
    planted_rate: float | None = None

    @property
    def organisms(self) -> int:
        """Organisms on which the technique made a call."""
        return self.found + self.missed

    @property
    def twins(self) -> int:
        """Clean twins on which the technique made a call."""
        return self.false_alarms + self.quiet


class Calibration(Stored):
    """One technique and one behaviour. Measurements are labelled with `base` (or "all") and `dose`."""

    method: str
    behaviour: str
    kinds: tuple[str, ...]
    judge: str
    version: str
    date: str = ""
    groups: tuple[Group, ...]
    measurements: tuple[Measurement, ...]

    @property
    def reference_dose(self) -> float:
        """Dose 1 where it was measured, else the largest."""
        doses = {group.dose for group in self.groups}
        return REFERENCE_DOSE if REFERENCE_DOSE in doses else max(doses)

    def group(self, base: str) -> Group | None:
        """The counts at that base and the reference dose, or `None` where it was never calibrated there."""
        return next((g for g in self.groups if g.base == base and g.dose == self.reference_dose), None)

    def one(self, name: str, base: str = EVERY_BASE, dose: float | None = None) -> Measurement | None:
        """The measurement of that name at that base and dose (default: the reference dose)."""
        labels = {"base": base, "dose": f"{self.reference_dose if dose is None else dose:g}"}
        return next((m for m in self.measurements if m.name == name and m.labels == labels), None)


class Matrix(Stored):
    """All that is known of the techniques: calibrated, silent (they detect nothing), refused plants and failed cells."""

    date: str = ""
    calibrations: tuple[Calibration, ...] = ()
    silent: Mapping[str, str] = {}
    refused: Mapping[str, str] = {}
    failed: Mapping[str, str] = {}


class Corrected(Value):
    """A detection on a real subject beside what calibration says of such calls.

    `call` is the technique's own. `likelihood_ratio` is how much likelier such a call is on an organism than on a twin, and
    `posterior` the probability that the behaviour is there, from the `prior` and the calibration on subjects of
    `subject_kind`; both are unmeasured with the reason where there is no such calibration or no call.
    """

    method: str
    behaviour: str
    subject_kind: str
    call: str
    score: float | None
    prior: float
    calibrated: bool
    likelihood_ratio: Measurement
    posterior: Measurement
