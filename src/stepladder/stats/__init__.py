"""Intervals, tests and corrections: pure functions from numbers to an `Estimate`, and from units to a `Measurement`.

`ValueError` is for input that no caller should pass (unequal lengths, values out of range, nothing at all). `None` in place
of an interval, or of an `Estimate`, says that the data do not determine it. What each covers is shown in docs/numbers.md.
"""

from stepladder.stats.agreement import agreement, cohen_kappa, krippendorff_alpha
from stepladder.stats.bootstrap import bca
from stepladder.stats.calibration import JudgeErrors, corrected_difference, rogan_gladen
from stepladder.stats.clustered import clustered_mean, clustered_rate
from stepladder.stats.conformal import conformal_threshold, guaranteed_fpr
from stepladder.stats.estimate import Estimate
from stepladder.stats.measurement import difference_measurement, rate_measurement
from stepladder.stats.multiple import adjust_p_values
from stepladder.stats.paired import mcnemar, paired_difference
from stepladder.stats.power import sample_size_difference
from stepladder.stats.ppi import ppi_mean, ppi_rate
from stepladder.stats.proportions import clopper_pearson, clopper_pearson_upper, wilson
from stepladder.stats.ranking import auroc, recall_at_fpr

__all__ = [
    "Estimate",
    "JudgeErrors",
    "adjust_p_values",
    "agreement",
    "auroc",
    "bca",
    "clopper_pearson",
    "clopper_pearson_upper",
    "clustered_mean",
    "clustered_rate",
    "cohen_kappa",
    "conformal_threshold",
    "corrected_difference",
    "difference_measurement",
    "guaranteed_fpr",
    "krippendorff_alpha",
    "mcnemar",
    "paired_difference",
    "ppi_mean",
    "ppi_rate",
    "rate_measurement",
    "recall_at_fpr",
    "rogan_gladen",
    "sample_size_difference",
    "wilson",
]
