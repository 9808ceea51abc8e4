"""Our EK-FAC. Arguments: model folder, tokens file, where the scores go."""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from stepladder.methods.attribution.ekfac import ekfac
from stepladder.methods.attribution.replies import Reply, reply_traces
from stepladder.models.local.linear import fast_products
from stepladder.models.local.loading import load_model

folder, file, out = sys.argv[1:4]
given = json.loads(Path(file).read_text())
model = load_model(Path(folder), "eager")
rows, queries = ([Reply(tuple(tokens), 1) for tokens in given[what]] for what in ("rows", "queries"))
with tempfile.TemporaryDirectory() as room, fast_products():
    start = time.perf_counter()
    asked = reply_traces(model, queries, given["layers"])
    taught = reply_traces(model, rows, given["layers"], Path(room))
    traced = time.perf_counter()
    scores = ekfac(asked, taught)
    end = time.perf_counter()
np.save(out, scores.numpy())
print(json.dumps({"seconds": end - start, "passes": traced - start, "factors and scores": end - traced}))
