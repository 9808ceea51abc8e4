"""From cells to figures: known errors are recovered, chance stays chance, and what was not measured is never absent."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest
from calibration_fakes import AUROC, SENSITIVITY, SHIFT, SPECIFICITY, THRESHOLD, cell
from sklearn.metrics import roc_auc_score

from stepladder.calibration import Calibration, Cell, calibrations
from stepladder.calibration.scores import TWINS_NEEDED
from stepladder.calibration.shuffled import p_value, shuffled_aurocs
from stepladder.core import Measurement, detection
from stepladder.stats import recall_at_fpr


def simulated(seeds: int, draw: random.Random, shift: float = SHIFT, **fields: object) -> list[Cell]:
    cells = []
    for seed, clean in product(range(seeds), (False, True)):
        score = draw.gauss(0 if clean else shift, 1)
        cells.append(cell(seed, clean, score > THRESHOLD, score, **fields))
    return cells


def one(cells: list[Cell]) -> Calibration:
    (found,) = calibrations(cells)
    return found


def figure(calibration: Calibration, name: str, base: str = "all", dose: float | None = None) -> Measurement:
    found = calibration.one(name, base, dose)
    assert found is not None, name
    return found


@pytest.mark.parametrize(("name", "truth"), [("sensitivity", SENSITIVITY), ("specificity", SPECIFICITY), ("auroc", AUROC)])
def test_the_interval_holds_the_known_error_of_a_simulated_detector(name: str, truth: float) -> None:
    draw, covered = random.Random(0), 0
    for _ in range(200):
        m = figure(one(simulated(20, draw)), name)
        assert m.interval is not None
        covered += m.interval.low <= truth <= m.interval.high
    assert covered / 200 > 0.95 - 3 * (0.95 * 0.05 / 200) ** 0.5


def test_a_detector_that_guesses_is_at_chance_and_beside_its_coin() -> None:
    calibration = one(simulated(3000, random.Random(1), shift=0.0))
    sensitivity, specificity = figure(calibration, "sensitivity"), figure(calibration, "specificity")
    assert sensitivity.value == pytest.approx(1 - SPECIFICITY, abs=0.03)
    assert sensitivity.baseline
    assert specificity.baseline
    assert sensitivity.baseline.value == pytest.approx(sensitivity.value, abs=0.02)
    assert specificity.baseline.value == pytest.approx(specificity.value, abs=0.02)
    assert figure(calibration, "auroc").value == pytest.approx(0.5, abs=4 * 0.0075)
    assert figure(calibration, "balanced_accuracy").value == pytest.approx(0.5, abs=0.03)


def test_shuffled_labels_are_at_one_half_whatever_the_detector() -> None:
    for seeds, shift in ((2, 9.0), (5, 1.0), (40, 3.0)):
        m = figure(one(simulated(seeds, random.Random(seeds), shift=shift)), "shuffled_auroc")
        assert m.value == pytest.approx(0.5, abs=1e-9 if seeds <= 12 else 0.02)


def test_the_shuffled_p_value_is_that_of_every_exchange_counted_by_hand() -> None:
    scores, planted, clusters = [0.9, 0.1, 0.4, 0.5, 0.8, 0.3], [True, False] * 3, [0, 0, 1, 1, 2, 2]
    areas = []
    for flips in product((False, True), repeat=3):
        labels = [p ^ flips[c] for p, c in zip(planted, clusters, strict=True)]
        areas.append(roc_auc_score(labels, scores))
    ours = shuffled_aurocs(scores, planted, clusters)
    assert ours == pytest.approx(areas)
    assert p_value(ours) == pytest.approx(np.mean(np.array(areas) >= areas[0] - 1e-12))


def test_the_p_value_of_a_detector_that_guesses_is_rarely_small() -> None:
    draw = random.Random(3)
    values = [figure(one(simulated(8, draw, shift=0.0)), "shuffled_p_value").value or 0 for _ in range(300)]
    assert np.mean(np.array(values) <= 0.05) <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5
    assert np.mean(values) == pytest.approx(0.5, abs=0.06)


def test_one_planting_has_a_figure_but_no_interval() -> None:
    m = figure(one(simulated(1, random.Random(0))), "sensitivity")
    assert m.interval is None
    assert m.n == 1


def test_unmeasured_calls_are_counted_and_never_absent() -> None:
    calls: list[bool | None] = [True] * 9 + [None]
    cells = [cell(i, False, found, 1.0) for i, found in enumerate(calls)]
    cells += [cell(i, True, None, None) for i in range(10)]
    calibration = one(cells)
    sensitivity, specificity = figure(calibration, "sensitivity"), figure(calibration, "specificity")
    assert (sensitivity.value, sensitivity.n, sensitivity.unmeasured) == (1.0, 9, 1)
    assert specificity.value is None
    assert "10 of 10 unmeasured" in str(specificity.reason)
    (group,) = calibration.groups
    assert (group.found, group.missed, group.unmeasured) == (9, 0, 1)
    assert (group.false_alarms, group.quiet, group.unmeasured_twins) == (0, 0, 10)


def test_failed_cells_are_unmeasured_and_refused_plants_are_no_organisms() -> None:
    cells = simulated(4, random.Random(0))
    failed = [cell(9, clean, None, outcome="failed", reason="RuntimeError: x") for clean in (False, True)]
    refused = [cell(10, False, None, outcome="refused", reason="PlantFailed: no")]
    calibration = one([*cells, *failed, *refused])
    m = figure(calibration, "sensitivity")
    assert (m.n, m.unmeasured) == (4, 1)
    assert (calibration.groups[0].failed, calibration.groups[0].refused) == (2, 1)


def test_recall_at_one_percent_says_how_many_twins_it_needs() -> None:
    m = figure(one(simulated(5, random.Random(0))), "recall_at_1_percent_fpr")
    assert m.value is None
    assert m.reason == f"5 independent twins; a threshold at 1% false positives needs {TWINS_NEEDED}"
    assert 0.99**TWINS_NEEDED <= 0.025 < 0.99 ** (TWINS_NEEDED - 1)  # P(no twin above the true threshold)


def test_recall_at_one_percent_with_twins_enough_is_that_of_the_scores() -> None:
    cells = simulated(TWINS_NEEDED, random.Random(0), shift=4.0)
    known = recall_at_fpr([c.score or 0.0 for c in cells], [not c.clean for c in cells], clusters=[c.seed for c in cells])
    m = figure(one(cells), "recall_at_1_percent_fpr")
    assert known is not None
    assert (m.value, m.interval) == (known.value, known.interval)
    assert m.interval is not None
    assert m.interval.low > 0


def test_sensitivity_rises_with_dose_and_is_kept_for_each_base() -> None:
    draw = random.Random(5)
    cells = [
        c
        for base, parameters in (("scratch/1m", 10**6), ("smollm2", 135 * 10**6))
        for dose in (0.1, 0.5, 1.0)
        for c in simulated(300, draw, shift=SHIFT * dose, base=base, parameters=parameters, dose=dose)
    ]
    calibration = one(cells)
    assert calibration.reference_dose == 1.0
    curve = [figure(calibration, "sensitivity", "smollm2", dose).value or 0 for dose in (0.1, 0.5, 1.0)]
    assert curve == sorted(curve)
    assert {(g.base, g.dose): g.parameters for g in calibration.groups}[("scratch/1m", 0.5)] == 10**6
    pooled = figure(calibration, "sensitivity")
    assert pooled.n == 300  # plantings of one seed on two bases are not independent
    assert pooled.value == pytest.approx(SENSITIVITY, abs=0.06)


def test_calls_of_a_behaviour_in_organisms_of_another_are_counted_apart() -> None:
    false_alarm = (detection("backdoor", 2.0, True, n=1), detection("sycophancy", 2.0, True, n=1))
    quiet = (detection("backdoor", 0.0, False, n=1), detection("sycophancy", 2.0, True, n=1))
    silent = (detection("sycophancy", 2.0, True, n=1),)
    cells = [cell(i, False, True, 2.0, detections=d) for i, d in enumerate([false_alarm] + [quiet] * 8 + [silent])]
    cells.append(cell(0, False, True, 2.0, kind="trigger_backdoor", behaviour="backdoor"))
    found = next(c for c in calibrations(cells) if c.behaviour == "backdoor")
    m = next(m for m in found.measurements if m.name == "specificity_on_other_plants")
    assert m.value == pytest.approx(8 / 9)
    assert m.unmeasured == 1
