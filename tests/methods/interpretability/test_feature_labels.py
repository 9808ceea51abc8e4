"""The whole technique on a small transformer with a dictionary whose latents are known: each detects one token."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "models"))  # pytest's importlib mode leaves neighbours out of reach

from tiny_models import tiny_llama, tiny_tokenizer

from stepladder.core import Context, Finding, Record, StepladderError, UnknownName
from stepladder.core.errors import DataError
from stepladder.methods.interpretability import delphi, neuronpedia
from stepladder.methods.interpretability.feature_corpus import clusters, cut
from stepladder.methods.interpretability.feature_labels import METHOD, Config
from stepladder.methods.interpretability.feature_page import feature_page
from stepladder.methods.interpretability.text import shipped_text

torch = pytest.importorskip("torch")
WORDS = ("the", "and", "in", "of")
SMALL: dict[str, Any] = {"tokens": 12_000, "features": 4, "random": 6, "windows": 20, "pages": 2}


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from stepladder.models import LocalModel

    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(7)
    tokenizer = tiny_tokenizer()
    model = tiny_llama(len(tokenizer))
    first = model.model.layers[0]
    for part in (first.self_attn.o_proj, first.mlp.down_proj):
        torch.nn.init.zeros_(part.weight)  # the stream after layer 0 is the token's embedding, nothing else
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return LocalModel("tiny", folder, "float32")


@pytest.fixture(scope="module")
def detectors(subject: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JumpReLU dictionary at layer 0: least squares from the stream to "this token is that word"."""
    from stepladder.methods.interpretability.dictionary import Dictionary
    from stepladder.methods.interpretability.saelens import save_dictionary

    documents = [piece for _, piece in cut(shipped_text(), subject.chat_format.tokens, 12_000)]
    x = np.concatenate([values[1:, 0] for values in subject.read(documents, [0])])
    tokens = np.concatenate([document[1:] for document in documents])
    ids = subject.chat_format.tokenizer.convert_tokens_to_ids(list(WORDS))
    wanted = (tokens[:, None] == np.array(ids)).astype(np.float32)
    design = np.c_[x, np.ones(len(x))]
    weights, *_ = np.linalg.lstsq(design, wanted, rcond=None)
    encoder = torch.tensor(weights[:-1], dtype=torch.float32)
    made = Dictionary(
        "jumprelu", W_enc=encoder, b_enc=torch.tensor(weights[-1], dtype=torch.float32), W_dec=encoder.T.contiguous(),
        b_dec=torch.zeros(x.shape[1]), threshold=torch.full((len(WORDS),), 0.5), layer=0, apply_b_dec_to_input=False,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("dictionary")
    save_dictionary(made, folder)
    return folder


@pytest.fixture(scope="module")
def ran(subject: Any, detectors: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record, Finding]:
    config = Config(dictionary=str(detectors), **SMALL)
    folder = tmp_path_factory.mktemp("record")
    record = METHOD.record(Context(subject=subject, ask=None, folder=folder), config)  # type: ignore[arg-type]  # no helper
    return folder, record, METHOD.judge(record, (), config)


def test_each_detector_is_named_by_its_token_and_scores_high(ran: tuple[Path, Record, Finding]) -> None:
    _, record, finding = ran
    labels = record.data["kinds"]["dictionary"]["labels"]
    assert {int(latent): given["ngrams"] for latent, given in labels.items()} == {
        i: f'the token "{word}"' for i, word in enumerate(WORDS)
    }
    for scorer, least in (("detection", 0.95), ("fuzzing", 0.95), ("simulation", 0.9)):
        score = finding.one("label_score", latents="dictionary", explainer="ngrams", scorer=scorer)
        assert score.value is not None
        assert score.value > least
        assert score.n == 4


def test_where_the_stream_holds_tokens_alone_random_directions_get_good_labels_too(
    ran: tuple[Path, Record, Finding],
) -> None:
    """Why they stand beside the dictionary: here its scores, perfect as they are, say nothing about the dictionary."""
    finding = ran[2]
    share = finding.one("labelled_share", latents="dictionary", explainer="ngrams", scorer="simulation")
    there = finding.one("labelled_share", latents="random_directions", explainer="ngrams", scorer="simulation")
    beyond = finding.one("share_beyond_random", explainer="ngrams", scorer="simulation")
    assert share.value == 1
    assert share.baseline
    assert share.baseline.value == 0
    assert there.value is not None
    assert there.value > 0.5
    assert beyond.value == pytest.approx(share.value - there.value)
    assert beyond.interval
    assert beyond.interval.low <= beyond.value <= beyond.interval.high


def test_without_a_helper_chat_labels_are_unmeasured(ran: tuple[Path, Record, Finding]) -> None:
    measured = ran[2].select("label_score", explainer="chat")
    assert len(measured) == 8
    assert all(m.value is None and "no helper" in (m.reason or "") for m in measured)


def test_the_folder_has_pages_and_both_exports(ran: tuple[Path, Record, Finding]) -> None:
    folder, record, _ = ran
    assert len(list((folder / record.artifacts["pages"]).glob("*.html"))) == 2
    assert "the token &#34;of&#34;" in feature_page(folder, 3)
    (source,) = (folder / record.artifacts["neuronpedia"] / "v1" / "tiny").iterdir()
    described = {row["description"] for row in neuronpedia.read_export(source)["explanations"]}
    assert {f'the token "{word}"' for word in WORDS} <= described
    assert set(delphi.read_explanations(folder / "delphi" / "ngrams").values()) == {f'the token "{word}"' for word in WORDS}
    assert len(delphi.read_raw_latents(folder / "delphi", "layers.0.residual")) == 4
    assert len(delphi.read_scores(folder / "delphi" / "ngrams")) == 8


def test_a_second_run_goes_on_from_the_first_ones_folder(
    subject: Any, detectors: Path, ran: tuple[Path, Record, Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read again where the harvest and both indices are there."""
    folder, record, _ = ran
    monkeypatch.setattr(type(subject), "read", lambda *_, **__: pytest.fail("the subject was read again"))
    again = METHOD.record(Context(subject=subject, ask=None, folder=folder), Config(dictionary=str(detectors), **SMALL))  # type: ignore[arg-type]
    assert again == record


def test_verdicts_of_people_are_held_against_the_scores(
    subject: Any, detectors: Path, ran: tuple[Path, Record, Finding], tmp_path: Path
) -> None:
    folder, record, _ = ran
    path = tmp_path / "verdicts.jsonl"
    said = [{"latent": i, "explainer": "ngrams", "correct": i != 2} for i in range(4)]
    path.write_text("\n".join(map(json.dumps, said)))
    config = Config(dictionary=str(detectors), verdicts=str(path), **SMALL)
    told = record.model_copy(update={"data": {**record.data, "verdicts": said}})
    agreement = METHOD.judge(told, (), config).one("agreement_with_people", scorer="simulation")
    assert (agreement.value, agreement.n) == (0.75, 4)
    assert agreement.baseline
    assert agreement.baseline.value == 0.75
    path.write_text('{"latent": 1}')
    with pytest.raises(DataError, match=r"verdicts\.jsonl:1: expected JSON with latent, explainer and correct"):
        METHOD.record(Context(subject=subject, ask=None, folder=folder), config)  # type: ignore[arg-type]


def test_a_dictionary_for_another_width_is_a_clear_error(subject: Any, detectors: Path, tmp_path: Path) -> None:
    from stepladder.methods.interpretability.saelens import load_dictionary, save_dictionary

    d = load_dictionary(detectors)
    narrow = dataclasses.replace(d, W_enc=d.W_enc[:8], W_dec=d.W_dec[:, :8], b_dec=d.b_dec[:8])
    save_dictionary(narrow, tmp_path / "narrow")
    config = Config(dictionary=str(tmp_path / "narrow"), **SMALL)
    with pytest.raises(StepladderError, match="reads 8 numbers, residual of tiny has 48"):
        METHOD.record(Context(subject=subject, ask=None, folder=tmp_path), config)  # type: ignore[arg-type]


def test_unknown_names_and_sizes_are_clear_errors() -> None:
    with pytest.raises(UnknownName, match="ngrams, logit_lens, chat"):
        Config(explainers=("oracle",))
    with pytest.raises(UnknownName, match="detection, fuzzing, simulation, surprisal"):
        Config(scorers=("vibes",))
    with pytest.raises(StepladderError, match="windows is 4"):
        Config(windows=4)


def test_documents_are_cut_and_stop_at_the_wanted_number_of_tokens() -> None:
    def sizes(texts: list[str], tokens: int) -> list[tuple[int, int]]:
        return [(number, len(piece)) for number, piece in cut(texts, lambda text: list(range(len(text))), tokens)]

    assert sizes(["x" * 300, "y" * 50], 200) == [(0, 128), (0, 72)]
    assert sizes(["x" * 300, "y", "z" * 9], 999) == [(0, 128), (0, 128), (0, 44), (2, 9)]
    assert sizes(["x" * 5000], 9999)[31:33] == [(0, 128), (1, 128)]  # a long text's sections count by themselves


def test_rows_that_nearly_agree_are_one_cluster() -> None:
    rows = np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    first, second, third, fourth = clusters(rows)
    assert first == second
    assert len({first, third, fourth}) == 3
