"""Our patching. Arguments: model folder, pairs file, and brute or attribution (which needs what brute force left)."""

import json
import sys
import time
from pathlib import Path

import torch
from scipy.stats import spearmanr

from stepladder.methods.interpretability import patching
from stepladder.methods.interpretability.circuits_model import CircuitModel
from stepladder.methods.interpretability.patching import Prompts
from stepladder.models.local.model import LocalModel

folder, file, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
pairs = {name: torch.tensor(values) for name, values in json.loads(file.read_text()).items()}
model = CircuitModel(LocalModel("bench", folder).weights())
prompts = Prompts(pairs["corrupted"], pairs["answer"], pairs["foil"])
agree = int((pairs["clean"] != pairs["corrupted"]).any(0).int().argmax())
parts = [*patching.heads_of(model), *patching.mlps_of(model)]
clean = patching.read(model, pairs["clean"])
base = patching.read(model, pairs["corrupted"])
left = file.with_name("circuits_brute.pt")

start = time.perf_counter()
if what == "brute":
    found = patching.patch_each(model, prompts, base, parts, clean.kept, agree=agree)
else:
    found = patching.attribute(model, prompts, parts, clean.kept)
seconds = time.perf_counter() - start

result = {"parts": len(parts), "seconds": seconds}
if what == "brute":
    torch.save(found, left)
else:
    exact, heads = torch.load(left), len(patching.heads_of(model))
    result["heads"] = float(spearmanr(found[:heads].mean(1), exact[:heads].mean(1)).statistic)
    result["all"] = float(spearmanr(found.mean(1), exact.mean(1)).statistic)
print(json.dumps(result))
