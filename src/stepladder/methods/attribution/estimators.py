"""Every estimate of influence on the same queries and rows, and two rules that look at no gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stepladder.core import Task, UnknownName, digest
from stepladder.methods.attribution.replies import Conversation, reply_traces, spread_layers, tokenised

if TYPE_CHECKING:
    from torch import Tensor

    from stepladder.methods.attribution.gradients import Traces
    from stepladder.models import LocalModel

Floats = NDArray[np.float64]
GRADIENTS = ("ekfac", "gradient_dot", "trak")
CHECKPOINTED = {"ekfac_checkpoints": "ekfac", "tracin": "gradient_dot"}
"""Sums over the model before training and after it, of what."""
BASELINES = ("tfidf", "random")
ESTIMATORS = ("ekfac", "ekfac_checkpoints", "gradient_dot", "tracin", "trak", *BASELINES)


@dataclass(frozen=True)
class Question:
    """What is estimated: which of the `rows` made the subject say the `queries`, through which of its layers.

    `base`, where it is known, is the first checkpoint of training; the subject is the last.
    """

    subject: LocalModel
    base: LocalModel | None
    queries: Sequence[Conversation]
    rows: Sequence[Conversation]
    layers: Sequence[int] = ()
    longest: int = 160
    damping: float = 0.1
    seed: int = 0


def check_estimators(names: Sequence[str]) -> None:
    """Raise an `UnknownName` for the first that is none."""
    for name in names:
        if name not in ESTIMATORS:
            raise UnknownName("estimator", name, ESTIMATORS)


def estimate(asked: Question, names: Sequence[str], folder: Path, task: Task) -> dict[str, Floats]:
    """(queries, rows) by estimator; without a base no sums over checkpoints. What is too large goes to `folder`."""
    found: dict[str, Floats] = {}
    queries, rows = [text_of(q) for q in asked.queries], [text_of(r) for r in asked.rows]
    if "tfidf" in names:
        found["tfidf"] = bag_of_words(queries, rows)
    if "random" in names:  # another order for other rows, so that chance does not repeat itself from subject to subject
        rng = np.random.default_rng(int(digest([asked.seed, queries, rows]), 16))
        found["random"] = rng.random((len(queries), len(rows)))
    if set(names) - set(BASELINES):
        found |= _by_gradients(asked, names, folder, task)
    return {name: found[name] for name in names if name in found}


def bag_of_words(queries: Sequence[str], rows: Sequence[str]) -> Floats:
    """Cosine of the TF-IDF vectors of their words: (queries, rows)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=r"(?u)\w+|[^\w\s]").fit(rows)
    return np.asarray((vectorizer.transform(queries) @ vectorizer.transform(rows).T).toarray(), np.float64)


def text_of(conversation: Conversation) -> str:
    """All that is said in it."""
    return "\n".join(message.content for message in conversation)


def _by_gradients(asked: Question, names: Sequence[str], folder: Path, task: Task) -> dict[str, Floats]:
    from stepladder.models.local.linear import fast_products

    folder.mkdir(parents=True, exist_ok=True)
    summed = [name for name in names if name in CHECKPOINTED] if asked.base else []
    needed = {name for name in names if name in GRADIENTS} | {CHECKPOINTED[name] for name in summed}
    with fast_products():
        found = _at(asked, asked.subject, sorted(needed), folder, task) if needed else {}
        if asked.base and summed:
            first = _at(asked, asked.base, sorted({CHECKPOINTED[name] for name in summed}), folder, task)
            found |= {name: found[CHECKPOINTED[name]] + first[CHECKPOINTED[name]] for name in summed}
    return found


def _at(asked: Question, model: LocalModel, names: Sequence[str], folder: Path, task: Task) -> dict[str, Floats]:
    """The estimates at one checkpoint; token vectors that spill to disk go when they are done."""
    from stepladder.methods.attribution.ekfac import ekfac
    from stepladder.methods.attribution.tracin import gradient_dot
    from stepladder.methods.attribution.trak import trak

    found: dict[str, Floats] = {}
    with TemporaryDirectory(dir=folder) as room:
        queries, rows = _traces(asked, model, Path(room), task)
        estimators: Mapping[str, Callable[[], Tensor]] = {
            "ekfac": lambda: ekfac(queries, rows, asked.damping),
            "gradient_dot": lambda: gradient_dot(queries, rows),
            "trak": lambda: trak(queries, rows, seed=asked.seed),
        }
        with task(f"estimates, {model.name}", len(names)) as advance:
            for name in names:
                found[name] = estimators[name]().double().numpy()
                advance(1)
    return found


def _traces(asked: Question, model: LocalModel, room: Path, task: Task) -> tuple[Traces, Traces]:
    """Traces of the queries and of the rows at that checkpoint."""
    from stepladder.models.local import loading

    device = loading.device_and_dtype(model.precision)[0]
    weights = model.weights(attention="eager" if device.type == "cpu" else "sdpa").to(device)
    layers = asked.layers or spread_layers(model.layers)
    with task(f"gradients of the rows, {model.name}", len(asked.rows)) as advance:
        rows = reply_traces(weights, tokenised(model, asked.rows, asked.longest), layers, room, advance)
    return reply_traces(weights, tokenised(model, asked.queries, asked.longest), layers), rows
