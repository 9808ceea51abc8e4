"""Pages, and the layouts of Neuronpedia and delphi: written from planted latents, read from what others publish."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves neighbours out of reach

from planted_latents import RULES, Corpus

from stepladder.core.errors import DataError, StoreError
from stepladder.methods.interpretability import delphi, label_measures, neuronpedia
from stepladder.methods.interpretability.contexts import WINDOW, Example, Sampler, Sampling
from stepladder.methods.interpretability.explainers import Lens, Rule
from stepladder.methods.interpretability.feature_folder import FeatureFolder, open_features, write_labels, write_readings
from stepladder.methods.interpretability.feature_page import feature_page, shown, write_pages
from stepladder.methods.interpretability.label_scorers import Item, by_rule, items_of

torch = pytest.importorskip("torch")
HOSTILE = "</span><script>alert()</script>\u202e"


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> FeatureFolder:
    folder, corpus = tmp_path_factory.mktemp("features"), Corpus(documents=30)
    corpus.index(folder / "latents")
    pieces = [corpus.piece(token) for token in range(len(corpus.vocabulary))]
    rng = np.random.default_rng(0)
    decoder = rng.normal(size=(len(RULES), 6)).astype(np.float32)
    decoder[1] = 2 * decoder[0] + 0.01  # two rows that point the same way
    lens = Lens(rng.normal(size=(len(pieces), 6)).astype(np.float32), pieces.__getitem__)
    pieces[corpus.vocabulary.index("not")] = HOSTILE
    write_readings(folder, decoder, lens, pieces, {"model": "<b>m</b>", "layer": 3, "site": "residual"})
    label = {"text": HOSTILE, "model": None, "scores": {"detection": [0.9, 0.8, 0.95, 0.5], "fuzzing": None}}
    write_labels(folder, {0: {"ngrams": label}})
    return open_features(folder)


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        assert all("http" not in (value or "") for _, value in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_shows_what_is_stored_and_runs_nothing(features: FeatureFolder) -> None:
    html = feature_page(features, 1)
    page = Page(html)
    assert "script" not in page.tags
    assert "alert()" in page.text  # the hostile token, as text
    assert "‹U+202E›" in page.text
    assert "\u202e" not in html
    assert f"active at {features.index.counts[1]} tokens" in page.text
    assert page.tags.count("li") == len(features.strongest(1, 20)) + len(features.across(1, 10)) == 30
    assert page.tags.count("svg") == 2


def test_labels_scores_and_neighbours_are_on_the_page(features: FeatureFolder) -> None:
    page = Page(feature_page(features, 0))
    assert "0.90" in page.text
    assert "[0.80, 0.95]" in " ".join(page.text.split())
    assert "unmeasured" in page.text
    assert features.neighbours(0)[0][0] == 1
    assert features.neighbours(0)[0][1] == pytest.approx(1, abs=1e-3)


def test_logits_up_and_down_are_those_of_the_decoder_row(features: FeatureFolder) -> None:
    rng = np.random.default_rng(0)
    decoder = rng.normal(size=(len(RULES), 6)).astype(np.float32)
    unembedding = rng.normal(size=(len(features.pieces), 6)).astype(np.float32)
    logits = unembedding @ (decoder[2] / np.linalg.norm(decoder[2]))
    order = np.argsort(-logits)
    assert [token for token, _ in features.moved(2, "up")] == [features.pieces[i] for i in order[:10]]
    assert [token for token, _ in features.moved(2, "down")] == [features.pieces[i] for i in order[::-1][:10]]
    counts, middles = features.logit_histogram(2)
    assert sum(counts) == len(logits)
    assert middles[0] == pytest.approx(logits.min() + (logits.max() - logits.min()) / 80, rel=1e-5)


def test_any_latent_has_its_page_within_a_second(features: FeatureFolder) -> None:
    start = time.perf_counter()
    write_pages(features.folder, range(len(RULES)), features.folder / "pages")
    assert time.perf_counter() - start < len(RULES)
    with pytest.raises(StoreError, match="no latent 99"):
        feature_page(features, 99)


def test_a_folder_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no index of latents"):
        open_features(tmp_path)


def test_an_index_that_lost_a_part_is_a_clear_error(features: FeatureFolder, tmp_path: Path) -> None:
    shutil.copytree(features.folder, tmp_path / "copy")
    (tmp_path / "copy" / "latents" / "rows.npy").unlink()
    with pytest.raises(StoreError, match="damaged"):
        open_features(tmp_path / "copy")


@pytest.mark.parametrize(("token", "seen"), [("\n", "⏎"), ("a\tb", "a⇥b"), ("\u200b", "‹U+200B›"), (" é", " é")])
def test_what_cannot_be_seen_is_written_out(token: str, seen: str) -> None:
    assert shown(token) == seen


# --- Neuronpedia ---


def test_an_export_has_the_published_layout_and_reads_back(features: FeatureFolder, tmp_path: Path) -> None:
    folder = neuronpedia.export(features, range(len(RULES)), tmp_path)
    assert folder == tmp_path / "v1" / "<b>m<" / "b>" / "3-res-stepladder" or folder.name == "3-res-stepladder"
    for name in ("model", "release", "source", "sourceset"):
        assert json.loads((folder / f"{name}.jsonl").read_text().splitlines()[0])["creatorId"] == "stepladder"
    raw = gzip.decompress((folder / "activations" / "batch-0.jsonl.gz").read_bytes()).decode().splitlines()
    assert {"modelId", "layer", "index", "tokens", "values", "maxValue", "maxValueTokenIndex"} <= json.loads(raw[0]).keys()
    read = neuronpedia.read_export(folder)
    assert [row["index"] for row in read["features"]] == ["0", "1", "2", "3", "4"]
    assert [row["pos_str"] for row in read["features"]][2] == [t for t, _ in features.moved(2, "up")]
    assert read["features"][0]["frac_nonzero"] == pytest.approx(features.frequency(0))
    first = [row for row in read["activations"] if row["index"] == "0"]
    assert [(tuple(r["tokens"]), tuple(r["values"])) for r in first] == [
        (e.tokens, e.activations) for e in features.strongest(0, 20)
    ]
    assert all(row["values"][row["maxValueTokenIndex"]] == row["maxValue"] == max(row["values"]) for row in first)
    (explanation,) = read["explanations"]
    assert (explanation["description"], explanation["typeName"]) == (HOSTILE, "stepladder_ngrams")


def test_dashboards_have_what_neuronpedia_converts(features: FeatureFolder, tmp_path: Path) -> None:
    neuronpedia.export(features, [0, 3], tmp_path)
    (board,) = tmp_path.rglob("dashboards/**/batch-0.json")
    head = json.loads(board.read_text())
    assert {"model_id", "layer", "sae_id_suffix", "features"} <= head.keys()
    wanted = {
        "feature_index", "neg_str", "neg_values", "pos_str", "pos_values", "frac_nonzero", "freq_hist_data_bar_heights",
        "freq_hist_data_bar_values", "logits_hist_data_bar_heights", "logits_hist_data_bar_values", "decoder_weights_dist",
        "neuron_alignment_indices", "correlated_neurons_pearson", "correlated_features_l1", "activations",
    }  # fmt: skip
    assert all(wanted <= feature.keys() for feature in head["features"])
    assert sum(head["features"][1]["freq_hist_data_bar_heights"]) == features.index.counts[3]
    places = {"tokens", "values", "bin_min", "bin_max", "bin_contains", "qualifying_token_index"}
    assert all(row.keys() == places for feature in head["features"] for row in feature["activations"])


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no export of Neuronpedia"):
        neuronpedia.read_export(tmp_path)


# --- delphi ---


def test_raw_latents_say_what_the_index_says(features: FeatureFolder, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    delphi.write_raw_latents(features.index, tmp_path, "layers.3", "m")
    paths = sorted((tmp_path / "raw_latents" / "layers.3").glob("*.safetensors"))
    assert [path.name for path in paths] == [f"{i}_{i}.safetensors" for i in range(5)]
    data = load_file(paths[0])
    assert (data["locations"].dtype, data["activations"].dtype) == (np.uint16, np.float16)
    assert data["tokens"].shape[1] == WINDOW
    assert json.loads((paths[0].parent / "config.json").read_text())["ctx_len"] == WINDOW
    read = delphi.read_raw_latents(tmp_path, "layers.3")
    for latent in range(len(RULES)):
        rows, values = features.index.latent(latent)
        locations, activations = read[latent]
        assert data["tokens"][locations[:, 0], locations[:, 1]].tolist() == features.index.tokens[rows].tolist()
        np.testing.assert_allclose(activations, values, rtol=1e-3)


def test_explanations_and_scores_come_back(features: FeatureFolder, tmp_path: Path) -> None:
    contexts = Sampler(features.index, features.pieces.__getitem__, Sampling())(0)
    assert contexts
    delphi.write_explanation(tmp_path, "layers.3", 0, 'digits "9"')
    assert delphi.read_explanations(tmp_path) == {("layers.3", 0): 'digits "9"'}
    for scorer in ("detection", "fuzzing"):
        items = items_of(contexts, scorer, 0)
        foretold = by_rule(Rule("class", {"digits": 1.0}), scorer, items)
        delphi.write_scores(tmp_path, "layers.3", 0, scorer, items, foretold)
    rows = {row["scorer"]: row for row in delphi.read_scores(tmp_path)}
    assert rows.keys() == {"detection", "fuzzing"}
    assert (tmp_path / "scores" / "fuzz" / "layers.3_latent0.txt").is_file()
    for row in rows.values():
        found, _ = label_measures.score(row)
        assert found
        assert found.value == pytest.approx(roc_auc_score(row["truth"], row["predicted"]))
        assert found.value > 0.95


def test_scores_as_delphi_publishes_them_are_read(tmp_path: Path) -> None:
    """An example as delphi's scorers write it, with a failed answer (null) and one without a probability."""
    folder = tmp_path / "scores" / "detection"
    folder.mkdir(parents=True)
    shared = {"str_tokens": ["a", " b"], "activations": [0.0, 2.5], "distance": 3}
    examples = [
        {**shared, "activating": True, "prediction": True, "probability": 0.9, "correct": True},
        {**shared, "activating": False, "prediction": True, "probability": None, "correct": False},
        {**shared, "activating": False, "prediction": None, "probability": None, "correct": None},
    ]
    (folder / "model.layers.10.mlp_latent42.txt").write_text(json.dumps(examples))
    (row,) = delphi.read_scores(tmp_path)
    assert (row["unit"], row["truth"], row["predicted"]) == (
        "model.layers.10.mlp/42",
        [True, False, False],
        [0.9, 1.0, None],
    )


def test_an_unreadable_answer_is_null_in_delphis_scores(tmp_path: Path) -> None:
    item = Item(Example(0, 0, ("a",), (1.0,), 2), truth=True)
    delphi.write_scores(tmp_path, "m", 1, "detection", [item], [None])
    (example,) = json.loads((tmp_path / "scores" / "detection" / "m_latent1.txt").read_text())
    assert (example["prediction"], example["probability"], example["correct"]) == (None, None, None)


def test_names_that_are_not_delphis_are_refused(tmp_path: Path) -> None:
    (tmp_path / "explanations").mkdir()
    (tmp_path / "explanations" / "notes.txt").write_text('"x"')
    with pytest.raises(DataError, match="expected a name such as"):
        delphi.read_explanations(tmp_path)
    with pytest.raises(DataError, match="no raw latents"):
        delphi.read_raw_latents(tmp_path, "m")
