"""Texts from every kind of file, streamed; and their cutting into windows."""

from __future__ import annotations

import json
from itertools import chain, islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepladder.core import DataError
from stepladder.methods.interpretability.text import packed, read_texts, shipped_documents, shipped_text, windows

TEXTS = ["One text.\nOf two lines.", "Another.", "Grüße, Jürgen"]
DOCUMENTS = st.lists(st.lists(st.integers(0, 99), max_size=30), max_size=8)


def test_the_shipped_text_is_varied_and_always_the_same():
    documents = shipped_documents()
    assert documents == shipped_documents()
    assert [text for _, text in documents] == shipped_text()
    assert len({text for _, text in documents}) == len(documents)
    assert len({topic for topic, _ in documents}) >= 20
    assert 150_000 < sum(map(len, shipped_text())) < 250_000
    assert not [text for text in shipped_text() if "{" in text]


def test_every_kind_of_file_gives_the_same_texts(tmp_path):
    datasets, parquet = pytest.importorskip("datasets"), pytest.importorskip("pyarrow.parquet")
    import pyarrow

    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": t, "id": 1}) + "\n\n" for t in TEXTS), "utf-8")
    parquet.write_table(pyarrow.table({"id": [1, 2, 3], "text": TEXTS}), tmp_path / "a.parquet")
    saved = datasets.Dataset.from_dict({"text": TEXTS})
    saved.save_to_disk(tmp_path / "saved")
    datasets.DatasetDict({"train": saved.select([0, 1]), "test": saved.select([2])}).save_to_disk(tmp_path / "splits")
    (tmp_path / "texts").mkdir()
    for number, text in enumerate(TEXTS):
        (tmp_path / "texts" / f"{number}.txt").write_text(text, "utf-8")
    for name in ("a.jsonl", "a.parquet", "saved", "splits", "texts"):
        assert list(read_texts(tmp_path / name)) == TEXTS, name


def test_what_is_no_text_is_one_clear_line(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"content": "b"}\n')
    (tmp_path / "worse.jsonl").write_text('{"text": "a"}\n{"text": \n')
    (tmp_path / "bad.parquet").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.pdf").touch()
    for name, problem in (
        ("bad.jsonl", r"bad.jsonl:2: each row needs a text in 'text'; this one has content"),
        ("worse.jsonl", "worse.jsonl:2: is not json"),
        ("bad.parquet", "is not Parquet"),
        ("empty", "holds no texts; allowed: .parquet, .jsonl, .txt"),
        ("x.pdf", "unknown kind of text '.pdf'"),
        ("none.txt", "no such file"),
    ):
        with pytest.raises(DataError, match=problem):
            list(read_texts(tmp_path / name))


def test_a_corpus_is_not_loaded_to_give_its_first_text(tmp_path):
    with (tmp_path / "long.jsonl").open("w") as file:
        file.write(json.dumps({"text": "first"}) + "\n" + "not json\n")
    assert list(islice(read_texts(tmp_path / "long.jsonl"), 1)) == ["first"]


@given(DOCUMENTS, st.integers(1, 20))
def test_windows_lay_end_to_end_are_the_documents(documents, length):
    pieces = list(windows(documents, length))
    assert all(1 <= len(piece) <= length for _, piece in pieces)
    for number, document in enumerate(documents):
        assert list(chain.from_iterable(piece for at, piece in pieces if at == number)) == document


@given(DOCUMENTS, st.integers(1, 20), st.sampled_from([None, 100]))
def test_packed_windows_are_all_of_one_length_and_lose_only_the_last_rest(documents, length, separator):
    found = list(packed(documents, length, separator))
    laid = [token for document in documents for token in [*document, *([separator] if separator is not None else [])]]
    assert {len(window) for window in found} <= {length}
    assert list(chain.from_iterable(found)) == laid[: len(laid) // length * length]


@pytest.mark.data
def test_the_real_corpora_are_read():
    sets = Path(__file__).parents[3].parent / "shared" / "data"
    if not sets.is_dir():
        pytest.skip("the real data sets are not beside the project (../shared/data)")
    for name in ("corpus_wikitext2", "corpus_tinyshakespeare", "corpus_us_speeches"):
        texts = list(read_texts(sets / name))
        assert sum(map(len, texts)) > 500_000, name
        assert len(texts) > 100
