"""One logistic probe after the other by scikit-learn, C = 1, on standardised activations. Arguments: solver, labels."""

import json
import sys
import time

import numpy as np
from probe_data import ROWS, area, made
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

solver, labels = sys.argv[1], [int(label) for label in sys.argv[2].split(",")]
x, y = made()
start = time.perf_counter()
scaler = StandardScaler().fit(x[:ROWS])
normal = scaler.transform(x[:ROWS])
scaling = time.perf_counter() - start
start = time.perf_counter()
probes = [LogisticRegression(C=1.0, max_iter=1000, solver=solver).fit(normal, y[:ROWS, label]) for label in labels]
seconds = (time.perf_counter() - start) / len(labels)
held = scaler.transform(x[ROWS:])
areas = [area(p.decision_function(held), y[ROWS:, label]) for p, label in zip(probes, labels, strict=True)]
print(json.dumps({"seconds": seconds, "scaling": scaling, "area": float(np.mean(areas))}))
