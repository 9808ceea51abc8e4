"""Our harvest. Arguments: model folder, tokens file, layer, and windows, documents or shards (to disk, and mixed again)."""

import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from stepladder.methods.interpretability.harvest import harvest
from stepladder.models.local.model import LocalModel

folder, file, layer, what = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
given = json.loads(Path(file).read_text())
model = LocalModel("bench", Path(folder))
documents = given["documents" if what == "documents" else "windows"]


def read(lists):
    return [values for _, values in sorted(model.stream(lists, [layer], "residual", "bfloat16"), key=lambda x: x[0])]


found = torch.cat([values[:, 0] for values in read(given["windows"][:4])]).float()
times = []
for _ in range(3):
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        if what == "shards":
            for _batch in harvest(model, documents, layer, "residual", Path(out)).batches(4096, seed=0):
                pass
        else:
            read(documents)
        times.append(time.perf_counter() - start)
weights = model.weights().eval()
with torch.inference_mode():
    exact = weights(torch.tensor(given["windows"][:4]), output_hidden_states=True).hidden_states[layer + 1].flatten(0, 1)
error = ((found - exact).norm() / exact.norm()).item()
print(json.dumps({"tokens": sum(map(len, documents)), "seconds": sorted(times)[1], "error": error}))
