"""The technique on a tiny model: a dictionary against itself, folders that do not belong, and what has no words."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from stepladder.core import Context, StepladderError  # noqa: E402
from stepladder.methods.interpretability.latent_concepts import METHOD, Config  # noqa: E402
from stepladder.methods.interpretability.saelens import save_dictionary  # noqa: E402
from stepladder.models import LocalModel  # noqa: E402

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "models")]
from random_dictionaries import dictionary  # noqa: E402
from tiny_models import tiny_llama, tiny_tokenizer  # noqa: E402

SMALL: dict[str, Any] = {"documents": 30, "window": 16, "steps": 20, "k": 4, "latents": (16, 32)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(3)
    tokenizer = tiny_tokenizer()
    tiny_llama(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return LocalModel("tiny", folder)


def context(model: LocalModel, folder: Path) -> Context:
    def no_asking(*_: object, **__: object) -> Any:
        raise AssertionError("nothing is asked")

    return Context(subject=model, ask=no_asking, folder=folder)


def test_dictionaries_are_trained_and_held_against_each_other(model: LocalModel, tmp_path: Path) -> None:
    config = Config(**SMALL)
    record = METHOD.record(context(model, tmp_path), config)
    finding = METHOD.judge(record, (), config)
    assert [row["latents"] for row in record.data["dictionaries"]] == [16, 32]
    assert finding.one("split_share").labels == {"from": "16", "to": "32"}
    missing = finding.select("absorption", latents="16")[0]
    assert "no two letters" in (missing.reason or "")  # the tiny vocabulary has thirty words


def test_a_dictionary_held_against_itself_is_kept(model: LocalModel, tmp_path: Path) -> None:
    """Every latent of it that is active is found again as one."""
    once = METHOD.record(context(model, tmp_path / "trained"), Config(**{**SMALL, "latents": (32,)}))
    assert once.data["splits"] == []
    from stepladder.methods.interpretability.latent_concepts import _harvested, _trained

    config = Config(**SMALL)
    train = _harvested(context(model, tmp_path / "trained"), config, model, 2, "residual")[0]
    found = _trained(context(model, tmp_path / "trained"), config, train, 32)
    for name in ("one", "two"):
        save_dictionary(found, tmp_path / name)
    twice = dataclasses.replace(config, dictionaries=(str(tmp_path / "one"), str(tmp_path / "two")))
    split = METHOD.record(context(model, tmp_path / "again"), twice).data["splits"][0]
    assert set(split["counts"]) == {1}


def test_dictionaries_of_another_width_are_a_clear_error(model: LocalModel, tmp_path: Path) -> None:
    save_dictionary(dictionary("topk"), tmp_path / "theirs")
    with pytest.raises(StepladderError, match=r"must be of one place of tiny; these are of residual of layer 2 \(12\)"):
        METHOD.record(context(model, tmp_path), Config(dictionaries=(str(tmp_path / "theirs"),)))


def test_sizes_below_k_are_a_clear_error() -> None:
    with pytest.raises(StepladderError, match="latent_concepts: latents is 8; allowed: 16 or more"):
        Config(latents=(8,))
