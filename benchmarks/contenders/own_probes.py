"""All logistic probes in one pass, C = 1, on standardised activations. Argument: the labels whose AUROC is compared.

`work` is the arithmetic of all products with the activations, in floating-point operations.
"""

import json
import sys
import time

import numpy as np
from probe_data import LABELS, ROWS, area, made

from stepladder.methods.interpretability import probe_logistic
from stepladder.methods.interpretability.probe_logistic import fit_logistic, raw, standardised

columns = 0


def counting(product):
    """The same product, its columns counted."""

    def counted(problem, values):
        global columns
        columns += values.shape[1]
        return product(problem, values)

    return counted


problem = probe_logistic._Problem
problem._logits, problem._back = counting(problem._logits), counting(problem._back)

x, y = made()
start = time.perf_counter()
normal, mean, scale = standardised(x[:ROWS])
scaling = time.perf_counter() - start
start = time.perf_counter()
probe = raw(fit_logistic(normal, y[:ROWS].astype(np.float32), 1.0), mean, scale)
seconds = (time.perf_counter() - start) / LABELS
work = 2.0 * normal.size * columns
scores = probe.score(x[ROWS:])
areas = [area(scores[:, label], y[ROWS:, label]) for label in map(int, sys.argv[1].split(","))]
print(json.dumps({"seconds": seconds, "scaling": scaling, "area": float(np.mean(areas)), "work": work}))
