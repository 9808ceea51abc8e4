"""kronfluence as its examples start it. Arguments: model folder, tokens file, where the scores go."""

import contextlib
import io
import json
import shutil
import sys
import time
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from transformers import AutoModelForCausalLM

warnings.simplefilter("ignore")

folder, file, out = sys.argv[1:4]
with open(file, encoding="utf-8") as stream:
    given = json.load(stream)
names = [f"model.layers.{i}.mlp.{part}" for i in given["layers"] for part in ("gate_proj", "up_proj", "down_proj")]


def loss_of(batch, model):
    logits = model(input_ids=batch["ids"], use_cache=False).logits[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1), batch["ids"][:, 1:].flatten(), reduction="sum")


class Language(Task):
    def compute_train_loss(self, batch, model, sample=False):
        return loss_of(batch, model)

    def compute_measurement(self, batch, model):
        return loss_of(batch, model)

    def get_influence_tracked_modules(self):
        return names


class Rows(torch.utils.data.Dataset):
    def __init__(self, rows):
        self.rows = torch.tensor(rows)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return {"ids": self.rows[i]}


with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    rows, queries = Rows(given["rows"]), Rows(given["queries"])
    model = prepare_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), Language())
    shutil.rmtree("kronfluence-out", ignore_errors=True)
    analyzer = Analyzer("smollm2", model, Language(), cpu=True, output_dir="kronfluence-out", log_level=40)
    factors = FactorArguments(strategy="ekfac", use_empirical_fisher=True)
    times = [time.perf_counter()]
    analyzer.fit_covariance_matrices("f", rows, per_device_batch_size=25, factor_args=factors)
    times.append(time.perf_counter())
    analyzer.perform_eigendecomposition("f", factor_args=factors)
    times.append(time.perf_counter())
    analyzer.fit_lambda_matrices("f", rows, per_device_batch_size=25, factor_args=factors)
    times.append(time.perf_counter())
    analyzer.compute_pairwise_scores(
        "s", factors_name="f", query_dataset=queries, train_dataset=rows, per_device_query_batch_size=10,
        per_device_train_batch_size=25, score_args=ScoreArguments(damping_factor=None),
    )  # fmt: skip
    times.append(time.perf_counter())
    np.save(out, analyzer.load_pairwise_scores("s")["all_modules"].float().numpy())
parts = dict(zip(("covariances", "eigenvectors", "lambdas", "scores"), np.diff(times).tolist(), strict=True))
print(json.dumps({"seconds": times[-1] - times[0], **parts}))
