"""The index against brute force, and the windows drawn from it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves neighbours out of reach

import itertools

from planted_latents import RULES, Corpus, all_latents

from stepladder.core.errors import StoreError
from stepladder.methods.interpretability import latent_index
from stepladder.methods.interpretability.contexts import WINDOW, Sampler, Sampling, token_text
from stepladder.methods.interpretability.latent_index import LatentIndex, index_latents, open_index

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus(documents=40)


@pytest.fixture(scope="module")
def index(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> LatentIndex:
    return corpus.index(tmp_path_factory.mktemp("index"))


@pytest.fixture(scope="module")
def dense(corpus: Corpus) -> np.ndarray:
    """(rows, latents) with the first token of every document left out."""
    parts = [values.astype(np.float32).copy() for values in corpus.activations]
    for part in parts:
        part[0] = 0
    return np.concatenate(parts)


def test_every_latent_is_what_the_dense_codes_say(index: LatentIndex, dense: np.ndarray) -> None:
    for latent in range(len(RULES)):
        rows, values = index.latent(latent)
        np.testing.assert_array_equal(rows, np.flatnonzero(dense[:, latent]))
        np.testing.assert_array_equal(values, dense[rows, latent])


def test_the_size_of_chunks_changes_nothing(
    corpus: Corpus, index: LatentIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent_index, "CHUNK", 50)
    again = corpus.index(tmp_path)
    for name in ("tokens", "documents", "sources", "starts", "rows", "values"):
        np.testing.assert_array_equal(getattr(again, name), getattr(index, name))
    assert not (tmp_path / "chunks").exists()


def test_sparse_form_with_padding_is_read(tmp_path: Path) -> None:
    active = lambda x: (torch.tensor([[4, 0], [4, 2], [1, 1]]), torch.tensor([[1.0, 0.0], [2.0, 3.0], [0.0, 0.0]]))  # noqa: E731
    found = index_latents([(np.array([7, 8, 9]), torch.zeros(3, 2))], active, 5, tmp_path)
    assert found.counts.tolist() == [0, 0, 1, 0, 1]  # row 0 is a document's first token
    assert found.latent(4)[0].tolist() == [1]


def test_a_stopped_index_is_made_again_and_a_whole_one_is_opened(corpus: Corpus, tmp_path: Path) -> None:
    def stopping() -> object:
        yield corpus.tokens[0], torch.tensor(corpus.activations[0])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_latents(stopping(), all_latents, len(RULES), tmp_path)
    with pytest.raises(StoreError, match=r"index\.json is missing"):
        open_index(tmp_path)
    whole = corpus.index(tmp_path)
    assert index_latents(iter(()), all_latents, len(RULES), tmp_path).counts.tolist() == whole.counts.tolist()


def test_unknown_latents_and_empty_corpora_are_clear_errors(index: LatentIndex, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no latent 5; allowed: 0 to 4"):
        index.latent(5)
    with pytest.raises(StoreError, match="no documents"):
        index_latents(iter(()), all_latents, 5, tmp_path)


def test_windows_hold_what_the_corpus_holds(corpus: Corpus, index: LatentIndex, dense: np.ndarray) -> None:
    contexts = Sampler(index, corpus.piece, Sampling(train=20, test=20, quantiles=5))(0)
    assert contexts
    for example in (*contexts.train, *contexts.train_inactive, *contexts.test, *contexts.test_inactive):
        span = slice(example.start, example.start + len(example.tokens))
        assert example.tokens == tuple(corpus.piece(int(token)) for token in index.tokens[span])
        np.testing.assert_allclose(example.activations, dense[span, 0], rtol=1e-6)
        start, end = index.documents[example.document : example.document + 2]
        assert start <= example.start
        assert example.start + len(example.tokens) <= end
        assert len(example.tokens) <= WINDOW


def test_documents_to_explain_from_and_to_score_on_are_apart(corpus: Corpus, index: LatentIndex) -> None:
    sampler = Sampler(index, corpus.piece, Sampling())
    documents: dict[str, set[int]] = {"train": set(), "test": set()}
    for latent in range(len(RULES)):
        contexts = sampler(latent)
        assert contexts
        documents["train"] |= {e.document for e in (*contexts.train, *contexts.train_inactive)}
        documents["test"] |= {e.document for e in (*contexts.test, *contexts.test_inactive)}
        assert all(not any(e.activations) and e.quantile == 0 for e in (*contexts.train_inactive, *contexts.test_inactive))
        assert all(any(e.activations) for e in (*contexts.train, *contexts.test))
    assert not documents["train"] & documents["test"]


def test_pieces_of_one_text_stay_together(corpus: Corpus, tmp_path: Path) -> None:
    documents = [(t, torch.tensor(v, dtype=torch.float32)) for t, v in zip(corpus.tokens, corpus.activations, strict=True)]
    sources = [i // 4 for i in range(len(documents))]
    pieces = index_latents(documents, all_latents, len(RULES), tmp_path, sources=sources)
    contexts = Sampler(pieces, corpus.piece, Sampling())(0)
    assert contexts
    train = {e.document for e in (*contexts.train, *contexts.train_inactive)}
    test = {e.document for e in (*contexts.test, *contexts.test_inactive)}
    assert train | test <= set(sources)
    assert not train & test


def test_every_quantile_is_drawn_from_and_they_are_in_order(corpus: Corpus, index: LatentIndex) -> None:
    contexts = Sampler(index, corpus.piece, Sampling(train=20, quantiles=5))(3)
    assert contexts
    quantiles = [example.quantile for example in contexts.train]
    assert sorted(set(quantiles)) == [1, 2, 3, 4, 5]
    assert {quantiles.count(q) for q in set(quantiles)} == {4}
    ends = [[max(e.activations) for e in contexts.train if e.quantile == q] for q in (1, 2, 3, 4, 5)]
    assert all(max(low) <= min(high) for low, high in itertools.pairwise(ends))


def test_strongest_windows_are_the_strongest(corpus: Corpus, index: LatentIndex, dense: np.ndarray) -> None:
    found = Sampler(index, corpus.piece, Sampling()).strongest(2, 6)
    peaks = sorted((dense[a : min(a + WINDOW, b), 2].max() for a, b in windows(index)), reverse=True)
    np.testing.assert_allclose([max(e.activations) for e in found], peaks[:6], rtol=1e-6)


def test_windows_across_the_range_run_from_the_strongest_to_the_weakest(corpus: Corpus, index: LatentIndex) -> None:
    sampler = Sampler(index, corpus.piece, Sampling())
    peaks = [max(e.activations) for e in sampler.strongest(2, 10_000)]
    found = [max(e.activations) for e in sampler.across(2, 5)]
    assert found == [peaks[round(i * (len(peaks) - 1) / 4)] for i in range(5)]


def windows(index: LatentIndex) -> list[tuple[int, int]]:
    pairs = zip(index.documents[:-1], index.documents[1:], strict=True)
    return [(a, int(end)) for start, end in pairs for a in range(int(start), int(end), WINDOW)]


def test_rare_latents_give_no_windows(corpus: Corpus, tmp_path: Path) -> None:
    documents = [(tokens, torch.zeros(len(tokens), 1).index_fill_(0, torch.tensor([3]), float(i < 5)))
                 for i, tokens in enumerate(corpus.tokens)]  # fmt: skip
    rare = index_latents(documents, all_latents, 1, tmp_path)
    assert Sampler(rare, corpus.piece, Sampling())(0) is None
    assert len(Sampler(rare, corpus.piece, Sampling()).strongest(0, 20)) == 5


class Joining:
    """A tokenizer that puts spaces between tokens, and none before the first."""

    def decode(self, tokens: list[int], **_: object) -> str:
        return " ".join(f"w{token}" for token in tokens)


class Exact:
    """One whose tokens carry their own spaces."""

    def decode(self, tokens: list[int], **_: object) -> str:
        return "".join((" the", "re")[token] for token in tokens)


def test_tokens_keep_the_space_before_them() -> None:
    assert token_text(Joining(), 9)(3) == " w3"
    assert [token_text(Exact(), 2)(token) for token in (0, 1, 2)] == [" the", "re", "\ufffd"]
