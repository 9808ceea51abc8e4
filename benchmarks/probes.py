"""Many logistic probes on the same activations: all in one pass against scikit-learn, one after the other.

100,000 x 576 made activations whose variance falls off as a residual stream's does, 32 labels from easy to hard, C = 1
on both sides, activations standardised on both sides (not counted). scikit-learn at its default solver and at the one
that it advises for many more rows than columns; AUROC on 20,000 held-out rows, compared on the labels that scikit-learn
is timed on.
"""

from __future__ import annotations

import sys

from benchmarks.rows import Row, contend, environment, row

LABELS = 32
TIMED = "0,10,20,31"
SOLVERS = {"lbfgs": "its default solver", "newton-cholesky": "its solver for many rows"}


def rows(peak: float) -> list[Row]:
    """Milliseconds a probe, ours and theirs; the share is that of all products with the activations."""
    ours = contend(sys.executable, "own_probes.py", TIMED)
    share = ours["work"] / (LABELS * ours["seconds"]) / peak
    made = []
    for solver, note in SOLVERS.items():
        theirs = contend(environment("sklearn"), "sklearn_probes.py", solver, TIMED)
        areas = f"held-out AUROC {ours['area']:.5f} against {theirs['area']:.5f}"
        name = "32 logistic probes, 100k x 576" if solver == "lbfgs" else f"32 logistic probes, 100k x 576, {solver}"
        made.append(
            row(
                name,
                "sklearn",
                1e3 * ours["seconds"],
                1e3 * theirs["seconds"],
                "ms a probe",
                share=share,
                note=f"{note}; {areas}",
            )
        )
    return made
