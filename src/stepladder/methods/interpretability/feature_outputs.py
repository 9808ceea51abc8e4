"""What a labelling run leaves behind: the folder of features, pages, and exports for Neuronpedia and delphi."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepladder.core import Context
from stepladder.core.errors import DataError
from stepladder.methods.interpretability import delphi, neuronpedia
from stepladder.methods.interpretability.feature_folder import open_features, write_labels, write_readings
from stepladder.methods.interpretability.feature_page import write_pages
from stepladder.methods.interpretability.label_measures import feature_scores
from stepladder.methods.interpretability.labelling import Labelled, Unit

if TYPE_CHECKING:
    from stepladder.methods.interpretability.feature_corpus import FeatureCorpus
    from stepladder.methods.interpretability.feature_labels import Config


def write_outputs(
    context: Context, config: Config, corpus: FeatureCorpus, units: Sequence[Unit], made: Labelled
) -> dict[str, str]:
    """Write everything; paths by role, relative to the context's folder."""
    from stepladder.methods.interpretability.saelens import save_dictionary

    folder, d = context.folder, corpus.dictionary
    place = {"model": context.subject.name.replace("/", "_"), "layer": d.layer, "site": d.site}
    vocabulary = [corpus.pieces(token) for token in range(corpus.vocabulary)]
    write_readings(folder, d.W_dec.cpu().numpy(), corpus.lens, vocabulary, place)
    write_labels(folder, _labels(context, config, units, made))
    latents = [unit.contexts.latent for unit in units]
    write_pages(folder, latents[: config.pages], folder / "pages")
    neuronpedia.export(open_features(folder), latents, folder / "neuronpedia")
    module = f"layers.{d.layer}.{d.site}"
    delphi.write_raw_latents(corpus.index, folder / "delphi", module, str(place["model"]))
    for explainer, given in made.labels.items():
        for latent, label in zip(latents, given, strict=True):
            if label is not None:
                delphi.write_explanation(folder / "delphi" / explainer, module, latent, label.text)
    for answered in made.answered:
        to = folder / "delphi" / answered.job.label.explainer
        delphi.write_scores(to, module, answered.latent, answered.job.scorer, answered.job.items, answered.predictions)
    if not config.dictionary:
        save_dictionary(d, folder / "dictionary")
    roles = {"pages": "pages", "neuronpedia": "neuronpedia", "delphi": "delphi", "latents": "latents"}
    return roles | ({} if config.dictionary else {"dictionary": "dictionary"})


def _labels(context: Context, config: Config, units: Sequence[Unit], made: Labelled) -> dict[int, dict[str, dict[str, Any]]]:
    scores: dict[tuple[str, str], dict[str, Any]] = {}
    for m in feature_scores(made.rows, config.explainers, config.scorers, {}):
        ends = (m.interval.low, m.interval.high) if m.interval else (None, None)
        value = None if m.value is None else [m.value, *ends, m.baseline.value if m.baseline else None]
        scores.setdefault((m.labels["latent"], m.labels["explainer"]), {})[m.labels["scorer"]] = value
    helper = context.helper.name if context.helper else None
    return {
        unit.contexts.latent: {
            explainer: {
                "text": label.text,
                "model": helper if explainer == "chat" else None,
                "scores": scores[unit.name, explainer],
            }
            for explainer, given in made.labels.items()
            if (label := given[i]) is not None
        }
        for i, unit in enumerate(units)
    }


def read_verdicts(path: Path) -> list[Mapping[str, Any]]:
    """People's verdicts on labels: JSON lines with `latent`, `explainer` and `correct`."""
    rows: list[Mapping[str, Any]] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            rows.append({"latent": int(row["latent"]), "explainer": str(row["explainer"]), "correct": bool(row["correct"])})
        except (ValueError, KeyError, TypeError):
            raise DataError(path, "expected JSON with latent, explainer and correct (true or false)", number) from None
    return rows
