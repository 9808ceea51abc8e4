"""What a run left is a model by name, with its adapters, and nothing half kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepladder.core import StoreError, UnknownName
from stepladder.models import open_model
from stepladder.models.rungs import load_rung, save_rung


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEPLADDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_rung_without_adapters_is_its_base() -> None:
    save_rung("abc123", "scripted/demo", [])
    assert open_model("rung/abc").name == "scripted/demo"


def test_adapters_are_copied_and_change_the_weights(cache: Path, folders: dict[str, Path], adapter: Path) -> None:
    base = f"hf/{folders['llama']}"
    rung = save_rung("abc123", base, [adapter])
    assert rung.adapters
    assert all(path.is_relative_to(cache / "rungs") for path in rung.adapters)
    model = open_model("rung/abc123")
    assert model.name == "rung/abc123"
    assert model.fingerprint.split(":")[1] != open_model(base).fingerprint.split(":")[1]


def test_the_same_rung_again_is_left_as_it_is(cache: Path) -> None:
    save_rung("abc123", "scripted/demo", [])
    before = (cache / "rungs" / "abc123" / "rung.json").stat().st_mtime_ns
    save_rung("abc123", "scripted/demo", [])
    assert (cache / "rungs" / "abc123" / "rung.json").stat().st_mtime_ns == before
    assert [p.name for p in (cache / "rungs").iterdir()] == ["abc123"]


def test_an_unknown_or_ambiguous_rung_lists_those_there_are() -> None:
    with pytest.raises(UnknownName, match="none yet"):
        load_rung("zzz")
    save_rung("abc1", "scripted/demo", [])
    save_rung("abc2", "scripted/demo", [])
    with pytest.raises(UnknownName, match="abc1, abc2"):
        load_rung("abc")


def test_an_adapter_that_is_not_there_keeps_nothing(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot keep the rung's model"):
        save_rung("abc123", "scripted/demo", [tmp_path / "missing"])
    assert list((cache / "rungs").iterdir()) == []
